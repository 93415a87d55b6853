// y[lane, p, o] = act(b[o] + A' M A): the output transform of Winograd's F(4x4, 3x3) (winograd_in), M[lane, tile, position, o] the
// sums over input channels; tangents get no bias. SILU, KEEP and SLOPED as in lib/activation.
// Thread map: one thread per (lane of the part, tile, block). Threads beyond the last repeat it.
// Accuracy: each of the two passes sums at most 5 products by exact constants. The whole convolution, measured: twice the
// rounding of a direct f32 sum in the mean, up to thrice at worst (random inputs; smooth ones: half of it).
#import lib/elementwise.wgsl // a: tiles across, b: tiles here, c: first tile, d: output width, e: output height
#import lib/activation.wgsl
#unroll valued SLOPED 1
@group(0) @binding(2) var<storage, read> bias: array<vec4f>; // [blocks]
#end

// What six sums of a row or column of positions become.
struct Four { v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f }

fn transformed(m0: vec4f, m1: vec4f, m2: vec4f, m3: vec4f, m4: vec4f, m5: vec4f) -> Four {
    let even1 = m1 + m2;
    let odd1 = m1 - m2;
    let even2 = m3 + m4;
    let odd2 = m3 - m4;
    return Four(m0 + even1 + even2, 0.75 * odd1 + 1.5 * odd2, 0.5625 * even1 + 2.25 * even2,
        0.421875 * odd1 + 3.375 * odd2 + m5);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.b * im.blocks - 1u);
    let p = quotient(i, im.blocks);
    let q = quotient(p, im.b);
    let lane = lane_of(q);
    let block = i - p * im.blocks;
    let own = (lane * im.b + p - q * im.b) * im.in_stride + block;
#unroll c 0 6
    let t$c = transformed(
#unroll r 0 6
        load(own + $(6 * r + c)u * im.blocks),
#end
    );
#end
    var shift = vec4f();
#unroll valued SLOPED 1
    shift = select(0.0, 1.0, lane == primal_of(lane)) * bias[block];
#end
    let tile = im.c + p - q * im.b;
    let row = quotient(tile, im.a);
    let top = 4u * row;
    let left = 4u * (tile - row * im.a);
#unroll r 0 4
    let u$r = transformed(t0.v$r, t1.v$r, t2.v$r, t3.v$r, t4.v$r, t5.v$r);
#unroll c 0 4
    if top + $(r)u < im.e && left + $(c)u < im.d {
        store(lane, sample_of(q), (top + $(r)u) * im.d + left + $(c)u, block, u$r.v$c + shift);
    }
#end
#end
}

fn store(lane: u32, sample: u32, pixel: u32, block: u32, v: vec4f) {
    let y_at = (lane * im.pixels + pixel) * im.out_stride + im.out_offset + block;
    let e = Element(lane, pixel, block, block, y_at, (sample * im.pixels + pixel) * im.blocks + block);
    y[y_at] = packed(activated(e, v));
}
