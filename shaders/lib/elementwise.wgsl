// Elementwise kernels, in both families (CPU = 1 or 0): one thread per (lane of the part, output pixel, block of 4
// channels). Threads beyond the last repeat it. Host: `ops::elementwise`.
#import lib/grid.wgsl
struct Elementwise {
    lanes: u32,
    pixels: u32,                           // output pixels
    in_stride: u32,                        // blocks per pixel of the input buffer
    out_stride: u32, out_offset: u32,      // blocks per pixel of the output buffer, first block written
    blocks: u32,
    first0: u32, count0: u32, first1: u32, // the two runs of input blocks
    group: u32,                            // lanes per sample
    a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, // the kernel's own
}
var<immediate> im: Elementwise;
#if CPU
#import lib/image.wgsl
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][in pixels][in_stride]
fn load(i: u32) -> vec4f { return load_x(i32(i)); }
#else
#import lib/portable.wgsl
@group(0) @binding(0) var<storage, read> x: array<Block>;           // [lane][in pixels][in_stride]
fn load(i: u32) -> vec4f { return x[i]; }
#endif
@group(0) @binding(1) var<storage, read_write> y: array<Block>;     // [lane][pixels][out_stride]

struct Element {
    lane: u32,
    pixel: u32,     // in the lane
    block: u32,     // among those written
    block_at: u32,  // offset of the input block in its pixel
    y_at: u32,      // where the result goes in y
    sample_at: u32, // where something per (sample, output pixel, block) is
}

#import lib/part.wgsl

fn element(group: vec3u, thread: u32) -> Element {
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.pixels * im.blocks - 1u);
    let p = quotient(i, im.blocks);
    let q = quotient(p, im.pixels);
    let lane = lane_of(q);
    let pixel = p - q * im.pixels;
    let block = i - p * im.blocks;
    return Element(lane, pixel, block, block + select(im.first1, im.first0, block < im.count0),
        (lane * im.pixels + pixel) * im.out_stride + im.out_offset + block,
        (sample_of(q) * im.pixels + pixel) * im.blocks + block);
}

// Where in x the input of this element is, for kernels whose output pixels are their input pixels.
fn x_at(e: Element) -> u32 {
    return (e.lane * im.pixels + e.pixel) * im.in_stride + e.block_at;
}

// The lane of the value that belongs to a lane: its own, or that of the point at which it is a tangent.
fn primal_of(lane: u32) -> u32 {
    return quotient(lane, im.group) * im.group;
}
