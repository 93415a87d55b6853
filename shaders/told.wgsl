// y[lane, p, c] = row k [p a + c b] of a table, a and b its steps along pixels and channels; tangents are 0: it does not depend on x.
// Thread map: one thread per (lane, pixel, block of 4 channels). Exact.
#import lib/grid.wgsl
#import lib/lane.wgsl
struct Immediates {
    lanes: u32, pixels: u32,
    out_stride: u32, out_offset: u32, // blocks per pixel of y, first block written
    blocks: u32,                      // number of blocks written
    group: u32,                       // lanes per sample
    width: u32,                       // numbers of a row
    by_pixel: u32,                    // a
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> rows: array<f32>;       // [timestep][width]
@group(0) @binding(1) var<storage, read> channels: array<u32>;   // [blocks][4]: c b
@group(0) @binding(2) var<storage, read> lanes: array<Lane>;     // [lane]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [lane][pixels][out_stride]

fn number(at: u32, channel: u32) -> f32 {
    if channel == 0xffffffffu { return 0.0; }
    return rows[at + channel];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let q = i / im.blocks;
    if q >= im.lanes * im.pixels { return; }
    let block = i % im.blocks;
    let lane = q / im.pixels;
    var v = vec4f();
    if lane % im.group == 0u {
        let at = lanes[lane].row * im.width + q % im.pixels * im.by_pixel;
        let c = 4u * block;
        v = vec4f(number(at, channels[c]), number(at, channels[c + 1u]), number(at, channels[c + 2u]), number(at, channels[c + 3u]));
    }
    y[q * im.out_stride + im.out_offset + block] = v;
}
