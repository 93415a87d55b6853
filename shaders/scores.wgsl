// y[(h, j), i] = s sum_f x[(h, f), i] z[(h, f), j]: how much pixel i of x and pixel j of z agree, by head h. Tangents: the
// product rule. Thread map: lib/elementwise, 4 pixels of z each. Accuracy: one f32 sum over the features, in order.
#import lib/elementwise.wgsl // a: blocks per pixel of z, b: its first, c: its pixels, d: blocks of a head, e: s as bits
#import lib/second.wgsl

// Dot products of the vector at x_at with those at z_at of four pixels of z, from pixel j on. Behind the last pixel of z
// it is repeated: softmax leaves out what that gives.
fn dots(x_at: u32, z_at: u32, j: u32) -> vec4f {
    var sum = vec4f();
    for (var f = 0u; f < im.d; f++) {
        let v = load(x_at + f);
#unroll c 0 4
        sum[$c] += dot(v, load_z(z_at + min(j + $(c)u, im.c - 1u) * im.a + f));
#end
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let per_head = (im.c + 3u) / 4u;
    let head = quotient(e.block, per_head);
    let j = 4u * (e.block - head * per_head);
    let x_own = (e.lane * im.pixels + e.pixel) * im.in_stride + im.first0 + head * im.d;
    let z_own = e.lane * im.c * im.a + im.b + head * im.d;
    let back = e.lane - primal_of(e.lane);
    let x_point = x_own - back * im.pixels * im.in_stride;
    let z_point = z_own - back * im.c * im.a;
    var sum = dots(x_own, z_point, j);
#unroll grouped 0 GROUPED
    sum += select(dots(x_point, z_own, j), vec4f(), back == 0u);
#end
    y[e.y_at] = packed(bitcast<f32>(im.e) * sum);
}
