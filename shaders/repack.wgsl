// y[lane, p, c] = x[lane, p, slots[c]] for the channels that come from this input; the others are zeros after the first
// input's dispatch, and are left alone by the later ones (LATER).
// Thread map: one thread per (lane, pixel, block of 4 channels); threads beyond the last repeat it, but for later inputs, where they
// store what is there. Exact.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, pixels: u32,
    in_stride: u32,                   // numbers per pixel of x
    out_stride: u32, out_offset: u32, // blocks per pixel of y, first block written
    blocks: u32,                      // number of blocks written
}
var<immediate> im: Immediates;
#if CPU
#import lib/cpu.wgsl
#else
#import lib/portable.wgsl
#endif
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [lane][pixels][in_stride]
@group(0) @binding(1) var<storage, read> slots: array<u32>;     // [blocks][4]
@group(0) @binding(2) var<storage, read_write> y: array<Block>; // [lane][pixels][out_stride]

const NOWHERE = 0xffffffffu;

fn taken(pixel: u32, channel: u32, before: f32) -> f32 {
    let slot = slots[channel];
    if slot == NOWHERE { return before; }
    return x[pixel * im.in_stride + slot];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.pixels * im.blocks - 1u);
    let pixel = quotient(i, im.blocks);
    let block = i - pixel * im.blocks;
    let at = pixel * im.out_stride + im.out_offset + block;
    let c = 4u * block;
#if LATER
    let v = unpacked(y[at]);
    y[at] = packed(vec4f(taken(pixel, c, v.x), taken(pixel, c + 1u, v.y), taken(pixel, c + 2u, v.z), taken(pixel, c + 3u, v.w)));
#else
    let own = vec4u(slots[c], slots[c + 1u], slots[c + 2u], slots[c + 3u]);
    let there = own != vec4u(NOWHERE);
    let source = vec4u(pixel * im.in_stride) + select(vec4u(), own, there);
    y[at] = packed(select(vec4f(), vec4f(x[source.x], x[source.y], x[source.z], x[source.w]), there));
#endif
}
