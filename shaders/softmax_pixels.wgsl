// y_i = e^{x_i} / sum_l e^{x_l} over the pixels of a channel. Tangents: y' = y (x' - sum_l y_l x'_l).
// Thread map: one thread per (lane, block of 4 channels), pixels in loops. Accuracy: the largest x is taken off first; one
// f32 sum, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
}
#import lib/elementwise.wgsl
#import lib/silu.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.blocks - 1u);
    let lane = quotient(i, im.blocks);
    let block = i - lane * im.blocks;
    let primal = primal_of(lane);
    let offset = block + select(im.first1, im.first0, block < im.count0);
    let own = lane * im.pixels * im.in_stride + offset;
    let point = primal * im.pixels * im.in_stride + offset;
    var top = load(point);
    for (var p = 1u; p < im.pixels; p++) { top = max(top, load(point + p * im.in_stride)); }
    var sum = vec4f();
    var along = vec4f();
    for (var p = 0u; p < im.pixels; p++) {
        let v = exp_minus(top - load(point + p * im.in_stride));
        sum += v;
        along += v * load(own + p * im.in_stride);
    }
    let drift = along / sum;
    for (var p = 0u; p < im.pixels; p++) {
        let v = exp_minus(top - load(point + p * im.in_stride)) / sum;
        y[(lane * im.pixels + p) * im.out_stride + im.out_offset + block] =
            packed(v * select(load(own + p * im.in_stride) - drift, vec4f(1.0), lane == primal));
    }
}
