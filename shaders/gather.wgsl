// y[lane, p, c] = x[lane, a], a = pixels[p] + channels[c] an address in [pixel][channel] order, for the numbers that come from this
// input; the others are `fill` (0 of tangents) after the first input's dispatch, and are left alone by the later ones.
// Thread map: one thread per (lane, pixel, block of 4 channels). Exact.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, pixels: u32,
    in_stride: u32,                   // numbers per pixel of x
    out_stride: u32, out_offset: u32, // blocks per pixel of y, first block written
    blocks: u32,                      // number of blocks written
    in_pixels: u32, in_channels: u32, // of x
    later: u32,                       // 1 if an input before this one has written y
    group: u32,                       // lanes per sample
    fill: f32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [lane][in_pixels][in_stride]
@group(0) @binding(1) var<storage, read> slots: array<u32>;     // where each channel of x is in its pixel
@group(0) @binding(2) var<storage, read> pixels: array<u32>;    // [pixels]
@group(0) @binding(3) var<storage, read> channels: array<u32>;  // [blocks][4]
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>; // [lane][pixels][out_stride]
const NOWHERE = 0xffffffffu;

fn taken(lane: u32, pixel: u32, channel: u32, before: f32) -> f32 {
    if pixel == NOWHERE || channel == NOWHERE { return before; }
    let at = pixel + channel;
    let q = at / im.in_channels;
    return x[(lane * im.in_pixels + q) * im.in_stride + slots[at - q * im.in_channels]];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let q = i / im.blocks;
    if q >= im.lanes * im.pixels { return; }
    let block = i % im.blocks;
    let lane = q / im.pixels;
    let at = q * im.out_stride + im.out_offset + block;
    var v = vec4f(select(0.0, im.fill, lane % im.group == 0u));
    if im.later == 1u { v = y[at]; }
    let p = pixels[q % im.pixels];
    let c = 4u * block;
    y[at] = vec4f(taken(lane, p, channels[c], v.x), taken(lane, p, channels[c + 1u], v.y),
        taken(lane, p, channels[c + 2u], v.z), taken(lane, p, channels[c + 3u], v.w));
}
