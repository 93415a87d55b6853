// Four floats as two 64-bit words: CPU drivers store one word of one lane at a time, so wide words halve the work.
fn packed(v: vec4f) -> vec2<u64> {
    let b = bitcast<vec4u>(v);
    return vec2<u64>(b.xz) | (vec2<u64>(b.yw) << vec2u(32u));
}

fn unpacked(v: vec2<u64>) -> vec4f {
    let low = vec2u(v);
    let high = vec2u(v >> vec2u(32u));
    return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}
