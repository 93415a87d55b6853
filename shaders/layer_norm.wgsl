// y_c = g_c(k) (x_c - mu) r + h_c(k), r = 1 / sqrt(var + eps), over the channels of a pixel; without CENTRED mu is 0 and var the mean of
// squares. Tangents: y' = g r (x' - mean(x') - xh mean(xh x')), xh = (x - mu) r.
// Thread map: one thread per (lane, pixel), blocks in loops. Accuracy: f32 sums over the channels, in order; the mean is taken off first.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    per: f32,     // 1 / channels
    epsilon: f32,
}
#import lib/elementwise.wgsl
#import lib/lane.wgsl
#import lib/there.wgsl
@group(0) @binding(2) var<storage, read> rows: array<vec4f>; // [timestep][blocks][2]: gain and shift
@group(0) @binding(3) var<storage, read> lanes: array<Lane>; // [lane]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let p = min(workgroup_index(group) * 256u + thread, im.lanes * im.pixels - 1u);
    let lane = quotient(p, im.pixels);
    let primal = primal_of(lane);
    let own_at = p * im.in_stride;
    let point_at = own_at - (lane - primal) * im.pixels * im.in_stride;
    var mean = 0.0;
    var mean_own = 0.0;
#if CENTRED
    for (var b = 0u; b < im.blocks; b++) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        mean += dot(only_there(b, load(point_at + offset)), vec4f(1.0));
        mean_own += dot(only_there(b, load(own_at + offset)), vec4f(1.0));
    }
    mean *= im.per;
    mean_own *= im.per;
#endif
    var squares = 0.0;
    var along = 0.0;
    for (var b = 0u; b < im.blocks; b++) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        let v = only_there(b, load(point_at + offset) - mean);
        squares += dot(v, v);
        along += dot(v, load(own_at + offset));
    }
    let r = 1.0 / sqrt(squares * im.per + im.epsilon);
    let drift = along * im.per * r * r;
    let values = lane == primal;
    for (var b = 0u; b < im.blocks; b++) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        let v = load(point_at + offset) - mean;
        let t = load(own_at + offset) - mean_own - drift * v;
        let at = 2u * (lanes[lane].row * im.blocks + b);
        let result = rows[at] * r * select(t, v, values) + select(vec4f(), rows[at + 1u], values);
        y[p * im.out_stride + im.out_offset + b] = packed(only_there(b, result));
    }
}
