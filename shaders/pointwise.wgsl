// y = f(x), one of the functions of lib/curves; a and b are its numbers. Tangents: y' = x' times the slope at the primal's x.
// Thread map: lib/elementwise. Accuracy: lib/curves.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    a: f32, b: f32,
}
#import lib/elementwise.wgsl
#import lib/curves.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let own = load(x_at(e));
#if GROUPED
    let primal = primal_of(e.lane);
    let f = curved(load((primal * im.pixels + e.pixel) * im.in_stride + e.block_at));
    y[e.y_at] = packed(bounded(e.block, select(own * f.slope, f.value, e.lane == primal)));
#else
    y[e.y_at] = packed(bounded(e.block, curved(own).value));
#endif
}
