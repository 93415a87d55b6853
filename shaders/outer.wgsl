// y[f, (h, d)] = sum_i x[(h, d), i] z[(h, f), i]: the sum over pixels of outer products, by head h. Tangents: the product
// rule. Thread map: one thread per (lane, 4 of (h, d), block of f) with ALIGNED = 1, one per (lane, (h, d), block of f) with
// 0, pixels in a loop. Accuracy: one f32 sum, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    z_stride: u32, z_first: u32, // blocks per pixel of z, its first block
    in_pixels: u32,              // of x and z
    columns: u32, features: u32, // channels of a head of x, of z
}
#import lib/elementwise.wgsl
#import lib/second.wgsl
#if !ALIGNED
#import lib/heads.wgsl

// Sum over the pixels from x_at and z_at on: a channel of x times four of its head in z.
fn products(x_at: u32, z_at: u32, channel: u32, block: u32) -> vec4f {
    let first = quotient(channel, im.columns) * im.features;
    var sum = vec4f();
    for (var p = 0u; p < im.in_pixels; p++) {
        let a = channel_x(x_at + p * im.in_stride, channel);
        let z_pixel = z_at + p * im.z_stride;
#unroll c 0 4
        sum[$c] += a * channel_z(z_pixel, first + min(4u * block + $(c)u, im.features - 1u));
#end
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let x_own = x_lane(e.lane) * im.in_pixels * im.in_stride + im.first0;
    let z_own = z_lane(e.lane) * im.in_pixels * im.z_stride + im.z_first;
    let back = e.lane - primal_of(e.lane);
    let x_point = x_own - back * im.in_pixels * im.in_stride;
    let z_point = z_own - back * im.in_pixels * im.z_stride;
    var sum = products(x_own, z_point, e.pixel, e.block);
#if GROUPED
    sum += select(products(x_point, z_own, e.pixel, e.block), vec4f(), back == 0u);
#endif
    y[e.y_at] = packed(sum);
}
#else

// Sum over the pixels from x_at and z_at on; one column per channel of x.
fn products(x_at: u32, z_at: u32) -> mat4x4f {
#unroll c 0 4
    var sum$c = vec4f();
#end
    for (var p = 0u; p < im.in_pixels; p++) {
        let a = load(x_at + p * im.in_stride);
        let b = load_z(z_at + p * im.z_stride);
#unroll c 0 4
        sum$c += a[$c] * b;
#end
    }
    return mat4x4f(sum0, sum1, sum2, sum3);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let rows = im.pixels / 4u;
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * rows * im.blocks - 1u);
    let part = quotient(i, im.blocks);
    let block = i - part * im.blocks;
    let lane = quotient(part, rows);
    let row = part - lane * rows;
    let head = quotient(row, im.columns / 4u);
    let x_own = x_lane(lane) * im.in_pixels * im.in_stride + im.first0 + row;
    let z_own = z_lane(lane) * im.in_pixels * im.z_stride + im.z_first + head * im.blocks + block;
    let back = lane - primal_of(lane);
    let x_point = x_own - back * im.in_pixels * im.in_stride;
    let z_point = z_own - back * im.in_pixels * im.z_stride;
    let sum = products(x_own, z_point);
#if GROUPED
    let along = products(x_point, z_own);
#endif
    let out = (lane * im.pixels + 4u * row) * im.out_stride + im.out_offset + block;
#unroll c 0 4
#if GROUPED
    y[out + $(c)u * im.out_stride] = packed(sum[$c] + select(along[$c], vec4f(), back == 0u));
#else
    y[out + $(c)u * im.out_stride] = packed(sum[$c]);
#endif
#end
}
#endif
