// y[lane, p, c] = x[lane, p, slots[c]] for the channels that come from this input; the others are zeros after the first
// input's dispatch, and are left alone by the later ones.
// Thread map: one thread per (lane, pixel, block of 4 channels). Exact.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, pixels: u32,
    in_stride: u32,                   // numbers per pixel of x
    out_stride: u32, out_offset: u32, // blocks per pixel of y, first block written
    blocks: u32,                      // number of blocks written
    later: u32,                       // 1 if an input before this one has written y
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [lane][pixels][in_stride]
@group(0) @binding(1) var<storage, read> slots: array<u32>;     // [blocks][4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [lane][pixels][out_stride]

fn taken(pixel: u32, channel: u32, before: f32) -> f32 {
    let slot = slots[channel];
    if slot == 0xffffffffu { return before; }
    return x[pixel * im.in_stride + slot];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let pixel = i / im.blocks;
    if pixel >= im.lanes * im.pixels { return; }
    let block = i % im.blocks;
    let at = pixel * im.out_stride + im.out_offset + block;
    var v = vec4f(0.0);
    if im.later == 1u { v = y[at]; }
    let c = 4u * block;
    y[at] = vec4f(taken(pixel, c, v.x), taken(pixel, c + 1u, v.y), taken(pixel, c + 2u, v.z), taken(pixel, c + 3u, v.w));
}
