// y[lane, p, o] = act(b[o] + A' M A): the output transform of Winograd's F(4x4, 3x3) (winograd_in), M[lane, tile, position, o] the
// sums over input channels; tangents get no bias. With WHOLE the outputs are 2x2, all of an image. CPU adapters.
// Thread map: one thread per (lane of the part, tile, block, or with PAIRS two blocks). Threads beyond the last repeat it.
// Accuracy: each of the two passes sums at most 5 products by exact constants. The whole convolution, measured: twice the
// rounding of a direct f32 sum in the mean, up to thrice at worst (random inputs; smooth ones: half of it); with WHOLE less.
struct Immediates {
#import lib/conv_immediates.wgsl
    across: u32, first: u32, // tiles in a row, first tile; in_w is the number of tiles here
#import lib/conv_end_immediates.wgsl
}
#import lib/conv.wgsl
#import lib/grid.wgsl
#import lib/image.wgsl
#import lib/conv_ends_cc.wgsl
#import lib/part.wgsl
#import lib/silu.wgsl
#import lib/conv_ended.wgsl
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][tiles][position][out blocks]
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;        // [out blocks]
#if PAIRS
@group(0) @binding(3) var<storage, read_write> y: array<BlockPair>; // the same, two blocks each
#else
@group(0) @binding(3) var<storage, read_write> y: array<Block>;     // [lane][pixels][out_stride]
#endif
#if KEEP
@group(0) @binding(4) var<storage, read_write> slope: array<Block>; // [sample][pixels][out blocks]
#endif

const SIDE = 6 - 3 * WHOLE;    // positions of a side
const OUTPUTS = 4 - 2 * WHOLE; // pixels of a side

#if WHOLE
// What three sums of a row or column of positions become.
struct Side { v0: vec4f, v1: vec4f }

fn transformed(m0: vec4f, m1: vec4f, m2: vec4f) -> Side { return Side(m1 + m2, m1 + m0); }
#else
// What six sums of a row or column of positions become.
struct Side { v0: vec4f, v1: vec4f, v2: vec4f, v3: vec4f }

fn transformed(m0: vec4f, m1: vec4f, m2: vec4f, m3: vec4f, m4: vec4f, m5: vec4f) -> Side {
    let even1 = m1 + m2;
    let odd1 = m1 - m2;
    let even2 = m3 + m4;
    let odd2 = m3 - m4;
    return Side(m0 + even1 + even2, 0.75 * odd1 + 1.5 * odd2, 0.5625 * even1 + 2.25 * even2,
        0.421875 * odd1 + 3.375 * odd2 + m5);
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let across = im.out_blocks / $(1 + PAIRS)u;
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.in_w * across - 1u);
    let p = quotient(i, across);
    let q = quotient(p, im.in_w);
    let lane = lane_of(q);
    let block = $(1 + PAIRS)u * (i - p * across);
    let own = i32((lane * im.in_w + p - q * im.in_w) * im.in_stride + block);
    let primal = select(0.0, 1.0, lane == quotient(lane, im.group) * im.group);
    let height = quotient(im.pixels, im.out_w);
    let tile = im.first + p - q * im.in_w;
    let tile_row = quotient(tile, im.across);
    let top = $(OUTPUTS)u * tile_row;
    let left = $(OUTPUTS)u * (tile - tile_row * im.across);
#unroll n 0 1+PAIRS
#unroll c 0 SIDE
    let t$(n)_$c = transformed(
#unroll r 0 SIDE
        load_x(own + $(SIDE * r + c) * i32(im.out_blocks) + $n),
#end
    );
#end
    let shift$n = primal * bias[block + $(n)u];
    var row$n = vec4f();
#if ROW
    row$n = primal * unpacked(time_rows[lanes[lane].row * im.out_blocks + block + $(n)u]);
#endif
    var gain$n = vec4f(1.0);
#if GAIN
    gain$n = unpacked(gains[lanes[lane].row * im.out_blocks + block + $(n)u]);
#endif
#end
#unroll r 0 OUTPUTS
#unroll n 0 1+PAIRS
    let u$(n)_$r = transformed(
#unroll c 0 SIDE
        t$(n)_$(c).v$r,
#end
    );
#end
#unroll c 0 OUTPUTS
    if top + $(r)u < height && left + $(c)u < im.out_w {
        let pixel = (top + $(r)u) * im.out_w + left + $(c)u;
        let goal = lane * im.pixels + pixel;
        let sample_pixel = sample_of(q) * im.pixels + pixel;
        let at = goal * im.out_stride + im.out_offset + block;
        let v0 = packed(ends(goal, sample_pixel, block, u0_$(r).v$c + shift0, row0, gain0));
#if PAIRS
        let v1 = packed(ends(goal, sample_pixel, block + 1u, u1_$(r).v$c + shift1, row1, gain1));
        y[at / 2u] = BlockPair(v0, v1);
#else
        y[at] = v0;
#endif
    }
#end
#end
}

// One block of a pixel, as conv_cc ends it: pixel of all lanes, pixel of the samples, sums with bias, time row, gain.
fn ends(goal: u32, sample_pixel: u32, block: u32, sums: vec4f, row: vec4f, gain: vec4f) -> vec4f {
    let e = ended(sums, row);
    var v = e.v;
    let slope_at = sample_pixel * im.out_blocks + block;
#if KEEP
    slope[slope_at] = packed(e.slope);
#endif
#if SLOPED
    v *= load_slope(slope_at);
#endif
#if GAIN
    v *= gain;
#endif
#if RESIDUAL
    v = im.s * v + im.t * load_z(goal * im.z_stride + z_offset(block));
#endif
    return v;
}
