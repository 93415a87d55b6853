// y[lane, p, c] = act(x[lane, p, c] + rows[lanes[lane].row, c]); the row is added on primal lanes only.
// Thread map: lib/elementwise. Accuracy: one f32 addition, and that of lib/silu.
#import lib/elementwise.wgsl
#import lib/silu.wgsl
#import lib/lane.wgsl
@group(0) @binding(2) var<storage, read> rows: array<vec4f>; // [timestep][blocks]
@group(0) @binding(3) var<storage, read> lanes: array<Lane>; // [lane]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let primal = select(0.0, 1.0, e.lane == quotient(e.lane, im.group) * im.group);
    var v = load((e.lane * im.pixels + e.pixel) * im.in_stride + e.block_at);
    v += primal * rows[lanes[e.lane].row * im.blocks + e.block];
#unroll silu 0 SILU
    v = silu(v);
#end
    y[e.y_at] = packed(v);
}
