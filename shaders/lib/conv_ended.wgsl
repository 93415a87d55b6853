// What follows a convolution's sum (`ops::conv::after`), each if its constant is 1: SILU, the time ROW, SiLU AGAIN; and with
// KEEP the product of both slopes. Needs lib/silu. (conv_cc, which makes many outputs in a thread, has it written out.)
struct Ended { v: vec4f, slope: vec4f }

fn ended(sum: vec4f, row: vec4f) -> Ended {
    var e = Ended(sum, vec4f(1.0));
#unroll silu 0 SILU
#unroll keep 0 KEEP
    e.slope = silu_slope(e.v);
#end
    e.v = silu(e.v);
#end
#unroll row 0 ROW
    e.v += row;
#end
#unroll again 0 AGAIN
#unroll keep 0 KEEP
    e.slope *= silu_slope(e.v);
#end
    e.v = silu(e.v);
#end
    return e;
}
