// SiLU on what an elementwise kernel stores, for values and tangents: SILU, KEEP and SLOPED as in conv_cc.
// Host: `ops::activation`.
#import lib/silu.wgsl
#unroll keep 0 KEEP
@group(0) @binding(4) var<storage, read_write> slope: array<Block>; // [sample][pixels][blocks]
#end
#unroll sloped 0 SLOPED
#unroll cpu 0 CPU
@group(0) @binding(4) var slope: texture_storage_2d<rgba32float, read>; // its mirror
fn load_slope(i: u32) -> vec4f { return textureLoad(slope, vec2u(i & 1023u, (i >> 10u) + 1u)); }
#end
#unroll portable CPU 1
@group(0) @binding(4) var<storage, read> slope: array<Block>;
fn load_slope(i: u32) -> vec4f { return slope[i]; }
#end
#end

fn activated(e: Element, v: vec4f) -> vec4f {
#unroll keep 0 KEEP
    slope[e.sample_at] = packed(silu_slope(v));
#end
#unroll silu 0 SILU
    return silu(v);
#end
#unroll sloped 0 SLOPED
    return v * load_slope(e.sample_at);
#end
#unroll linear SILU+SLOPED 1
    return v;
#end
}
