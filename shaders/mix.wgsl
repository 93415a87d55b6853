// y[(h, f), i] = sum_j x[(h, j), i] z_h[f, j]: z_h is pixel j and channel (h, f) of z, or where z has one row of pixels per
// head, pixel (h, j) and channel f. Tangents: the product rule.
// Thread map: lib/elementwise; with ALIGNED = 1 the 4 channels of a thread have one head. Accuracy: one f32 sum over j, in order.
#import lib/elementwise.wgsl // a: blocks per pixel of z, b: its first, c: its pixels, d: j per head, e: f per head,
                             // f: heads. Where c is not d, z has a row of pixels per head
#import lib/second.wgsl
#if !ALIGNED
#import lib/heads.wgsl

// Of the lane of z that begins at z_at, with the weights of the pixel at x_at: four channels (h, f) of the output.
fn mixed(x_at: u32, z_at: u32, block: u32) -> vec4f {
    var sum = vec4f();
#unroll c 0 4
    {
        let channel = 4u * block + $(c)u;
        let head = quotient(channel, im.e);
        let row = select(head, 0u, im.c == im.d);
        let z_channel = channel - row * im.e;
        let z_first = z_at + row * im.d * im.a;
        // Behind the last head there is nothing to sum.
        for (var j = select(im.d, 0u, head < im.f); j < im.d; j++) {
            sum[$c] += channel_x(x_at, head * im.d + j) * channel_z(z_first + j * im.a, z_channel);
        }
    }
#end
    return sum;
}
#else

// The same where four channels (h, f) have one head.
fn mixed(x_at: u32, z_at: u32, block: u32) -> vec4f {
    let weights = (im.d + 3u) / 4u;
    let features = (im.e + 3u) / 4u;
    let head = quotient(block, features);
    let x_first = x_at + head * weights;
    let row = select(head, 0u, im.c == im.d);
    let z_first = z_at + row * im.d * im.a + block - row * features;
    var sum = vec4f();
    for (var j = 0u; j < weights; j++) {
        let v = load(x_first + j);
#unroll c 0 4
        sum += v[$c] * load_z(z_first + min(4u * j + $(c)u, im.c - 1u) * im.a);
#end
    }
    return sum;
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let x_own = (e.lane * im.pixels + e.pixel) * im.in_stride + im.first0;
    let z_own = e.lane * im.c * im.a + im.b;
    let back = e.lane - primal_of(e.lane);
    let x_point = x_own - back * im.pixels * im.in_stride;
    let z_point = z_own - back * im.c * im.a;
    var sum = mixed(x_own, z_point, e.block);
#if GROUPED
    sum += select(mixed(x_point, z_own, e.block), vec4f(), back == 0u);
#endif
    y[e.y_at] = packed(sum);
}
