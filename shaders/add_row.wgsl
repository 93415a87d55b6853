// y[lane, p, c] = act(x[lane, p, c] + rows[lanes[lane].row, c]); tangents get no row, and silu'(their primal's sum) as factor.
// Thread map: lib/elementwise. Accuracy: one f32 addition, and that of lib/silu.
#import lib/elementwise.wgsl
#import lib/silu.wgsl
#import lib/lane.wgsl
@group(0) @binding(2) var<storage, read> rows: array<vec4f>; // [timestep][blocks]
@group(0) @binding(3) var<storage, read> lanes: array<Lane>; // [lane]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let row = rows[lanes[e.lane].row * im.blocks + e.block];
    var v = load(at(e, e.lane)) + select(0.0, 1.0, e.lane == e.primal) * row;
#unroll silu 0 SILU
#unroll plain TANGENTS 1
    v = silu(v);
#end
#unroll lockstep 0 TANGENTS
    let z = load(at(e, e.primal)) + row;
    v = select(v * silu_slope(z), silu(z), e.lane == e.primal);
#end
#end
    y[e.y_at] = packed(v);
}
