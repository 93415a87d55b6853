// y[(h, f), i] = sum_j x[(h, j), i] z_h[f, j]: z_h is pixel j and channel (h, f) of z, or where z has one row of pixels per
// head, pixel (h, j) and channel f. Tangents: the product rule.
// Thread map: lib/elementwise; with ALIGNED = 1 the 4 channels of a thread have one head. Accuracy: one f32 sum over j, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    z_stride: u32, z_first: u32, z_pixels: u32, // blocks per pixel of z, its first block, its pixels
    vectors: u32, features: u32, heads: u32,    // j per head, f per head; where z_pixels is not vectors, z has a row of
                                                // pixels per head
}
#import lib/elementwise.wgsl
#import lib/second.wgsl
#if !ALIGNED
#import lib/heads.wgsl

// Of the lane of z that begins at z_at, with the weights of the pixel at x_at: four channels (h, f) of the output.
fn mixed(x_at: u32, z_at: u32, block: u32) -> vec4f {
    var sum = vec4f();
#unroll c 0 4
    {
        let channel = 4u * block + $(c)u;
        let head = quotient(channel, im.features);
        let row = select(head, 0u, im.z_pixels == im.vectors);
        let z_channel = channel - row * im.features;
        let z_first = z_at + row * im.vectors * im.z_stride;
        // Behind the last head there is nothing to sum.
        for (var j = select(im.vectors, 0u, head < im.heads); j < im.vectors; j++) {
            sum[$c] += channel_x(x_at, head * im.vectors + j) * channel_z(z_first + j * im.z_stride, z_channel);
        }
    }
#end
    return sum;
}
#else

// The same where four channels (h, f) have one head.
fn mixed(x_at: u32, z_at: u32, block: u32) -> vec4f {
    let weights = (im.vectors + 3u) / 4u;
    let features = (im.features + 3u) / 4u;
    let head = quotient(block, features);
    let x_first = x_at + head * weights;
    let row = select(head, 0u, im.z_pixels == im.vectors);
    let z_first = z_at + row * im.vectors * im.z_stride + block - row * features;
    var sum = vec4f();
    for (var j = 0u; j < weights; j++) {
        let v = load(x_first + j);
#unroll c 0 4
#if MASKED
        sum += select(0.0, v[$c], 4u * j + $(c)u < im.vectors) * load_z(z_first + min(4u * j + $(c)u, im.z_pixels - 1u) * im.z_stride);
#else
        sum += v[$c] * load_z(z_first + (4u * j + $(c)u) * im.z_stride);
#endif
#end
    }
    return sum;
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let x_own = (e.lane * im.pixels + e.pixel) * im.in_stride + im.first0;
    let z_own = e.lane * im.z_pixels * im.z_stride + im.z_first;
    let back = e.lane - primal_of(e.lane);
    let x_point = x_own - back * im.pixels * im.in_stride;
    let z_point = z_own - back * im.z_pixels * im.z_stride;
    var sum = mixed(x_own, z_point, e.block);
#if GROUPED
    sum += select(mixed(x_point, z_own, e.block), vec4f(), back == 0u);
#endif
    y[e.y_at] = packed(sum);
}
