// y[lane, first_out + p, block] = x[lane, first_in + p, block]: a run of whole rows from one tensor to another.
// Thread map: one thread per (lane, pixel, block of 4 channels). Exact.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32,
    pixels: u32,                               // copied
    first_in: u32, in_pixels: u32, in_stride: u32, // first pixel read, pixels of a lane, blocks per pixel
    first_out: u32, out_pixels: u32, out_stride: u32, // the same of the output
    out_offset: u32, blocks: u32,              // first block written, number of blocks
    first0: u32, count0: u32, first1: u32,     // the two runs of input blocks
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<vec4f>;       // [lane][in_pixels][in_stride]
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>; // [lane][out_pixels][out_stride]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let per_lane = im.pixels * im.blocks;
    let lane = i / per_lane;
    if lane >= im.lanes { return; }
    let p = i % per_lane / im.blocks;
    let block = i % im.blocks;
    let read = (lane * im.in_pixels + im.first_in + p) * im.in_stride;
    let written = (lane * im.out_pixels + im.first_out + p) * im.out_stride + im.out_offset;
    y[written + block] = x[read + block + select(im.first1, im.first0, block < im.count0)];
}
