// y[lane, p, c] = (b[c] + sum_tap w[c, tap] x[lane, stride p + tap - 1, c]) z[p, c], 3x3, CPU adapters; z with TIMES alone.
// Thread map: one thread per (lane, tile of ROWS x COLUMNS output pixels), BLOCKS blocks of 4 channels per workgroup
// (group.y): four fill a cache line, which two cores would otherwise pass to and fro. The tile's outputs share their
// loads; weights stand at constant workgroup addresses (see conv_cc). Outputs beyond the image go to the spare pixel
// behind the buffer; threads beyond the last tile repeat it. Accuracy: nine sequential f32 products.
struct Immediates {
#import lib/conv_immediates.wgsl
#if TIMES
    z_stride: u32, z_first0: u32, z_count0: u32, z_first1: u32, // blocks per pixel of z, its runs of blocks
    z_to: u32, z_from: u32,                                     // lanes per sample of y and of z, where z has those of another space
#endif
}
#import lib/conv.wgsl
#import lib/image.wgsl
const TALL = (ROWS - 1) * STRIDE + 3;
const WIDE = (COLUMNS - 1) * STRIDE + 3;
const WEIGHTS = BLOCKS * 10;
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][in pixels][in_stride]
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;     // [block][9 taps, bias]
#if PAIRS
@group(0) @binding(2) var<storage, read_write> y: array<BlockPair>; // the same, two blocks each
#else
@group(0) @binding(2) var<storage, read_write> y: array<Block>;     // [lane][pixels][out_stride], one spare pixel
#endif
#if TIMES
@group(0) @binding(5) var z: texture_storage_2d<rgba32float, read>; // mirror of [sample or lane][pixels][z_stride]
fn load_z(i: u32) -> vec4f { return textureLoad(z, vec2u(i & 1023u, (i >> 10u) + 1u)); }
#endif
var<workgroup> w: array<vec4f, WEIGHTS>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u,
    @builtin(local_invocation_index) thread: u32) {
    let group = interleaved(id, count);
    if thread < WEIGHTS { w[thread] = weights[group.y * WEIGHTS + thread]; }
    workgroupBarrier();

    let out_h = quotient(im.pixels, im.out_w);
    let across = (im.out_w + $(COLUMNS - 1)u) / $(COLUMNS)u;
    let down = (out_h + $(ROWS - 1)u) / $(ROWS)u;
    let tile = min(group.x * 256u + thread, im.lanes * down * across - 1u);
    let strip = quotient(tile, across);            // over all lanes
    let lane = quotient(strip, down);
    let py = (strip - lane * down) * ROWS;
    let px = (tile - strip * across) * COLUMNS;
    let top = i32(py * STRIDE) - i32(im.above);
    let left = i32(px * STRIDE) - i32(im.left);
    let spare = im.lanes * im.pixels;
    let primal = select(0.0, 1.0, lane == quotient(lane, im.group) * im.group);
#unroll r 0 TALL
    let in$r = top + $r >= 0 && top + $r < i32(im.in_h);
    let at$r = (i32(lane * im.in_h) + top + $r) * i32(im.in_w) + left;
#unroll c 0 WIDE
    let ok$(r)_$c = in$r && left + $c >= 0 && left + $c < i32(im.in_w);
    let from$(r)_$c = (at$r + $c) * i32(im.in_stride);
#end
#end
#unroll v 0 ROWS
#unroll u 0 COLUMNS
    let p$(v)_$u = (lane * out_h + py + $v) * im.out_w + px + $u;
    let to$(v)_$u = select(spare, p$(v)_$u, py + $v < out_h && px + $u < im.out_w) * im.out_stride
        + im.out_offset + group.y * BLOCKS;
#if TIMES
    let z$(v)_$u = (quotient(lane, im.z_to) * im.z_from * im.pixels + min(p$(v)_$u - lane * im.pixels, im.pixels - 1u)) * im.z_stride;
#endif
#end
#end
#unroll b 0 BLOCKS
    let offset$b = i32(block_offset(group.y * BLOCKS + $b));
#if TIMES
    let z_block$b = group.y * BLOCKS + $b + select(im.z_first1, im.z_first0, group.y * BLOCKS + $b < im.z_count0);
#endif
#unroll r 0 TALL
#unroll c 0 WIDE
    let x$(b)_$(r)_$c = load_x(select(ZERO_TEXEL, from$(r)_$c + offset$b, ok$(r)_$c));
#end
#end
#unroll v 0 ROWS
#unroll u 0 COLUMNS
    var a$(b)_$(v)_$u = primal * w[$(b * 10 + 9)];
#unroll r 0 3
#unroll c 0 3
    a$(b)_$(v)_$u += w[$(b * 10 + r * 3 + c)] * x$(b)_$(v * STRIDE + r)_$(u * STRIDE + c);
#end
#end
#if TIMES
    a$(b)_$(v)_$u *= load_z(z$(v)_$u + z_block$b);
#endif
#if !PAIRS
    y[to$(v)_$u + $b] = packed(a$(b)_$(v)_$u);
#endif
#if PAIRS && b % 2 == 1
    y[to$(v)_$u / 2u + $(b / 2)] = BlockPair(packed(a$(b - 1)_$(v)_$u), packed(a$(b)_$(v)_$u));
#endif
#end
#end
#end
}
