// What convolution kernels of GPUs do with a finished sum: bias on primals, then, each if its constant is 1, a CURVE or SILU, the
// time ROW, SiLU AGAIN, the GAIN, the RESIDUAL (`ops::conv::epilogue`); slopes kept (KEEP) or applied (SLOPED). SPREAD: one phase of
// `ops::conv::up`. Needs lib/conv, lib/conv_end_immediates, lib/part and lib/silu.
#import lib/lane.wgsl
#import lib/conv_ended.wgsl
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;    // [out blocks]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>; // [lane][pixels][out_stride]
#if KEEP
@group(0) @binding(4) var<storage, read_write> slope: array<vec4f>; // [sample][pixels][out blocks]
#endif
#if SLOPED
@group(0) @binding(4) var<storage, read> slope: array<vec4f>;
#endif
#if ROW
@group(0) @binding(5) var<storage, read> time_rows: array<vec4f>; // [timestep][out blocks]
#endif
#if !(!ROW && !GAIN)
@group(0) @binding(6) var<storage, read> lanes: array<Lane>;      // [lane]
#endif
#if GAIN
@group(0) @binding(8) var<storage, read> gains: array<vec4f>;     // [timestep][out blocks]
#endif
#if RESIDUAL
@group(0) @binding(7) var<storage, read> z: array<vec4f>;         // [lane][pixels][z_stride]
#endif

// The sum of pixel p of the part's lanes and one block of output channels; nothing if there is no such pixel or block.
fn store(p: u32, column: u32, sum: vec4f) {
    if p >= im.lanes * im.pixels || column >= im.out_blocks { return; }
    let lane = lane_of(p / im.pixels);
    let pixel = p % im.pixels;
#if SPREAD
    let row = lane * (im.pixels / im.out_w) + pixel / im.out_w;
    let goal = 4u * im.out_w * row + 2u * (pixel % im.out_w) + im.phase; // of an image of twice the size
#else
    let goal = lane * im.pixels + pixel;
#endif
    var v = sum;
    var time_row = vec4f();
    if lane % im.group == 0u {
        v += bias[column];
#if ROW
        time_row = time_rows[lanes[lane].row * im.out_blocks + column];
#endif
    }
    let e = ended(v, time_row);
    v = e.v;
#if KEEP
    slope[p * im.out_blocks + column] = e.slope;
#endif
#if SLOPED
    v *= slope[(lane / im.group * im.pixels + pixel) * im.out_blocks + column];
#endif
#if GAIN
    v *= gains[lanes[lane].row * im.out_blocks + column];
#endif
#if RESIDUAL
    let z_at = goal * im.z_stride + column + select(im.z_first1, im.z_first0, column < im.z_count0);
    v = im.s * v + im.t * z[z_at];
#endif
    y[goal * im.out_stride + im.out_offset + column] = v;
}
