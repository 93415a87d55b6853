// What convolution kernels of GPUs do with a finished sum: bias on primals, SILU, the slope kept (KEEP) or applied (SLOPED).
// Needs lib/conv (b: output blocks), lib/part and lib/silu.
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;    // [out blocks]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>; // [lane][pixels][out_stride]
#unroll keep 0 KEEP
@group(0) @binding(4) var<storage, read_write> slope: array<vec4f>; // [sample][pixels][out blocks]
#end
#unroll sloped 0 SLOPED
@group(0) @binding(4) var<storage, read> slope: array<vec4f>;
#end

// The sum of pixel p of the part's lanes and one block of output channels; nothing if there is no such pixel or block.
fn store(p: u32, column: u32, sum: vec4f) {
    if p >= im.lanes * im.pixels || column >= im.b { return; }
    let lane = lane_of(p / im.pixels);
    var v = sum;
    if lane % im.group == 0u { v += bias[column]; }
#unroll keep 0 KEEP
    slope[p * im.b + column] = silu_slope(v);
#end
#unroll silu 0 SILU
    v = silu(v);
#end
#unroll sloped 0 SLOPED
    v *= slope[(lane / im.group * im.pixels + p % im.pixels) * im.b + column];
#end
    y[(lane * im.pixels + p % im.pixels) * im.out_stride + im.out_offset + column] = v;
}
