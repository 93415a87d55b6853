// What a path shader knows of its lane: the segment from `node` to `node + 1`. Twin: `Lane` of src/paths/lane.rs,
// 20 words in the same order; the fields are explained there.

struct Lane {
    table0: u32,
    path: u32,
    sample: u32,
    k: u32,
    node: u32,
    count: u32,
    row: u32,
    n0: u32,
    n1: u32,
    table1: u32,
    a: f32,
    sigma: f32,
    p0: f32,
    p1: f32,
    p2: f32,
    p3: f32,
    alpha: f32,
    beta: f32,
    gauss: f32,
    shift: f32,
}

// Components 4 block .. of a flat lane: those at or past `dim` are padding and become 0.
fn without_padding(v: vec4<f32>, block: u32, dim: u32) -> vec4<f32> {
    let component = vec4<u32>(4u * block) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), v, component < vec4<u32>(dim));
}
