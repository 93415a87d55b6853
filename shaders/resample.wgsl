// y[i, j] = gain sum_{t, u} T_t T_u x'[DOWN i + t - above, DOWN j + u - left]: x' is x with UP - 1 zeros between its pixels and
// zeros around it (with REFLECT the pixel beside its edge), T the integers T0 .. T7, of which TAPS count. UP is 1 or 2.
// Linear: all lanes alike.
// Thread map: lib/elementwise over output pixels. Accuracy: at most 64 f32 products and their sum.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    in_h: u32, in_w: u32,  // pixels of x
    above: u32, left: u32, // zeros, as i32
    out_w: u32,
    gain: f32,
}
#import lib/elementwise.wgsl
const COUNT = (TAPS + UP - 1) / UP;

fn tap(t: u32) -> f32 {
    let a = select($(T1).0, $(T0).0, t == 0u);
    let b = select($(T3).0, $(T2).0, t == 2u);
    let c = select($(T5).0, $(T4).0, t == 4u);
    let d = select($(T7).0, $(T6).0, t == 6u);
    return select(select(d, c, t < 6u), select(b, a, t < 2u), t < 4u);
}

// Where the value lies that stands at a place of x', whose last pixel lies at `last`.
fn standing(at: i32, last: i32) -> i32 {
    return select(at, select(abs(at), 2 * last - at, at > last), $(REFLECT)u == 1u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let row = quotient(e.pixel, im.out_w);
    let column = e.pixel - row * im.out_w;
    // The first tap that falls on a pixel of x and not on a zero between two.
    let row_tap = (row * $(DOWN)u + im.above) & $(UP - 1)u;
    let column_tap = (column * $(DOWN)u + im.left) & $(UP - 1)u;
    var sum = vec4f();
#unroll t 0 COUNT
    let r$t = standing(i32(row * $(DOWN)u + row_tap + $(t * UP)u) - i32(im.above), $(UP) * (i32(im.in_h) - 1));
    let wr$t = select(0.0, tap(row_tap + $(t * UP)u), r$t >= 0 && r$t < i32(im.in_h * $(UP)u));
    let at$t = (e.lane * im.in_h + min(u32(max(r$t, 0)) / $(UP)u, im.in_h - 1u)) * im.in_w;
#unroll u 0 COUNT
    let c$(t)_$u = standing(i32(column * $(DOWN)u + column_tap + $(u * UP)u) - i32(im.left), $(UP) * (i32(im.in_w) - 1));
    let wc$(t)_$u = select(0.0, tap(column_tap + $(u * UP)u), c$(t)_$u >= 0 && c$(t)_$u < i32(im.in_w * $(UP)u));
    let p$(t)_$u = at$t + min(u32(max(c$(t)_$u, 0)) / $(UP)u, im.in_w - 1u);
    sum += wr$t * wc$(t)_$u * load(p$(t)_$u * im.in_stride + e.block_at);
#end
#end
    y[e.y_at] = packed(im.gain * sum);
}
