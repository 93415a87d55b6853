// V[lane, tile, position, c] = B' d B: the input transform of Winograd's minimal filtering F(4x4, 3x3) (Lavin, Gray,
// arXiv 1509.09308) with the points 0, +-3/4, +-3/2 and infinity; d is the 6x6 pixels that the tile's 4x4 outputs read. With WHOLE
// d is all of an image of 2x2 pixels, and V its pixels, the sums of two, and the sum of all (`ops::conv::winograd`). CPU adapters.
// Linear: all lanes alike. Thread map: lib/elementwise over (lane, tile, block).
// Accuracy: each of the two passes sums at most 3 products by exact constants, error <= 4 u sum of their sizes.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    in_h: u32, in_w: u32,  // pixels of x
    across: u32,           // tiles in a row
    above: u32, left: u32, // zeros
    first: u32,            // tile
}
#import lib/elementwise.wgsl

const READ = 6 - 4 * WHOLE; // pixels of a side
const SIDE = 6 - 3 * WHOLE; // positions of a side

#if WHOLE
// What the two pixels of a row or column become.
struct Side { v0: vec4f, v1: vec4f, v2: vec4f }

fn transformed(d0: vec4f, d1: vec4f) -> Side { return Side(d0, d0 + d1, d1); }
#else
// What six pixels of a row or column become.
struct Side { v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f, v4: vec4f, v5: vec4f }

fn transformed(d0: vec4f, d1: vec4f, d2: vec4f, d3: vec4f, d4: vec4f, d5: vec4f) -> Side {
    let even1 = d4 - 2.25 * d2;
    let odd1 = 0.75 * (d3 - 2.25 * d1);
    let even2 = d4 - 0.5625 * d2;
    let odd2 = 1.5 * (d3 - 0.5625 * d1);
    return Side(1.265625 * d0 - 2.8125 * d2 + d4, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2,
        1.265625 * d1 - 2.8125 * d3 + d5);
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let tile = im.first + e.pixel;
    let row = quotient(tile, im.across);
    let top = i32(4u * row) - i32(im.above);
    let left = i32(4u * (tile - row * im.across)) - i32(im.left);
#unroll r 0 READ
    let in$r = top + $r >= 0 && top + $r < i32(im.in_h);
    let at$r = (i32(e.lane * im.in_h) + top + $r) * i32(im.in_w) + left;
#end
#unroll c 0 READ
    let on$c = left + $c >= 0 && left + $c < i32(im.in_w);
#end
#unroll n 0 1+PAIRS
#unroll c 0 READ
#unroll r 0 READ
    let d$(n)_$(r)_$c = load_x(select(ZERO_TEXEL, (at$r + $c) * i32(im.in_stride) + i32(e.block_at) + $n, in$r && on$c));
#end
    let t$(n)_$c = transformed(
#unroll r 0 READ
        d$(n)_$(r)_$c,
#end
    );
#end
#end
#unroll r 0 SIDE
#unroll n 0 1+PAIRS
    let u$(n)_$r = transformed(
#unroll c 0 READ
        t$(n)_$(c).v$r,
#end
    );
#end
#unroll c 0 SIDE
#if PAIRS
    y[(e.y_at + $(SIDE * r + c)u * im.blocks) / 2u] = BlockPair(packed(u0_$(r).v$c), packed(u1_$(r).v$c));
#else
    y[e.y_at + $(SIDE * r + c)u * im.blocks] = packed(u0_$(r).v$c);
#endif
#end
#end
}
