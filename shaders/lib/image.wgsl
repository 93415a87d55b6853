// Reads element i of a buffer through its image mirror, 1024 texels a row. Row 0 is zero: i = -1024 reads zero padding.
const ZERO_TEXEL = -1024;
fn load_x(i: i32) -> vec4f {
    let t = i + 1024;
    return textureLoad(x, vec2i(t & 1023, t >> 10u));
}

// Linear workgroup index in x and group of channels in y. Workgroups that make different channels of the same pixels are
// neighbours in the order of execution, so that the pixels are still in cache.
fn interleaved(id: vec3u, count: vec3u) -> vec2u {
    let i = (id.z * count.y + id.y) * count.x + id.x;
    let index = quotient(i, count.z);
    return vec2u(index, i - index * count.z);
}

// i / n, for i < 2^31 and a quotient below 2^22. CPU drivers divide integers one lane at a time, floats all at once.
fn quotient(i: u32, n: u32) -> u32 {
    let q = i32(f32(i32(i)) / f32(i32(n)));
    let r = i32(i) - q * i32(n);
    return u32(q + select(0, 1, r >= i32(n)) - select(0, 1, r < 0));
}
