// y = s x + t z, element by element. Thread map: lib/elementwise. Accuracy: two f32 products and their sum.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    z_stride: u32,                               // blocks per pixel of z
    z_first0: u32, z_count0: u32, z_first1: u32, // its runs of blocks, as those of x
    s: f32, t: f32,
}
#import lib/elementwise.wgsl
#import lib/second.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let z_at = (e.lane * im.pixels + e.pixel) * im.z_stride + e.block + select(im.z_first1, im.z_first0, e.block < im.z_count0);
    y[e.y_at] = packed(im.s * load(x_at(e)) + im.t * load_z(z_at));
}
