// What the reverse kernels of attention read besides q, k and v: a cotangent u of its output, whose lanes are their own; q, k, v and what
// else they read may have lanes of another space, of which they take the sample's primal (`ops::View::apart`).
#if CPU
@group(0) @binding(4) var u: texture_storage_2d<rgba32float, read>;
@group(0) @binding(5) var z: texture_storage_2d<rgba32float, read>;

fn load_u(i: u32) -> vec4f { return textureLoad(u, texel(i)); }
fn load_z(i: u32) -> vec4f { return textureLoad(z, texel(i)); }
#else
@group(0) @binding(4) var<storage, read> u: array<Block>;
@group(0) @binding(5) var<storage, read> z: array<Block>;

fn load_u(i: u32) -> vec4f { return u[i]; }
fn load_z(i: u32) -> vec4f { return z[i]; }
#endif

// Block b of a head of u, whose heads have whole blocks.
fn block_u(at: u32, head: u32, b: u32) -> vec4f {
    return only(load_u(at + head * V_BLOCKS + min(b, V_LAST)), b, VALUES);
}
