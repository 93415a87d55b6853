// y = x / (1 + e^-x); y' = silu'(x) x' for tangents, x their primal's; where the planner could not fuse it. Thread map: lib/elementwise. Accuracy: lib/silu.
#import lib/elementwise.wgsl
#import lib/silu.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    var v = load(at(e, e.lane));
#unroll plain TANGENTS 1
    v = silu(v);
#end
#unroll lockstep 0 TANGENTS
    let z = load(at(e, e.primal));
    v = select(v * silu_slope(z), silu(z), e.lane == e.primal);
#end
    y[e.y_at] = packed(v);
}
