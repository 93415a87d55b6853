// m[lane, p] = max over c of |x[lane, p, c]|, over the channel blocks that a convolution reads: what its cooperative
// kernel scales by. Thread map: one thread per pixel of the input. Exact.
#import lib/grid.wgsl
#import lib/conv.wgsl
@group(0) @binding(0) var<storage, read> x: array<vec4f>;            // [lane][in pixels][in_stride]
@group(0) @binding(1) var<storage, read_write> maxima: array<f32>;   // [lane][in pixels]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let p = workgroup_index(group) * 256u + thread;
    if p >= im.lanes * im.in_h * im.in_w { return; }
    var most = vec4f();
    for (var k = 0u; k < im.blocks; k++) { most = max(most, abs(x[p * im.in_stride + block_offset(k)])); }
    maxima[p] = max(max(most.x, most.y), max(most.z, most.w));
}
