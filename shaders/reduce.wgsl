// One number of the channels of each head, at each pixel: s sum_l x_l, |x|, or max_l x_l. Tangents: s sum_l x'_l; <x, x'> / |x|, 0 where
// x is; that of the first of the largest.
// Thread map: one thread per (lane, pixel), heads and blocks in loops. Accuracy: one f32 sum, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    heads: u32,
    size: u32,  // channels of a head
    scale: f32, // s
}
#import lib/elementwise.wgsl
#import lib/heads.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let p = min(workgroup_index(group) * 256u + thread, im.lanes * im.pixels - 1u);
    let lane = quotient(p, im.pixels);
    let primal = primal_of(lane);
    let own = p * im.in_stride + im.first0;
    let point = own - (lane - primal) * im.pixels * im.in_stride;
    let out = p * im.out_stride + im.out_offset;
    for (var block = 0u; block < im.blocks; block++) {
        var result = vec4f();
#unroll c 0 4
        {
            let head = 4u * block + $(c)u;
            let first = head * im.size;
            let end = select(first, first + im.size, head < im.heads);
#if SUM
            var sum = 0.0;
            for (var b = first / 4u; 4u * b < end; b++) {
                sum += dot(select(vec4f(), load(own + b), inside(b, first, end)), vec4f(1.0));
            }
            result[$c] = im.scale * sum;
#endif
#if LENGTH
            var squares = 0.0;
            var along = 0.0;
            for (var b = first / 4u; 4u * b < end; b++) {
                let v = select(vec4f(), load(point + b), inside(b, first, end));
                squares += dot(v, v);
                along += dot(v, load(own + b));
            }
            let length = sqrt(squares);
            result[$c] = select(select(along / length, 0.0, length == 0.0), length, lane == primal);
#endif
#if MOST
            var most = -3.4028234e38;
            var moved = 0.0;
            for (var l = first; l < end; l++) {
                let v = channel_x(point, l);
                moved = select(moved, channel_x(own, l), v > most || l == first);
                most = max(most, v);
            }
            result[$c] = select(0.0, select(moved, most, lane == primal), head < im.heads);
#endif
        }
#end
        y[out + block] = packed(result);
    }
}
