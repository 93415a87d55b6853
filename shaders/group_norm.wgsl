// y = act(a x + c + b x0): GroupNorm by the coefficients that `norm_coefficients` made; x0 is the primal's x, and b is 0 for
// values. Thread map: lib/elementwise. Accuracy: two f32 products and their sum, and that of lib/silu.
struct Immediates {
#import lib/elementwise_immediates.wgsl
}
#import lib/elementwise.wgsl
#import lib/activation.wgsl
#import lib/second.wgsl // z: [lane][3][blocks]: a, c, b

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
#if PAIRS
    y[e.y_at / 2u] = BlockPair(packed(normalised(e)), packed(normalised(next(e))));
#else
    y[e.y_at] = packed(normalised(e));
#endif
}

fn normalised(e: Element) -> vec4f {
    let own = load(x_at(e));
    let at = 3u * e.lane * im.blocks + e.block;
    var v = load_z(at) * own + load_z(at + im.blocks);
#if GROUPED
    let point = load((primal_of(e.lane) * im.pixels + e.pixel) * im.in_stride + e.block_at);
    v += load_z(at + 2u * im.blocks) * point;
#endif
    return activated(e, v);
}
