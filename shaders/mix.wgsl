// y[(h, f), i] = sum_j x[(h, j), i] z_h[f, j]: z_h is pixel j and channel (h, f) of z, or where z has one row of pixels per
// head, pixel (h, j) and channel f. Tangents: the product rule.
// Thread map: lib/elementwise. Accuracy: one f32 sum over j, in order.
#import lib/elementwise.wgsl // a: blocks per pixel of z, b: its first, c: its pixels, d: blocks of j, e: blocks of f,
                             // f: 1 where z has a row per head
#import lib/second.wgsl

// Sum of the vectors from z_at on with the weights from x_at on.
fn mixed(x_at: u32, z_at: u32) -> vec4f {
    var sum = vec4f();
    for (var j = 0u; j < im.d; j++) {
        let v = load(x_at + j);
#unroll c 0 4
        sum += v[$c] * load_z(z_at + min(4u * j + $(c)u, im.c - 1u) * im.a);
#end
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let head = quotient(e.block, im.e);
    let x_own = (e.lane * im.pixels + e.pixel) * im.in_stride + im.first0 + head * im.d;
    let z_own = (e.lane * im.c + im.f * head * 4u * im.d) * im.a + im.b + e.block - im.f * head * im.e;
    let back = e.lane - primal_of(e.lane);
    let x_point = x_own - back * im.pixels * im.in_stride;
    let z_point = z_own - back * im.c * im.a;
    var sum = mixed(x_own, z_point);
#unroll grouped 0 GROUPED
    sum += select(mixed(x_point, z_own), vec4f(), back == 0u);
#end
    y[e.y_at] = packed(sum);
}
