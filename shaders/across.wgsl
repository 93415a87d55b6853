// y[lane, o, c] = f(b[o] + sum_p w[o, p] x[lane, p, c]), o and p pixels: a layer over the pixels of an image (`passes::fused::across`), with
// CURVE a function of lib/curves. Tangents get no bias. CPU adapters.
// Thread map: one thread per (lane, block of 4 channels), MANY outputs per workgroup (group.y); neighbouring threads read neighbouring
// blocks. Weights as in conv_cc: staged once, then read at constant addresses in straight-line code, in segments. Threads beyond the last block
// repeat it, and outputs beyond the last are the last once more.
// Accuracy: sequential f32 sum over the pixels.
struct Immediates {
    lanes: u32,
    in_stride: u32, out_stride: u32, out_offset: u32, // blocks per pixel of x and of y, first block written
    blocks: u32,                                      // of a pixel
    goals: u32,                                       // pixels of y
    first0: u32, count0: u32, first1: u32,            // lib/conv
    group: u32,                                       // lanes per sample
}
#import lib/conv.wgsl
#import lib/image.wgsl
#import lib/silu.wgsl
#if CURVE
#import lib/curves.wgsl
#endif
#import lib/weights.wgsl // [group.y][PIXELS][M4], 4 outputs each
const M4 = (MANY + 3) / 4;
const RUN = 4;           // pixels at hand at a time
const RUNS = (PIXELS + RUN - 1) / RUN;
const SEGMENT = 256 / (RUN * MANY); // runs, of 1,024 multiply-adds in all
const SIZE = PIXELS * M4;
const STAGED = (SIZE + WORKGROUP - 1) / WORKGROUP * 8; // by eight threads
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][PIXELS][in_stride]
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;        // [group.y][M4]
@group(0) @binding(3) var<storage, read_write> y: array<Block>;     // [lane][goals][out_stride]
var<workgroup> w: array<vec4f, SIZE + M4>;                          // and the bias

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u,
    @builtin(local_invocation_index) thread: u32) {
    let group = interleaved(id, count);
    let first = thread / 8u * STAGED;
    let end = min(first + STAGED, SIZE);
    for (var i = first + thread % 8u; i < end; i += 8u) { w[i] = weight(group.y * SIZE + i); }
    if thread < M4 { w[SIZE + thread] = bias[group.y * M4 + thread]; }
    workgroupBarrier();

    let i = min(group.x * $(WORKGROUP)u + thread, im.lanes * im.blocks - 1u);
    let lane = quotient(i, im.blocks);
    let block = i - lane * im.blocks;
    let primal = select(0.0, 1.0, lane == quotient(lane, im.group) * im.group);
    let at = i32(lane * PIXELS * im.in_stride + block_offset(block));
    let stride = i32(im.in_stride);
#unroll m 0 MANY
    var a$m = vec4f(primal * w[$(SIZE + m / 4)][$(m % 4)]);
#end
#unroll g 0 RUNS
#if 0 < g && g % SEGMENT == 0
    // There is always a pixel: the loop never changes a sum (conv_cc says what it is for).
    for (var goals = im.goals; goals < 1u; goals++) {
#unroll m 0 MANY
        a$m = vec4f(f32(goals));
#end
    }
    workgroupBarrier();
#endif
#unroll p g*RUN g*RUN+RUN
#if p < PIXELS
    let x$p = load_x(at + $p * stride);
#endif
#end
#unroll m 0 MANY
#unroll p g*RUN g*RUN+RUN
#if p < PIXELS
    a$m += x$p * w[$(p * M4 + m / 4)][$(m % 4)];
#endif
#end
#end
#end
    let out = lane * im.goals * im.out_stride + im.out_offset + block;
    let goal = group.y * MANY;
#unroll m 0 MANY
#if CURVE
    y[out + min(goal + $m, im.goals - 1u) * im.out_stride] = packed(curved(a$m).value);
#else
    y[out + min(goal + $m, im.goals - 1u) * im.out_stride] = packed(a$m);
#endif
#end
}
