// y = x z, channel c of x lying at places[c] of its pixel. Tangents: the product rule. Thread map: one thread per (lane, pixel, block of
// 4 channels); threads beyond the last repeat it. Accuracy: one f32 product, or two and their sum.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, pixels: u32,
    in_stride: u32,                                                 // numbers per pixel of x
    out_stride: u32, out_offset: u32,                               // blocks per pixel of y, first block written
    blocks: u32,                                                    // number of blocks written
    group: u32,                                                     // lanes per sample
    z_stride: u32, z_first0: u32, z_count0: u32, z_first1: u32,     // blocks per pixel of z, its runs of blocks
    z_to: u32, z_from: u32,                                         // lanes per sample of y and of z, where z has those of another space
}
var<immediate> im: Immediates;
#if CPU
#import lib/cpu.wgsl
#else
#import lib/portable.wgsl
#endif
@group(0) @binding(0) var<storage, read> x: array<f32>;             // [lane][pixels][in_stride]
@group(0) @binding(1) var<storage, read_write> y: array<Block>;     // [lane][pixels][out_stride]
@group(0) @binding(2) var<storage, read> places: array<vec4u>;      // [blocks]
#import lib/second.wgsl

fn first(lane: u32, pixel: u32, at: vec4u) -> vec4f {
    let own = vec4u((lane * im.pixels + pixel) * im.in_stride) + at;
    return vec4f(x[own.x], x[own.y], x[own.z], x[own.w]);
}

fn second(lane: u32, pixel: u32, block: u32) -> vec4f {
    let own = quotient(lane, im.z_to) * im.z_from;
    return load_z((own * im.pixels + pixel) * im.z_stride + block + select(im.z_first1, im.z_first0, block < im.z_count0));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.pixels * im.blocks - 1u);
    let p = quotient(i, im.blocks);
    let block = i - p * im.blocks;
    let lane = quotient(p, im.pixels);
    let pixel = p - lane * im.pixels;
    let at = places[block];
    let a = first(lane, pixel, at);
    let b = second(lane, pixel, block);
#if GROUPED
    let primal = quotient(lane, im.group) * im.group;
    let c = first(primal, pixel, at);
    let d = second(primal, pixel, block);
    let v = select(a * d + c * b, a * b, lane == primal);
#else
    let v = a * b;
#endif
    y[p * im.out_stride + im.out_offset + block] = packed(v);
}
