// y_c = g_c x_c / max(|x|, 1e-12), |x| over the channels of a pixel. Tangents: y' = g (x' - x <x, x'> / |x|^2) / |x|.
// Thread map: one thread per (lane, pixel), blocks in a loop. Accuracy: one f32 sum over the channels, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
}
#import lib/elementwise.wgsl
@group(0) @binding(2) var<storage, read> gains: array<vec4f>; // [blocks][2]: g, and 1 where there is a channel

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.pixels - 1u);
    let lane = quotient(i, im.pixels);
    let primal = primal_of(lane);
    let own_at = i * im.in_stride;
    let point_at = (i - (lane - primal) * im.pixels) * im.in_stride;
    var squares = 0.0;
    var along = 0.0;
    for (var b = 0u; b < im.blocks; b++) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        let point = load(point_at + offset) * gains[2u * b + 1u];
        squares += dot(point, point);
        along += dot(point, load(own_at + offset));
    }
    let norm = max(sqrt(squares), 1e-12);
    let drift = select(along / (norm * norm), 0.0, lane == primal);
    for (var b = 0u; b < im.blocks; b++) {
        let offset = b + select(im.first1, im.first0, b < im.count0);
        let v = (load(own_at + offset) - drift * load(point_at + offset)) / norm;
        y[i * im.out_stride + im.out_offset + b] = packed(gains[2u * b] * v);
    }
}
