// As conv, by cooperative matrices of SIDE x SIDE. SPLIT = 0: of f32. SPLIT = 1: every factor as two f16,
// x = (h + 2^-11 l) / s, and three products with f32 sums, y = [HH + 2^-11 (HL + LH)] / (s_x s_w); LL is dropped. s_x is a
// power of two per output pixel, which takes the largest |x| under its window to 2^11..2^12: the window alone decides on it,
// so a value depends neither on its tile nor on a band. s_w is one per tensor (`ops::conv::coop`).
// Thread map: four subgroups of LANES make a tile of 64 pixels x 64 channels, 32 x 32 each.
// Accuracy, split: |error| <= (3 2^-22 + 512/16 2^-23) sum |w x| for sums of any length: partial sums of 512 products, which
// hardware may truncate, are added up in f32; below 2^-26 of the window's largest value, absolute, 2^-48 of that.
// Zeros stay zero; windows or weights beyond 2^115 may overflow; numbers that are not finite stay so.
#if SPLIT
enable f16;
#endif
enable wgpu_cooperative_matrix;
#import lib/grid.wgsl
struct Immediates {
#import lib/conv_immediates.wgsl
    kernel: u32,      // side
    weight_unit: f32, // 1 / s_w
#import lib/conv_end_immediates.wgsl
}
#import lib/conv.wgsl
#import lib/portable.wgsl
#import lib/part.wgsl
#import lib/silu.wgsl
#import lib/weights.wgsl   // [WEIGHTS parts][tap][4 block + component][out blocks]
#import lib/conv_load.wgsl
#import lib/conv_store.wgsl
#if SPLIT
@group(0) @binding(9) var<storage, read> maxima: array<f32>; // [lane][pixels], of `window_max`
alias Part = f16;
#else
alias Part = f32;
#endif
const PARTS = 1 + SPLIT;
const THREADS = 4 * LANES;
const LOADS = 256 / THREADS; // blocks of input and of weights that a thread loads per step
const EACH = 32 / SIDE;      // matrices along each side of a subgroup's square
const RUNS = 16 / SIDE;      // matrices along a step of the sum
const LIFT = 2048.0;         // keeps l out of the subnormal numbers
var<workgroup> rows: array<Part, PARTS * 1024>;        // [part][64 pixels][16 of the sum]
var<workgroup> columns: array<Part, WEIGHTS * 1024>;   // [part][16 of the sum][64 channels]
var<workgroup> scales: array<f32, 64>;                 // s_x of each pixel
var<workgroup> sums: array<f32, 4 * SIDE * SIDE>;      // [subgroup][SIDE pixels][SIDE channels]

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) own: u32) {
    let tile = workgroup_index(group) * 64u;
    let column = group.z * 16u;
    let steps = stages();
    var stage = Stage();
    let top = subgroup / 2u * 32u;
    let left = subgroup % 2u * 32u;
    let square = subgroup * $(SIDE * SIDE)u;
#unroll i 0 LOADS
    let window$i = window(tile + (thread + $(THREADS * i)u) / 4u);
    let scale$i = scale(tile + (thread + $(THREADS * i)u) / 4u);
    if thread % 4u == 0u { scales[(thread + $(THREADS * i)u) / 4u] = scale$i; }
    var x$i = load(window$i, 0u, 0u, thread % 4u);
#unroll w 0 WEIGHTS
    var w$(w)_$i = load_weight($(w)u, stage, (thread + $(THREADS * i)u) / 16u, column + thread % 16u);
#end
#end
#unroll m 0 EACH
#unroll n 0 EACH
    var h$(m)_$n = coop_mat$(SIDE)x$(SIDE)<f32, C>();
#if SPLIT
    var l$(m)_$n = coop_mat$(SIDE)x$(SIDE)<f32, C>();
    var total$(m)_$n = coop_mat$(SIDE)x$(SIDE)<f32, C>();
#endif
#end
#end
    for (var step = 0u; step < steps; step++) {
#unroll i 0 LOADS
        put_row((thread + $(THREADS * i)u) * 4u, x$i * scale$i);
#unroll w 0 WEIGHTS
        put_column($(w * 1024)u + (thread + $(THREADS * i)u) * 4u, w$(w)_$i);
#end
#end
        workgroupBarrier();
        if step + 1u < steps {
            stage = next_stage(stage);
#unroll i 0 LOADS
            x$i = load(window$i, stage.row, stage.column, stage.first + thread % 4u);
#unroll w 0 WEIGHTS
            w$(w)_$i = load_weight($(w)u, stage, (thread + $(THREADS * i)u) / 16u, column + thread % 16u);
#end
#end
        }
#unroll k 0 RUNS
#unroll part 0 PARTS
#unroll m 0 EACH
        let a$(part)_$(k)_$m = coopLoadT<coop_mat$(SIDE)x$(SIDE)<Part, A>>(
            &rows[(top + $(m * SIDE)u) * 16u + $(part * 1024 + k * SIDE)u], 16u);
#end
#end
#unroll part 0 WEIGHTS
#unroll n 0 EACH
        let b$(part)_$(k)_$n = coopLoadT<coop_mat$(SIDE)x$(SIDE)<Part, B>>(
            &columns[left + $(part * 1024 + k * SIDE * 64 + n * SIDE)u], 64u);
#end
#end
#unroll m 0 EACH
#unroll n 0 EACH
        h$(m)_$n = coopMultiplyAdd(a0_$(k)_$m, b0_$(k)_$n, h$(m)_$n);
#if SPLIT
        l$(m)_$n = coopMultiplyAdd(a1_$(k)_$m, b0_$(k)_$n, l$(m)_$n);
#endif
#if WEIGHTS == 2
        l$(m)_$n = coopMultiplyAdd(a0_$(k)_$m, b1_$(k)_$n, l$(m)_$n);
#endif
#end
#end
#end
#if SPLIT
        if step % 32u == 31u || step + 1u == steps {
#unroll m 0 EACH
#unroll n 0 EACH
            total$(m)_$n = total$(m)_$n + (h$(m)_$n + l$(m)_$n * (1.0 / LIFT));
            h$(m)_$n = coop_mat$(SIDE)x$(SIDE)<f32, C>();
            l$(m)_$n = coop_mat$(SIDE)x$(SIDE)<f32, C>();
#end
#end
        }
#endif
        workgroupBarrier();
    }
#unroll m 0 EACH
#unroll n 0 EACH
#if SPLIT
    coopStoreT(total$(m)_$n, &sums[square], $(SIDE)u);
#else
    coopStoreT(h$(m)_$n, &sums[square], $(SIDE)u);
#endif
    workgroupBarrier();
    for (var i = own; i < $(SIDE * SIDE / 4)u; i += $(LANES)u) {
        let at = square + i * 4u;
        let pixel = top + $(m * SIDE)u + i / $(SIDE / 4)u;
        let sum = vec4f(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
        store(tile + pixel, column + (left + $(n * SIDE)u) / 4u + i % $(SIDE / 4)u, unscaled(sum, pixel));
    }
    workgroupBarrier();
#end
#end
}

// Row k of the 16 of a stage, of one part. Behind the last block of x, which is zero there, the last row is repeated, and so is
// the last column, of which nothing is stored.
fn load_weight(part: u32, s: Stage, k: u32, column: u32) -> vec4f {
    let row = 4u * (part * im.kernel * im.kernel * im.blocks + s.taps) + min(4u * s.first + k, 4u * im.blocks - 1u);
    return weight(row * im.out_blocks + min(column, im.out_blocks - 1u));
}

fn put_column(at: u32, w: vec4f) {
#unroll c 0 4
    columns[at + $(c)u] = Part(w[$c]);
#end
}

#if SPLIT
fn put_row(at: u32, x: vec4f) {
    // To f16 by integers and by multiples of 2^-24, its least number: compilers take f32(f16(x)) for x, and then nothing is left.
    let nearest = bitcast<vec4f>((bitcast<vec4u>(x) + vec4u(0x1000u)) & vec4u(0xffffe000u));
    let rounded = select(nearest, round(x * 16777216.0) / 16777216.0, abs(x) < vec4f(6.103515625e-5));
    let high = vec4<f16>(rounded);
    let low = vec4<f16>((x - rounded) * LIFT);
#unroll c 0 4
    rows[at + $(c)u] = high[$c];
    rows[1024u + at + $(c)u] = low[$c];
#end
}

// s_x: 2^(11 - e) where 2^e <= max |x| < 2^(e + 1), but at most 2^126, whose inverse is a normal number.
fn scale(p: u32) -> f32 {
    if p >= im.lanes * im.pixels { return 1.0; }
    let most = maxima[lane_of(p / im.pixels) * im.pixels + p % im.pixels];
    return bitcast<f32>(min(265u - (bitcast<u32>(most) >> 23u), 253u) << 23u);
}

// sum / (s_x s_w), exact but for overflow and underflow.
fn unscaled(sum: vec4f, pixel: u32) -> vec4f {
    return sum * im.weight_unit * bitcast<f32>((254u << 23u) - bitcast<u32>(scales[pixel]));
}
#else
fn put_row(at: u32, x: vec4f) {
#unroll c 0 4
    rows[at + $(c)u] = x[$c];
#end
}

fn scale(p: u32) -> f32 {
    return 1.0;
}

fn unscaled(sum: vec4f, pixel: u32) -> vec4f {
    return sum;
}
#endif
