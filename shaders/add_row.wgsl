// y[lane, p, c] = act(x[lane, p, c] + rows[lanes[lane].row, c]); tangents get no row.
// Thread map: lib/elementwise. Accuracy: one f32 addition, and that of lib/silu.
struct Immediates {
#import lib/elementwise_immediates.wgsl
}
#import lib/elementwise.wgsl
#import lib/activation.wgsl
#import lib/lane.wgsl
#if !SLOPED
@group(0) @binding(2) var<storage, read> rows: array<vec4f>; // [timestep][blocks]
@group(0) @binding(3) var<storage, read> lanes: array<Lane>; // [lane]
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    var v = load(x_at(e));
#if !SLOPED
    let primal = select(0.0, 1.0, e.lane == quotient(e.lane, im.group) * im.group);
    v += primal * rows[lanes[e.lane].row * im.blocks + e.block];
#endif
    y[e.y_at] = packed(activated(e, v));
}
