// y_c = g_c(k) (x_c - mu) r + h_c(k), r = 1 / sqrt(var + eps), over the channels of a pixel; without CENTRED mu is 0 and var the mean of
// squares. Tangents: y' = g r (x' - mean(x') - xh mean(xh x')), xh = (x - mu) r.
// Thread map: a team (lib/team) per (lane, pixel), each of whose threads has every TEAM-th block. Accuracy: f32 sums over a thread's
// channels in order, then over the team's in a tree; the mean is taken off first.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    per: f32,     // 1 / channels
    epsilon: f32,
}
#import lib/elementwise.wgsl
#import lib/lane.wgsl
#import lib/team.wgsl
#if CPU
@group(0) @binding(2) var<storage, read> rows: array<BlockPair>;      // [timestep][blocks]: gain and shift
fn row(at: u32) -> Row { let both = rows[at]; return Row(unpacked(both.xy), unpacked(both.zw)); }
#else
@group(0) @binding(2) var<storage, read> rows: array<vec4f>;          // [timestep][blocks][2]
fn row(at: u32) -> Row { return Row(rows[2u * at], rows[2u * at + 1u]); }
#endif
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;          // [lane]
struct Row { gain: vec4f, shift: vec4f }
#if MASKED
#import lib/there.wgsl
#else
fn only_there(block: u32, v: vec4f) -> vec4f { return v; }
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let p = min((workgroup_index(group) * 256u + thread) / TEAM, im.lanes * im.pixels - 1u);
    let first = thread % TEAM;
    let lane = quotient(p, im.pixels);
    let own_at = p * im.in_stride;
#if GROUPED
    let primal = primal_of(lane);
    let point_at = own_at - (lane - primal) * im.pixels * im.in_stride;
#else
    let point_at = own_at;
#endif
    var mean = vec2f(); // of the point, and of this lane
#if CENTRED
    for (var b = first; b < im.blocks; b += TEAM) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        mean.x += dot(only_there(b, load(point_at + offset)), vec4f(1.0));
#if GROUPED
        mean.y += dot(only_there(b, load(own_at + offset)), vec4f(1.0));
#endif
    }
    mean = im.per * team_sums(mean, thread);
#endif
    var found = vec2f(); // squares, and what this lane has along the point
    for (var b = first; b < im.blocks; b += TEAM) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        let v = only_there(b, load(point_at + offset) - mean.x);
        found.x += dot(v, v);
#if GROUPED
        found.y += dot(v, load(own_at + offset));
#endif
    }
    found = im.per * team_sums(found, thread);
    let r = 1.0 / sqrt(found.x + im.epsilon);
#if GROUPED
    let drift = found.y * r * r;
    let values = lane == primal;
#endif
    let row_at = lanes[lane].row * im.blocks;
    for (var b = first; b < im.blocks; b += TEAM) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        let v = load(point_at + offset) - mean.x;
        let g = row(row_at + b);
#if GROUPED
        let t = load(own_at + offset) - mean.y - drift * v;
        let result = g.gain * r * select(t, v, values) + select(vec4f(), g.shift, values);
#else
        let result = g.gain * r * v + g.shift;
#endif
        y[p * im.out_stride + im.out_offset + b] = packed(only_there(b, result));
    }
}
