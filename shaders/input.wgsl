// y[lane, p, c] = x[lane, c, p]: flat C order to padded channels-last, padding channels zero.
// Thread map: one thread per (lane, pixel, block of 4 channels). Exact.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, channels: u32,
    pixels: u32, blocks: u32,          // of the band of rows that is copied
    flat: u32, plane: u32, first: u32, // numbers of a lane of x, pixels of its image, first pixel of the band
    out_stride: u32, out_offset: u32,  // blocks per pixel of y, first block written
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [lane][flat]
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>; // [lane][pixels][out_stride]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let per_lane = im.pixels * im.blocks;
    let lane = i / per_lane;
    if lane >= im.lanes { return; }
    let rest = i % per_lane;
    let p = rest / im.blocks;
    let block = rest % im.blocks;
    let c = 4u * block;
    var v = vec4f();
#unroll c 0 4
    if c + $(c)u < im.channels { v[$c] = x[lane * im.flat + (c + $(c)u) * im.plane + im.first + p]; }
#end
    y[(lane * im.pixels + p) * im.out_stride + im.out_offset + block] = v;
}
