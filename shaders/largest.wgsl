// y_c = 1 if channel c is the first of the largest of its head at that pixel, else 0; tangents are 0.
// Thread map: lib/elementwise, the channels of a head in a loop. Exact.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    heads: u32,
    size: u32, // channels of a head
}
#import lib/elementwise.wgsl
#import lib/heads.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let point = (e.lane * im.pixels + e.pixel) * im.in_stride + im.first0;
    var result = vec4f();
#unroll c 0 4
    {
        let channel = 4u * e.block + $(c)u;
        let head = quotient(channel, im.size);
        let first = head * im.size;
        let end = select(first, first + im.size, head < im.heads && e.lane == primal_of(e.lane));
        let own = channel_x(point, min(channel, im.heads * im.size - 1u));
        var wins = end > first;
        for (var l = first; l < end; l++) {
            let v = channel_x(point, l);
            wins = wins && select(v <= own, v < own, l < channel);
        }
        result[$c] = select(0.0, 1.0, wins);
    }
#end
    y[e.y_at] = packed(result);
}
