// y_j = s e^{x_j} / sum_l e^{x_l} over the channels of a head, at each pixel. Tangents: y' = y (x' - sum_l p_l x'_l), p = y / s.
// Thread map: one thread per (lane, pixel, head), or per (lane, pixel) where heads share blocks of 4 channels; blocks in
// loops. Accuracy: the largest x is taken off first; one f32 sum, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    heads: u32, together: u32, // together: heads of a thread, all or one
    size: u32,                 // channels of a head
    scale: f32,                // s
}
#import lib/elementwise.wgsl
#import lib/silu.wgsl
#import lib/heads.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let threads = quotient(im.heads, im.together);
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.pixels * threads - 1u);
    let p = quotient(i, threads);
    let lane = quotient(p, im.pixels);
    let primal = primal_of(lane);
    let own = p * im.in_stride + im.first0;
    let point = own - (lane - primal) * im.pixels * im.in_stride;
    let out = p * im.out_stride + im.out_offset;
    let head = (i - p * threads) * im.together;
    var kept = vec4f(); // what heads before this one have in its first block
    for (var h = head; h < head + im.together; h++) {
        let first = h * im.size;
        let end = first + im.size;
        var top = vec4f(-3.4e38);
        for (var b = first / 4u; 4u * b < end; b++) {
            top = max(top, select(vec4f(-3.4e38), load(point + b), inside(b, first, end)));
        }
        let most = vec4f(max(max(top.x, top.y), max(top.z, top.w)));
        var sum = 0.0;
        var along = 0.0;
        for (var b = first / 4u; 4u * b < end; b++) {
            let within = inside(b, first, end);
            let v = select(vec4f(), exp_minus(most - load(point + b)), within);
            sum += dot(v, vec4f(1.0));
            along += dot(v, select(vec4f(), load(own + b), within));
        }
        let drift = vec4f(along / sum);
        let scale = im.scale / sum;
        for (var b = first / 4u; 4u * b < end; b++) {
            let v = scale * exp_minus(most - load(point + b));
            let result = v * select(load(own + b) - drift, vec4f(1.0), lane == primal);
            kept = select(kept, result, inside(b, first, end));
            y[out + b] = packed(kept);
            // A block that ends within the head, or with it, is done.
            kept = select(kept, vec4f(), 4u * b + 4u <= end);
        }
    }
}
