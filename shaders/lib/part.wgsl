// Which lanes a dispatch is for (`program::Part`, `ops::activation`): primals with KEEP = 1, tangents with
// SLOPED = 1, else all. `im.lanes` counts that part's lanes. Needs `quotient` of lib/cpu or lib/portable.

// The lane that is number q of the part. Of 1 + K lanes a sample the first is its primal.
fn lane_of(q: u32) -> u32 {
#if KEEP
    return q * im.group;
#else
#if SLOPED
    return q + quotient(q, im.group - 1u) + 1u;
#else
    return q;
#endif
#endif
}

// Lanes of all parts.
fn all_lanes() -> u32 {
#if KEEP
    return im.lanes * im.group;
#else
#if SLOPED
    return im.lanes + quotient(im.lanes, im.group - 1u);
#else
    return im.lanes;
#endif
#endif
}

// The sample of the part's lane q.
fn sample_of(q: u32) -> u32 {
#if KEEP
    return q;
#else
#if SLOPED
    return quotient(q, im.group - 1u);
#else
    return quotient(q, im.group);
#endif
#endif
}
