// y_j = s e^{x_j} / sum_l e^{x_l} over the channels of a head, at each pixel. Tangents: y' = y (x' - sum_l p_l x'_l), p = y / s.
// Thread map: a team (lib/team) per (lane, pixel, head), each of whose threads has every TEAM-th block of the head; or one thread per
// (lane, pixel) where heads share blocks of 4 channels. Accuracy: the largest x is taken off first; f32 sums over a thread's channels
// in order, then over the team's in a tree.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    heads: u32, together: u32, // together: heads of a thread, all or one
    size: u32,                 // channels of a head
    scale: f32,                // s
}
#import lib/elementwise.wgsl
#import lib/silu.wgsl
#import lib/heads.wgsl
#import lib/team.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let parts = quotient(im.heads, im.together);
    let i = min((workgroup_index(group) * 256u + thread) / TEAM, im.lanes * im.pixels * parts - 1u);
    let p = quotient(i, parts);
    let lane = quotient(p, im.pixels);
    let primal = primal_of(lane);
    let own = p * im.in_stride + im.first0;
    let point = own - (lane - primal) * im.pixels * im.in_stride;
    let out = p * im.out_stride + im.out_offset;
    var kept = vec4f(); // what heads before this one have in its first block
    for (var h = 0u; h < im.together; h++) {
        let first = ((i - p * parts) * im.together + h) * im.size;
        let end = first + im.size;
        let begin = first / 4u + thread % TEAM;
        var top = vec4f(-3.4e38);
        for (var b = begin; 4u * b < end; b += TEAM) {
            top = max(top, select(vec4f(-3.4e38), load(point + b), inside(b, first, end)));
        }
        let most = vec4f(team_most(max(max(top.x, top.y), max(top.z, top.w)), thread));
        var found = vec2f(); // the sum, and what this lane has along the powers
        for (var b = begin; 4u * b < end; b += TEAM) {
            let within = inside(b, first, end);
            let v = select(vec4f(), exp_minus(most - load(point + b)), within);
            found.x += dot(v, vec4f(1.0));
            found.y += dot(v, select(vec4f(), load(own + b), within));
        }
        found = team_sums(found, thread);
        let drift = vec4f(found.y / found.x);
        let scale = im.scale / found.x;
        for (var b = begin; 4u * b < end; b += TEAM) {
            let v = scale * exp_minus(most - load(point + b));
            let result = v * select(load(own + b) - drift, vec4f(1.0), lane == primal);
            kept = select(kept, result, inside(b, first, end));
            y[out + b] = packed(kept);
            // A block that ends within the head, or with it, is done.
            kept = select(kept, vec4f(), 4u * b + 4u <= end);
        }
    }
}
