// m[lane, p] = max over the window of output pixel p of |x|, as a convolution loads it: what its cooperative kernel
// scales by. Thread map: one thread per output pixel of any lane. Exact but for what happens on the load.
#import lib/grid.wgsl
struct Immediates {
#import lib/conv_immediates.wgsl
    kernel: u32, // side
}
#import lib/conv.wgsl
#import lib/portable.wgsl
#import lib/part.wgsl
#import lib/silu.wgsl
#import lib/conv_load.wgsl
@group(0) @binding(1) var<storage, read_write> maxima: array<f32>; // [lane][pixels]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let p = workgroup_index(group) * 256u + thread;
    if p >= im.lanes * im.pixels { return; }
    let own = window(p);
    var most = vec4f();
    for (var tap = 0u; tap < im.kernel * im.kernel; tap++) {
        for (var k = 0u; k < im.blocks; k++) {
            most = max(most, abs(load(own, tap / im.kernel, tap % im.kernel, k)));
        }
    }
    maxima[p] = max(max(most.x, most.y), max(most.z, most.w));
}
