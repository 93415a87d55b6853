// y[lane, i] = sum of x[lane, a] over the addresses a of a table, i and a in [pixel][channel] order. Linear: all lanes alike.
// Thread map: one thread per (lane, pixel, block of 4 channels). Accuracy: one f32 sum, in the order of the table.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, pixels: u32,
    in_stride: u32,                   // numbers per pixel of x
    out_stride: u32, out_offset: u32, // blocks per pixel of y, first block written
    blocks: u32,                      // number of blocks written
    in_pixels: u32, in_channels: u32, // of x
    out_channels: u32,                // of y
    first: u32,                       // where the addresses begin in the table
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [lane][in_pixels][in_stride]
@group(0) @binding(1) var<storage, read> slots: array<u32>;     // where each channel of x is in its pixel
@group(0) @binding(2) var<storage, read> channels: array<u32>;  // [blocks][4]: which of y's channels that is
@group(0) @binding(3) var<storage, read> table: array<u32>;     // where the addresses of each number begin, and their end; addresses
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>; // [lane][pixels][out_stride]

fn sum(lane: u32, pixel: u32, channel: u32) -> f32 {
    var sum = 0.0;
    if channel == 0xffffffffu { return sum; }
    let i = pixel * im.out_channels + channel;
    for (var n = table[i]; n < table[i + 1u]; n++) {
        let at = table[im.first + n];
        let q = at / im.in_channels;
        sum += x[(lane * im.in_pixels + q) * im.in_stride + slots[at - q * im.in_channels]];
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let q = i / im.blocks;
    if q >= im.lanes * im.pixels { return; }
    let block = i % im.blocks;
    let lane = q / im.pixels;
    let p = q % im.pixels;
    let c = 4u * block;
    y[q * im.out_stride + im.out_offset + block] = vec4f(sum(lane, p, channels[c]), sum(lane, p, channels[c + 1u]),
        sum(lane, p, channels[c + 2u]), sum(lane, p, channels[c + 3u]));
}
