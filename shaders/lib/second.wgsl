// A second buffer of blocks, read as `lib/elementwise` reads x.
#if CPU
@group(0) @binding(5) var z: texture_storage_2d<rgba32float, read>; // its mirror
fn load_z(i: u32) -> vec4f { return textureLoad(z, vec2u(i & 1023u, (i >> 10u) + 1u)); }
#else
@group(0) @binding(5) var<storage, read> z: array<Block>;
fn load_z(i: u32) -> vec4f { return z[i]; }
#endif

// The channel of z whose pixel begins at block `at`.
fn channel_z(at: u32, channel: u32) -> f32 {
    return load_z(at + channel / 4u)[channel % 4u];
}
