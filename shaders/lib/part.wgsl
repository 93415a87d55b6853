// Which lanes a dispatch is for (`program::Part`, `ops::activation`): primals with KEEP = 1, tangents with
// SLOPED = 1, else all. `im.lanes` counts that part's lanes. Needs `quotient` of lib/cpu or lib/portable.

// The lane that is number q of the part. Of 1 + K lanes a sample the first is its primal.
fn lane_of(q: u32) -> u32 {
#unroll primals 0 KEEP
    return q * im.group;
#end
#unroll tangents 0 SLOPED
    return q + quotient(q, im.group - 1u) + 1u;
#end
#unroll all KEEP+SLOPED 1
    return q;
#end
}

// Lanes of all parts.
fn all_lanes() -> u32 {
#unroll primals 0 KEEP
    return im.lanes * im.group;
#end
#unroll tangents 0 SLOPED
    return im.lanes + quotient(im.lanes, im.group - 1u);
#end
#unroll all KEEP+SLOPED 1
    return im.lanes;
#end
}

// The sample of the part's lane q.
fn sample_of(q: u32) -> u32 {
#unroll primals 0 KEEP
    return q;
#end
#unroll tangents 0 SLOPED
    return quotient(q, im.group - 1u);
#end
#unroll all KEEP+SLOPED 1
    return quotient(q, im.group);
#end
}
