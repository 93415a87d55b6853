// y = x / (1 + e^-x), where the planner could not fuse it. Thread map: lib/elementwise. Accuracy: 3 ulp.
#import lib/elementwise.wgsl
#import lib/silu.wgsl
struct Immediates {
    lanes: u32, pixels: u32, in_stride: u32, out_stride: u32, out_offset: u32, blocks: u32,
    first0: u32, count0: u32, first1: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<Block>;       // [lane][pixels][in_stride]
@group(0) @binding(1) var<storage, read_write> y: array<Block>; // [lane][pixels][out_stride]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread, im.pixels, im.blocks);
    if e.lane >= im.lanes { return; }
    let p = e.lane * im.pixels + e.pixel;
    let offset = e.block + select(im.first1, im.first0, e.block < im.count0);
    y[p * im.out_stride + im.out_offset + e.block] = packed(silu(unpacked(x[p * im.in_stride + offset])));
}
