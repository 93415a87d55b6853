// Sum and maximum over a workgroup of 256 in a fixed tree: the result does not depend on what else runs. All threads get it.
var<workgroup> partial: array<vec4f, 256>;
fn workgroup_sum(value: vec4f, thread: u32) -> vec4f {
    workgroupBarrier(); // the last sum has been read
    partial[thread] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if thread < half { partial[thread] += partial[thread + half]; }
        workgroupBarrier();
    }
    return partial[0];
}

fn workgroup_max(value: vec4f, thread: u32) -> vec4f {
    workgroupBarrier(); // the last result has been read
    partial[thread] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if thread < half { partial[thread] = max(partial[thread], partial[thread + half]); }
        workgroupBarrier();
    }
    return partial[0];
}
