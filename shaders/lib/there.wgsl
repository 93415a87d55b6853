// Which of a block's channels there are: what others hold is never used, and must be finite.
@group(0) @binding(6) var<storage, read> there: array<vec4f>; // [blocks]: 1, or 0 where there is no channel

fn only_there(block: u32, v: vec4f) -> vec4f {
    return select(vec4f(), v, there[block] > vec4f());
}
