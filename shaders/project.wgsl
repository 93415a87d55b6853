// y = a u + c + b (x - mu), a group norm's transpose by the coefficients that `project_coefficients` made.
// With BEHIND_SILU = 1 u is what is given times the slope of SiLU at the norm of x. Thread map: lib/elementwise_tiles.
// Accuracy: two f32 products and their sum, and that of lib/silu; a large mean costs no digits.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    z_stride: u32, z_first0: u32, z_count0: u32, z_first1: u32, // blocks per pixel of x, its runs of blocks
}
#import lib/elementwise.wgsl
#import lib/elementwise_tiles.wgsl
#import lib/second.wgsl // z: x
@group(0) @binding(6) var<storage, read> coefficients: array<vec4f>; // [lane][4][blocks]: a, c, b, mu
#if BEHIND_SILU
@group(0) @binding(7) var<storage, read> norm: array<vec4f>;         // [lane of x][3][blocks]: a, c, 0
#import lib/silu.wgsl
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
#if IN_PLACE
    if !within(group, thread) { return; }
#endif
    let t = place(group, thread);
    let own = (t.lane * im.pixels + t.pixels) * im.in_stride + t.block + select(im.first1, im.first0, t.block < im.count0);
    let point = (z_lane(t.lane) * im.pixels + t.pixels) * im.z_stride + t.block + select(im.z_first1, im.z_first0, t.block < im.z_count0);
    let at = 4u * t.lane * im.blocks + t.block;
    let a = coefficients[at];
    let c = coefficients[at + im.blocks];
    let b = coefficients[at + 2u * im.blocks];
    let mu = coefficients[at + 3u * im.blocks];
#if BEHIND_SILU
    let values = 3u * z_lane(t.lane) * im.blocks + t.block;
    let gain = norm[values];
    let shift = norm[values + im.blocks];
#endif
    var made = Tile();
#unroll p 0 4
    let x$p = load_z(point[$p]);
#if BEHIND_SILU
    let u$p = load(own[$p]) * silu_slope(gain * x$p + shift);
#else
    let u$p = load(own[$p]);
#endif
    made.s$p = a * u$p + (c + b * (x$p - mu));
#end
    store(t, made);
}
