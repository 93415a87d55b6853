// y_c = g_c x_c / max(|x|, 1e-12), |x| over the channels of a pixel. Tangents: y' = g (x' - x <x, x'> / |x|^2) / |x|.
// Thread map: a team (lib/team) per (lane, pixel), each of whose threads has every TEAM-th block. Accuracy: f32 sums over a thread's
// channels in order, then over the team's in a tree.
struct Immediates {
#import lib/elementwise_immediates.wgsl
}
#import lib/elementwise.wgsl
#import lib/team.wgsl
@group(0) @binding(2) var<storage, read> gains: array<vec4f>; // [blocks][2]: g, and 1 where there is a channel

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min((workgroup_index(group) * 256u + thread) / TEAM, im.lanes * im.pixels - 1u);
    let first = thread % TEAM;
    let lane = quotient(i, im.pixels);
    let primal = primal_of(lane);
    let own_at = i * im.in_stride;
    let point_at = (i - (lane - primal) * im.pixels) * im.in_stride;
    var found = vec2f(); // squares, and what this lane has along the point
    for (var b = first; b < im.blocks; b += TEAM) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        let point = load(point_at + offset) * gains[2u * b + 1u];
        found += vec2f(dot(point, point), dot(point, load(own_at + offset)));
    }
    found = team_sums(found, thread);
    let norm = max(sqrt(found.x), 1e-12);
    let drift = select(found.y / (norm * norm), 0.0, lane == primal);
    for (var b = first; b < im.blocks; b += TEAM) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        let v = (load(own_at + offset) - drift * load(point_at + offset)) / norm;
        y[i * im.out_stride + im.out_offset + b] = packed(gains[2u * b] * v);
    }
}
