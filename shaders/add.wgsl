// y = s x + t z, element by element. Thread map: lib/elementwise. Accuracy: two f32 products and their sum.
#import lib/elementwise.wgsl // a: blocks per pixel of z; b, c, d: its runs of blocks, as those of x; e, f: s and t as bits
#import lib/second.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let z_at = (e.lane * im.pixels + e.pixel) * im.a + e.block + select(im.d, im.b, e.block < im.c);
    y[e.y_at] = packed(bitcast<f32>(im.e) * load(x_at(e)) + bitcast<f32>(im.f) * load_z(z_at));
}
