// y[lane, p, o] = act(b[o] + sum_{tap, c} w[o, c, tap] x[lane, stride p + tap - padding, c]), CPU adapters.
// Thread map: one thread per (lane, output pixel), 4 M4 output channels per workgroup (group.y). Weights are staged once into
// workgroup memory and then read at constant addresses in straight-line code, which CPU drivers fold into the arithmetic:
// no branch may stand between the staging and the stores, and no loop around them, and none at all where a constant can
// decide (a branch not taken still costs its body). That code is in segments, which the driver runs for every vector of threads
// in turn, so that processors find them in the cache of decoded instructions. One dispatch per chunk of CC4 input blocks; LATER
// chunks add to y. KERNEL = 0 is the plain 1x1. Threads beyond the last pixel repeat it and store in the spare pixel behind the
// buffer: LATER chunks add, once.
// A plain 1x1 may be several, each with weights of its own, of the positions of a pixel, whose blocks lie one behind the
// other in input and output (winograd_in): group.y runs over the groups of all of them.
// On the store, each if its constant is 1: a CURVE or SILU, the time ROW, SiLU AGAIN, the GAIN, the RESIDUAL (`ops::conv::epilogue`);
// with KEEP the slopes of both SiLUs are stored too, with SLOPED tangents are multiplied by them. SPREAD: one phase of `ops::conv::up`.
// LINED: the blocks read lie one behind the other, and are whole chunks.
// Accuracy: sequential f32 sum over tap and channel, error <= taps C u sum |w x|, in practice its square root.
struct Immediates {
#import lib/conv_immediates.wgsl
    chunk: u32, chunks: u32, // this one of so many
#import lib/conv_end_immediates.wgsl
}
#import lib/conv.wgsl
#import lib/image.wgsl
#import lib/conv_ends_cc.wgsl
#import lib/part.wgsl
#import lib/silu.wgsl
#if CURVE
#import lib/curves.wgsl
#endif
#import lib/weights.wgsl   // [group.y][chunk][tap][CC4][4][M4], 4 outputs each
const PLAIN = 1 / (KERNEL + 1);
const SIDE = KERNEL + PLAIN;
const TAPS = SIDE * SIDE;
const RUN = 4; // input blocks at hand at a time
const RUNS = (CC4 + RUN - 1) / RUN;
const SEGMENT = 1024 / (16 * RUN * M4); // runs, of 1,024 multiply-adds in all
const SIZE = TAPS * CC4 * 4 * M4;
const STAGED = (SIZE + WORKGROUP - 1) / WORKGROUP * 8; // by eight threads
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][in pixels][in_stride]
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;        // [group.y][M4]
#if PAIRS
@group(0) @binding(3) var<storage, read_write> y: array<BlockPair>; // the same, two blocks each
#if KEEP
@group(0) @binding(4) var<storage, read_write> slope: array<BlockPair>;
#endif
#else
@group(0) @binding(3) var<storage, read_write> y: array<Block>;     // [lane][pixels][out_stride], one spare pixel
#if KEEP
@group(0) @binding(4) var<storage, read_write> slope: array<Block>; // [sample][pixels][out blocks], one spare pixel
#endif
#endif
var<workgroup> w: array<vec4f, SIZE + M4>;                          // and the bias

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u,
    @builtin(local_invocation_index) thread: u32) {
    let group = interleaved(id, count);
    let base = (group.y * im.chunks + im.chunk) * SIZE;
    // Eight threads, a CPU's vector, stage a run of their own: memory is read in order.
    let first = thread / 8u * STAGED;
    let end = min(first + STAGED, SIZE);
    for (var i = first + thread % 8u; i < end; i += 8u) { w[i] = weight(base + i); }
    if thread < M4 { w[SIZE + thread] = bias[group.y * M4 + thread]; }
    workgroupBarrier();

    let i = group.x * $(WORKGROUP)u + thread;
    let real = i < im.lanes * im.pixels;
    let p = min(i, im.lanes * im.pixels - 1u); // pixel of the part's lanes
    let q = quotient(p, im.pixels);
    let lane = lane_of(q);
    let own = p + (lane - q) * im.pixels;      // pixel of all lanes
#if !PLAIN
    let pixel = p - q * im.pixels;
    let py = quotient(pixel, im.out_w);
    let px = pixel - py * im.out_w;
    let top = i32(py * im.stride) - i32(im.above);
    let left = i32(px * im.stride) - i32(im.left);
#endif
#if SPREAD
    let goal = 4u * (own - pixel) + 4u * im.out_w * py + 2u * px + im.phase; // of an image of twice the size
#else
    let goal = own;
#endif
    let spare = all_lanes() * im.pixels * (1 + 3 * SPREAD);
    let out = select(spare, goal, real) * im.out_stride + im.out_offset + group.y * M4;
#if KEEP
    let slope_at = select(im.lanes * im.pixels, p, real) * im.out_blocks + group.y * M4;
#endif
#if SLOPED
    let slope_at = (p + (sample_of(q) - q) * im.pixels) * im.out_blocks + group.y * M4;
#endif
    let primal = select(0.0, 1.0, lane == quotient(lane, im.group) * im.group);
#unroll m 0 M4
#if LATER
#if !PAIRS
    var a$m = unpacked(y[out + $m]);
#endif
#if PAIRS && m % 2 == 0
    let before$m = y[out / 2u + $(m / 2)];
    var a$m = unpacked(before$m.xy);
    var a$(m + 1) = unpacked(before$m.zw);
#endif
#else
    var a$m = primal * w[$(SIZE + m)];
#endif
#end
#if LINED
    let front = i32(im.first0 + im.chunk * CC4);
#unroll k 0 CC4
    let o$k = front + $k;
#end
#else
#unroll k 0 CC4
    let o$k = i32(select(0u, block_offset(im.chunk * CC4 + $k), im.chunk * CC4 + $k < im.blocks));
#end
#endif
#if PLAIN
    let at0 = i32(own * im.in_stride + quotient(group.y * M4, im.out_blocks) * im.blocks);
#endif
#unroll t 0 TAPS
#if !PLAIN
    let r$t = top + $(t / SIDE);
    let c$t = left + $(t % SIDE);
    let in$t = r$t >= 0 && r$t < i32(im.in_h) && c$t >= 0 && c$t < i32(im.in_w);
    let at$t = ((i32(lane * im.in_h) + r$t) * i32(im.in_w) + c$t) * i32(im.in_stride);
#endif
#unroll g 0 RUNS
#if 0 < t * RUNS + g && (t * RUNS + g) % SEGMENT == 0
    // There is always a chunk: the loop never changes a sum. It makes the driver keep the sums themselves over the barrier, where
    // it would keep the operands of the last additions, several of each, and add once more.
    for (var chunks = im.chunks; chunks < 1u; chunks++) {
#unroll m 0 M4
        a$m = vec4f(f32(chunks));
#end
    }
    workgroupBarrier();
#endif
#unroll k g*RUN g*RUN+RUN
#if k < CC4
#if PLAIN
    let x$(t)_$k = load_x(at0 + o$k);
#else
    let x$(t)_$k = load_x(select(ZERO_TEXEL, at$t + o$k, in$t));
#endif
#endif
#end
#unroll m 0 M4
#unroll k g*RUN g*RUN+RUN
#if k < CC4
#unroll c 0 4
    a$m += x$(t)_$k[$c] * w[$(((t * CC4 + k) * 4 + c) * M4 + m)];
#end
#endif
#end
#end
#end
#end
#if !(!ROW && !GAIN)
    let row_at = lanes[lane].row * im.out_blocks + group.y * M4;
#endif
#unroll m 0 M4
#if CURVE
    a$m = curved(a$m).value;
#endif
#if KEEP
    var slope$m = vec4f(1.0);
#if SILU
    slope$m = silu_slope(a$m);
#endif
#endif
#if SILU
    a$m = silu(a$m);
#endif
#if ROW
    a$m += primal * unpacked(time_rows[row_at + $m]);
#endif
#if AGAIN
#if KEEP
    slope$m *= silu_slope(a$m);
#endif
    a$m = silu(a$m);
#endif
#if SLOPED
    a$m *= load_slope(slope_at + $m);
#endif
#if GAIN
    a$m *= unpacked(gains[row_at + $m]);
#endif
#if RESIDUAL
    a$m = im.s * a$m + im.t * load_z(goal * im.z_stride + z_offset(group.y * M4 + $m));
#endif
#if !PAIRS
    y[out + $m] = packed(a$m);
#if KEEP
    slope[slope_at + $m] = packed(slope$m);
#endif
#endif
#if PAIRS && m % 2 == 1
    y[out / 2u + $(m / 2)] = BlockPair(packed(a$(m - 1)), packed(a$m));
#if KEEP
    slope[slope_at / 2u + $(m / 2)] = BlockPair(packed(slope$(m - 1)), packed(slope$m));
#endif
#endif
#end
}
