// One of x z, x / z, max(x, z), min(x, z), 1 where max or min is z (ABOVE, BELOW), s x + t z, where z may have one channel for all
// (BY_PIXEL), one pixel for all (BY_CHANNEL), or both. Tangents: the product rule; of max and min those of the number that is taken, x
// if both are alike; 0 of which it is.
// Thread map: lib/elementwise. Accuracy: one f32 operation, or two products and their sum.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    z_stride: u32,                               // blocks per pixel of z
    z_first0: u32, z_count0: u32, z_first1: u32, // its runs of blocks, as those of x
    s: f32, t: f32,
}
#import lib/elementwise.wgsl
#import lib/second.wgsl
#if QUOTIENT
#import lib/there.wgsl
#endif

// z of a lane at a pixel and block of x.
fn beside(lane: u32, pixel: u32, block: u32) -> vec4f {
#if BY_CHANNEL
    let at = z_lane(lane) * im.z_stride;
#else
    let at = (z_lane(lane) * im.pixels + pixel) * im.z_stride;
#endif
#if BY_PIXEL
    return vec4f(load_z(at + im.z_first0).x);
#else
    return load_z(at + block + select(im.z_first1, im.z_first0, block < im.z_count0));
#endif
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let a = load(x_at(e));
    let b = beside(e.lane, e.pixel, e.block);
#if SUM
    y[e.y_at] = packed(im.s * a + im.t * b);
#else
#if GROUPED
    let primal = primal_of(e.lane);
    let p = load((primal * im.pixels + e.pixel) * im.in_stride + e.block_at);
    let q = beside(primal, e.pixel, e.block);
#else
    let primal = e.lane;
    let p = a;
    let q = b;
#endif
#if PRODUCT
    let value = p * q;
    let along = a * q + p * b;
#endif
#if QUOTIENT
    let value = only_there(e.block, p / q);
    let along = only_there(e.block, (a - value * b) / q);
#endif
#if LARGER
    let value = select(p, q, q > p);
    let along = select(a, b, q > p);
#endif
#if SMALLER
    let value = select(p, q, q < p);
    let along = select(a, b, q < p);
#endif
#if ABOVE
    let value = select(vec4f(), vec4f(1.0), q > p);
    let along = vec4f();
#endif
#if BELOW
    let value = select(vec4f(), vec4f(1.0), q < p);
    let along = vec4f();
#endif
    y[e.y_at] = packed(select(along, value, e.lane == primal));
#endif
}
