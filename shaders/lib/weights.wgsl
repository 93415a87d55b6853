// Blocks of 4 weights, held as f32, or with HALF = 1 as f16, two to a word, the first in its lower half; arithmetic is f32
// either way. Needs lib/cpu or lib/portable. Host: `ops::weight_format`.
#if HALF
@group(0) @binding(1) var<storage, read> weights: array<vec2u>;
fn weight(i: u32) -> vec4f {
    let w = weights[i];
    return vec4f(unpack2x16float(w.x), unpack2x16float(w.y));
}
#else
@group(0) @binding(1) var<storage, read> weights: array<Block>;
fn weight(i: u32) -> vec4f { return unpacked(weights[i]); }
#endif
