// y[lane, p, c] = x[lane, p, slots[c]] for the channels that come from this input; the others are zeros after the first
// input's dispatch, and are left alone by the later ones (LATER = 1).
// Thread map: one thread per (4 pixels of all lanes, block of 4 channels), so that what it reads of the table serves 4 pixels. Exact.
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
@group(0) @binding(1) var<storage, read> slots: array<vec4u>;   // [blocks]
@group(0) @binding(2) var<storage, read_write> y: array<Block>; // [lane][pixels][out_stride]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let tile = quotient(i, im.blocks);
    let block = i - tile * im.blocks;
    let end = im.lanes * im.pixels;
    if 4u * tile >= end { return; }
    let slot = slots[block];
    let there = slot != vec4u(0xffffffffu);
    let take = select(vec4u(), slot, there);
#unroll p 0 4
    {
        let pixel = min(4u * tile + $(p)u, end - 1u);
        let at = pixel * im.out_stride + im.out_offset + block;
        let own = pixel * im.in_stride + take;
#if LATER
        let before = unpacked(y[at]);
#else
        let before = vec4f();
#endif
        y[at] = packed(select(before, vec4f(x[own.x], x[own.y], x[own.z], x[own.w]), there));
    }
#end
}
