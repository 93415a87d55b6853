// y = gain(k) x + shift; tangents get no shift. Thread map: lib/elementwise. Accuracy: a f32 product and a sum.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    shift: f32,
}
#import lib/elementwise.wgsl
#import lib/lane.wgsl
@group(0) @binding(2) var<storage, read> rows: array<f32>;   // gain by timestep
@group(0) @binding(3) var<storage, read> lanes: array<Lane>; // [lane]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let shift = select(0.0, im.shift, e.lane == primal_of(e.lane));
    y[e.y_at] = packed(rows[lanes[e.lane].row] * load(x_at(e)) + shift);
}
