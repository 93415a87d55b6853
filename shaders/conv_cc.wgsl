// y[lane, p, o] = act(b[o] + sum_{tap, c} w[o, c, tap] x[lane, stride p + tap - padding, c]), CPU adapters.
// Thread map: one thread per (lane, output pixel), 4 M4 output channels per workgroup (z). Weights are staged once into
// workgroup memory and then read at constant addresses in straight-line code, which CPU drivers fold into the arithmetic:
// no branch or loop may stand between the staging and the stores. One dispatch per chunk of CC4 input blocks; later
// chunks add to y. Threads beyond the last pixel write to the spare pixel behind the buffer.
// Accuracy: sequential f32 sum over tap and channel, error <= taps C u sum |w x|, in practice its square root.
#import lib/grid.wgsl
#import lib/conv.wgsl      // a: chunk, b: number of chunks, c: last chunk, d: silu
#import lib/image.wgsl
#import lib/silu.wgsl
const TAPS = KERNEL * KERNEL;
const SIZE = TAPS * CC4 * 4 * M4;
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][in pixels][in_stride]
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;     // [z][chunk][tap][CC4][4][M4], 4 output channels each
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;        // [z][M4]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;     // [lane][pixels][out_stride], one spare pixel
var<workgroup> w: array<vec4f, SIZE>;

@compute @workgroup_size(512)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let base = (group.z * im.b + im.a) * SIZE;
    for (var i = thread; i < SIZE; i += 512u) { w[i] = weights[base + i]; }
    workgroupBarrier();

    let p = workgroup_index(group) * 512u + thread;
    let lane = p / im.pixels;
    let py = p % im.pixels / im.out_w;
    let px = p % im.pixels % im.out_w;
    let top = i32(py * im.stride) - i32(im.padding);
    let left = i32(px * im.stride) - i32(im.padding);
#unroll m 0 M4
    var a$m = vec4f();
#end
#unroll k 0 CC4
    let o$k = i32(select(0u, block_offset(im.a * CC4 + $k), im.a * CC4 + $k < im.blocks));
#end
#unroll t 0 TAPS
    let r$t = top + $(t / KERNEL);
    let c$t = left + $(t % KERNEL);
    let in$t = r$t >= 0 && r$t < i32(im.in_h) && c$t >= 0 && c$t < i32(im.in_w);
    let at$t = ((i32(lane * im.in_h) + r$t) * i32(im.in_w) + c$t) * i32(im.in_stride);
#unroll k 0 CC4
    let x$(t)_$k = load_x(select(ZERO_TEXEL, at$t + o$k, in$t));
#unroll c 0 4
#unroll m 0 M4
    a$m += x$(t)_$k[$c] * w[$(((t * CC4 + k) * 4 + c) * M4 + m)];
#end
#end
#end
#end
    let spare = im.lanes * im.pixels * im.out_stride;
    let out = select(spare, p * im.out_stride, p < im.lanes * im.pixels) + im.out_offset + group.z * M4;
    let primal = select(0.0, 1.0, lane % im.group == 0u);
#unroll m 0 M4
    if im.a > 0u { a$m += y[out + $m]; }
    if im.c > 0u { a$m += primal * bias[group.z * M4 + $m]; }
    if im.d > 0u { a$m = silu(a$m); }
    y[out + $m] = a$m;
#end
}
