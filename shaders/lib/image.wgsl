// Reads element i of a buffer through its image mirror, 1024 texels a row. Row 0 is zero: i = -1024 reads zero padding.
const ZERO_TEXEL = -1024;
fn load_x(i: i32) -> vec4f {
    let t = i + 1024;
    return textureLoad(x, vec2i(t & 1023, t >> 10u));
}
