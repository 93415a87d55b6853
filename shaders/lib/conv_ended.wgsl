// What follows a convolution's sum (`ops::conv::epilogue`), each if its constant is 1: a CURVE or SILU, the time ROW, SiLU AGAIN; and with
// KEEP the product of both slopes. Needs lib/silu. (conv_cc, which makes many outputs in a thread, has it written out.)
#if CURVE
#import lib/curves.wgsl
#endif
struct Ended { v: vec4f, slope: vec4f }

fn ended(sum: vec4f, row: vec4f) -> Ended {
    var e = Ended(sum, vec4f(1.0));
#if CURVE
    e.v = curved(e.v).value;
#endif
#if SILU
#if KEEP
    e.slope = silu_slope(e.v);
#endif
    e.v = silu(e.v);
#endif
#if ROW
    e.v += row;
#endif
#if AGAIN
#if KEEP
    e.slope *= silu_slope(e.v);
#endif
    e.v = silu(e.v);
#endif
    return e;
}
