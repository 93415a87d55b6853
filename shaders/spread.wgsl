// y[lane, p, b] = x[primal, p, b]: what a sample's primal holds, copied to every lane that another space has of the sample.
// Thread map: one thread per (lane of y, pixel, block of 4 channels). Exact.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, pixels: u32,
    in_stride: u32,                        // blocks per pixel of x
    out_stride: u32, out_offset: u32,      // blocks per pixel of y, first block written
    blocks: u32,                           // number of blocks written
    first0: u32, count0: u32, first1: u32, // the two runs of input blocks
    from_lanes: u32, to_lanes: u32,        // lanes per sample of x and of y
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<vec4f>;       // [lane][pixels][in_stride]
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>; // [lane][pixels][out_stride]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let at = i / im.blocks;
    let lane = at / im.pixels;
    if lane >= im.lanes { return; }
    let pixel = at - lane * im.pixels;
    let block = i - at * im.blocks;
    let primal = lane / im.to_lanes * im.from_lanes;
    y[at * im.out_stride + im.out_offset + block] =
        x[(primal * im.pixels + pixel) * im.in_stride + block + select(im.first1, im.first0, block < im.count0)];
}
