// y_j = s e^{x_j} / sum_l e^{x_l} over the channels of a head, at each pixel. Tangents: y' = y (x' - sum_l p_l x'_l), p = y / s.
// Thread map: one thread per (lane, pixel, head), its blocks in loops. Accuracy: the largest x is taken off first; one f32
// sum, in order.
#import lib/elementwise.wgsl // a: heads, b: blocks of a head, c: s as bits, d: channels of a head
#import lib/silu.wgsl

// What is no channel of the head counts for nothing.
fn masked(v: vec4f, block: u32, otherwise: f32) -> vec4f {
    return select(vec4f(otherwise), v, vec4u(4u * block) + vec4u(0u, 1u, 2u, 3u) < vec4u(im.d));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.pixels * im.a - 1u);
    let p = quotient(i, im.a);
    let head = i - p * im.a;
    let lane = quotient(p, im.pixels);
    let primal = primal_of(lane);
    let own = p * im.in_stride + im.first0 + head * im.b;
    let point = own - (lane - primal) * im.pixels * im.in_stride;
    var top = vec4f(-3.4e38);
    for (var b = 0u; b < im.b; b++) { top = max(top, masked(load(point + b), b, -3.4e38)); }
    let most = vec4f(max(max(top.x, top.y), max(top.z, top.w)));
    var sum = 0.0;
    var along = 0.0;
    for (var b = 0u; b < im.b; b++) {
        let v = masked(exp_minus(most - load(point + b)), b, 0.0);
        sum += dot(v, vec4f(1.0));
        along += dot(v, load(own + b));
    }
    let drift = vec4f(along / sum);
    let scale = bitcast<f32>(im.c) / sum;
    for (var b = 0u; b < im.b; b++) {
        let v = scale * masked(exp_minus(most - load(point + b)), b, 0.0);
        y[p * im.out_stride + im.out_offset + head * im.b + b] =
            packed(v * select(load(own + b) - drift, vec4f(1.0), lane == primal));
    }
}
