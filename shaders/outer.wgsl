// y[f, (h, d)] = sum_i x[(h, d), i] z[(h, f), i]: the sum over pixels of outer products, by head h. Tangents: the product
// rule. Thread map: one thread per (lane, 4 of (h, d), block of f), pixels in a loop. Accuracy: one f32 sum, in order.
#import lib/elementwise.wgsl // a: blocks per pixel of z, b: its first, c: pixels of x and z, d: blocks of a head
#import lib/second.wgsl

// Sum over the pixels from x_at and z_at on; one column per channel of x.
fn products(x_at: u32, z_at: u32) -> mat4x4f {
#unroll c 0 4
    var sum$c = vec4f();
#end
    for (var p = 0u; p < im.c; p++) {
        let a = load(x_at + p * im.in_stride);
        let b = load_z(z_at + p * im.a);
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
    let head = quotient(row, im.d);
    let x_own = lane * im.c * im.in_stride + im.first0 + row;
    let z_own = lane * im.c * im.a + im.b + head * im.d + block;
    let back = lane - primal_of(lane);
    let x_point = x_own - back * im.c * im.in_stride;
    let z_point = z_own - back * im.c * im.a;
    let sum = products(x_own, z_point);
#unroll grouped 0 GROUPED
    let along = products(x_point, z_own);
#end
    let out = (lane * im.pixels + 4u * row) * im.out_stride + im.out_offset + block;
#unroll c 0 4
#unroll single GROUPED 1
    y[out + $(c)u * im.out_stride] = packed(sum[$c]);
#end
#unroll grouped 0 GROUPED
    y[out + $(c)u * im.out_stride] = packed(sum[$c] + select(along[$c], vec4f(), back == 0u));
#end
#end
}
