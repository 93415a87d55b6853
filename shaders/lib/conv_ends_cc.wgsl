// What the last kernel of a convolution on CPU adapters reads for its end (`ops::conv::epilogue`): slopes that tangents are
// multiplied by (SLOPED), the time ROW, the GAIN, the RESIDUAL. Needs lib/cpu, lib/conv and
// lib/conv_end_immediates.
#import lib/lane.wgsl
#if SLOPED
@group(0) @binding(4) var slope: texture_storage_2d<rgba32float, read>; // mirror of [sample][pixels][out blocks]
fn load_slope(i: u32) -> vec4f { return textureLoad(slope, vec2u(i & 1023u, (i >> 10u) + 1u)); }
#endif
#if ROW
@group(0) @binding(5) var<storage, read> time_rows: array<Block>;   // [timestep][out blocks]
#endif
#if !(!ROW && !GAIN)
@group(0) @binding(6) var<storage, read> lanes: array<Lane>;        // [lane]
#endif
#if GAIN
@group(0) @binding(8) var<storage, read> gains: array<Block>;       // [timestep][out blocks]
#endif
#if RESIDUAL
@group(0) @binding(7) var z: texture_storage_2d<rgba32float, read>; // mirror of [lane][pixels][z_stride]
fn load_z(i: u32) -> vec4f { return textureLoad(z, vec2u(i & 1023u, (i >> 10u) + 1u)); }
fn z_offset(k: u32) -> u32 { return k + select(im.z_first1, im.z_first0, k < im.z_count0); }
#endif
