// y = x / (1 + e^-x), where the planner could not fuse it. Thread map: lib/elementwise. Accuracy: lib/silu.
struct Immediates {
#import lib/elementwise_immediates.wgsl
}
#import lib/elementwise.wgsl
#import lib/activation.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    y[e.y_at] = packed(activated(e, load(x_at(e))));
}
