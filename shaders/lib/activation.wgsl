// SiLU on what an elementwise kernel stores, for values and tangents: SILU, KEEP and SLOPED as in conv_cc.
// Host: `ops::activation`.
#import lib/silu.wgsl
#if KEEP
@group(0) @binding(4) var<storage, read_write> slope: array<Block>; // [sample][pixels][blocks]
#endif
#if SLOPED
#if CPU
@group(0) @binding(4) var slope: texture_storage_2d<rgba32float, read>; // its mirror
fn load_slope(i: u32) -> vec4f { return textureLoad(slope, vec2u(i & 1023u, (i >> 10u) + 1u)); }
#else
@group(0) @binding(4) var<storage, read> slope: array<Block>;
fn load_slope(i: u32) -> vec4f { return slope[i]; }
#endif
#endif

fn activated(e: Element, v: vec4f) -> vec4f {
#if KEEP
    slope[e.sample_at] = packed(silu_slope(v));
#endif
#if SILU
    return silu(v);
#else
#if SLOPED
    return v * load_slope(e.sample_at);
#else
    return v;
#endif
#endif
}
