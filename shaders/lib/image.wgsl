// Reads element i of a buffer through its image mirror, 1024 texels a row. Row 0 is zero: i = -1024 reads zero padding.
#import lib/cpu.wgsl
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
