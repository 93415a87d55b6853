// y[lane, p, c] = act(x[lane, p, c] + rows[lanes[lane].row, c]); the row is added on primal lanes only.
// Thread map: lib/elementwise. Accuracy: one f32 addition, SiLU 3 ulp.
#import lib/elementwise.wgsl
#import lib/silu.wgsl
#import lib/lane.wgsl
struct Immediates {
    lanes: u32, pixels: u32, in_stride: u32, out_stride: u32, out_offset: u32, blocks: u32,
    first0: u32, count0: u32, first1: u32, group: u32, silu: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<Block>;       // [lane][pixels][in_stride]
@group(0) @binding(1) var<storage, read> rows: array<vec4f>;    // [timestep][blocks]
@group(0) @binding(2) var<storage, read> lanes: array<Lane>;    // [lane]
@group(0) @binding(3) var<storage, read_write> y: array<Block>; // [lane][pixels][out_stride]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread, im.pixels, im.blocks);
    if e.lane >= im.lanes { return; }
    let p = e.lane * im.pixels + e.pixel;
    let offset = e.block + select(im.first1, im.first0, e.block < im.count0);
    var v = unpacked(x[p * im.in_stride + offset]);
    if e.lane % im.group == 0u { v += rows[lanes[e.lane].row * im.blocks + e.block]; }
    if im.silu > 0u { v = silu(v); }
    y[p * im.out_stride + im.out_offset + e.block] = packed(v);
}
