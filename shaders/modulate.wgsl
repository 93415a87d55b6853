// y_c = g_c(k) x_c + h_c(k), one gain and one shift per channel; tangents get no shift. Thread map: lib/elementwise.
// Accuracy: a f32 product and a sum.
struct Immediates {
#import lib/elementwise_immediates.wgsl
}
#import lib/elementwise.wgsl
#import lib/lane.wgsl
@group(0) @binding(2) var<storage, read> rows: array<vec4f>; // [timestep][blocks][2]: gain and shift
@group(0) @binding(3) var<storage, read> lanes: array<Lane>; // [lane]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let at = 2u * (lanes[e.lane].row * im.blocks + e.block);
    let shift = select(vec4f(), rows[at + 1u], e.lane == primal_of(e.lane));
    y[e.y_at] = packed(rows[at] * load(x_at(e)) + shift);
}
