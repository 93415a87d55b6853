// y[(h, j), i] = s sum_f x[(h, f), i] z[(h, f), j]: how much pixel i of x and pixel j of z agree, by head h. Tangents: the
// product rule. Thread map: lib/elementwise, 4 channels (h, j) each: with ALIGNED = 1 these are 4 pixels of z of one head,
// with 0 any. Accuracy: one f32 sum over the features, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    z_stride: u32, z_first: u32, z_pixels: u32, // blocks per pixel of z, its first block, its pixels
    size: u32,                                  // channels of a head
    channels: u32,                              // of the output
    scale: f32,                                 // s
}
#import lib/elementwise.wgsl
#import lib/second.wgsl
#if !ALIGNED
#import lib/heads.wgsl

// Of the vectors of two pixels that begin at x_at and z_at: the dot products of four channels (h, j) of the output.
fn dots(x_at: u32, z_at: u32, block: u32) -> vec4f {
    var sum = vec4f();
#unroll c 0 4
    {
        let channel = min(4u * block + $(c)u, im.channels - 1u);
        let head = quotient(channel, im.z_pixels);
        let z_pixel = z_at + (channel - head * im.z_pixels) * im.z_stride;
        let first = head * im.size;
        for (var b = first / 4u; 4u * b < first + im.size; b++) {
            let products = load(x_at + b) * load_z(z_pixel + b);
            sum[$c] += dot(select(vec4f(), products, inside(b, first, first + im.size)), vec4f(1.0));
        }
    }
#end
    return sum;
}
#else

// The same where four channels (h, j) have one head. Behind the last pixel of z it is repeated: softmax leaves out what
// that gives.
fn dots(x_at: u32, z_at: u32, block: u32) -> vec4f {
    let per_head = (im.z_pixels + 3u) / 4u;
    let head = quotient(block, per_head);
    let j = 4u * (block - head * per_head);
    let blocks = (im.size + 3u) / 4u;
    let first = head * blocks;
    var sum = vec4f();
    for (var f = 0u; f < blocks; f++) {
        let v = load(x_at + first + f);
#unroll c 0 4
        sum[$c] += dot(v, load_z(z_at + first + min(j + $(c)u, im.z_pixels - 1u) * im.z_stride + f));
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
    var sum = dots(x_own, z_point, e.block);
#if GROUPED
    sum += select(dots(x_point, z_own, e.block), vec4f(), back == 0u);
#endif
    y[e.y_at] = packed(im.scale * sum);
}
