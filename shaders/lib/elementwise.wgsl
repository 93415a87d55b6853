// Elementwise kernels, in both families (CPU = 1 or 0): one thread per (lane of the part, output pixel, block of 4
// channels, or with PAIRS = 1 two blocks). Threads beyond the last repeat it. Host: `ops::elementwise`.
#import lib/grid.wgsl
var<immediate> im: Immediates; // lib/elementwise_immediates and the kernel's own
#if CPU
#import lib/cpu.wgsl
#else
#import lib/portable.wgsl
#endif
#if IN_PLACE
fn load(i: u32) -> vec4f { return unpacked(y[i]); } // y is x; threads beyond the last then have nothing to do
#else
#if CPU
#import lib/image.wgsl
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][in pixels][in_stride]
fn load(i: u32) -> vec4f { return load_x(i32(i)); }
#else
@group(0) @binding(0) var<storage, read> x: array<Block>;           // [lane][in pixels][in_stride]
fn load(i: u32) -> vec4f { return x[i]; }
#endif
#endif
#if PAIRS
@group(0) @binding(1) var<storage, read_write> y: array<BlockPair>; // the same, two blocks each
#else
@group(0) @binding(1) var<storage, read_write> y: array<Block>;     // [lane][pixels][out_stride]
#endif

struct Element {
    lane: u32,
    pixel: u32,     // in the lane
    block: u32,     // among those written
    block_at: u32,  // offset of the input block in its pixel
    y_at: u32,      // where the result goes in y
    sample_at: u32, // where something per (sample, output pixel, block) is
}

#import lib/part.wgsl

// The element of a thread, with PAIRS the first of two.
fn element(group: vec3u, thread: u32) -> Element {
    let across = im.blocks / $(1 + PAIRS)u;
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.pixels * across - 1u);
    let p = quotient(i, across);
    let q = quotient(p, im.pixels);
    let lane = lane_of(q);
    let pixel = p - q * im.pixels;
    let block = $(1 + PAIRS)u * (i - p * across);
    return Element(lane, pixel, block, block + select(im.first1, im.first0, block < im.count0),
        (lane * im.pixels + pixel) * im.out_stride + im.out_offset + block,
        (sample_of(q) * im.pixels + pixel) * im.blocks + block);
}

// The one behind it, of the same pair.
fn next(e: Element) -> Element {
    return Element(e.lane, e.pixel, e.block + 1u, e.block_at + 1u, e.y_at + 1u, e.sample_at + 1u);
}

// Where in x the input of this element is, for kernels whose output pixels are their input pixels.
fn x_at(e: Element) -> u32 {
    return (x_lane(e.lane) * im.pixels + e.pixel) * im.in_stride + e.block_at;
}

// The lane of x that a lane reads, and of z: where they have lanes of another space, the primal of the sample (`ops::View::apart`).
fn x_lane(lane: u32) -> u32 {
#if X_APART
    return quotient(lane, im.x_to) * im.x_from;
#else
    return lane;
#endif
}

fn z_lane(lane: u32) -> u32 {
#if Z_APART
    return quotient(lane, im.z_to) * im.z_from;
#else
    return lane;
#endif
}

// The lane of the value that belongs to a lane: its own, or that of the point at which it is a tangent.
fn primal_of(lane: u32) -> u32 {
    return quotient(lane, im.group) * im.group;
}
