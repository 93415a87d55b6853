// y = a u + c + b (x - mu), a group norm's transpose by the coefficients that `project_coefficients` made.
// Thread map: lib/elementwise_tiles. Accuracy: two f32 products and their sum; a large mean costs no digits.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    z_stride: u32, z_first0: u32, z_count0: u32, z_first1: u32, // blocks per pixel of x, its runs of blocks
}
#import lib/elementwise.wgsl
#import lib/elementwise_tiles.wgsl
#import lib/second.wgsl // z: x
@group(0) @binding(6) var<storage, read> coefficients: array<vec4f>; // [lane][4][blocks]: a, c, b, mu

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let t = place(group, thread);
    let own = (t.lane * im.pixels + t.pixels) * im.in_stride + t.block + select(im.first1, im.first0, t.block < im.count0);
    let point = (z_lane(t.lane) * im.pixels + t.pixels) * im.z_stride + t.block + select(im.z_first1, im.z_first0, t.block < im.z_count0);
    let at = 4u * t.lane * im.blocks + t.block;
    let a = coefficients[at];
    let c = coefficients[at + im.blocks];
    let b = coefficients[at + 2u * im.blocks];
    let mu = coefficients[at + 3u * im.blocks];
    var made = Tile();
#unroll p 0 4
    made.s$p = a * load(own[$p]) + (c + b * (load_z(point[$p]) - mu));
#end
    store(t, made);
}
