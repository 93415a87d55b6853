// y[lane, p, c] = (b[c] + sum_tap w[c, tap] x[lane, stride p + tap - 1, c]) z[p, c], 3x3; z with TIMES alone.
// Thread map: one thread per (lane, output pixel, block of 4 channels), blocks fastest: loads are coalesced.
// Accuracy: nine sequential f32 products.
#import lib/grid.wgsl
struct Immediates {
#import lib/conv_immediates.wgsl
#if TIMES
    z_stride: u32, z_first0: u32, z_count0: u32, z_first1: u32, // blocks per pixel of z, its runs of blocks
    z_to: u32, z_from: u32,                                     // lanes per sample of y and of z, where z has those of another space
#endif
}
#import lib/conv.wgsl
@group(0) @binding(0) var<storage, read> x: array<vec4f>;       // [lane][in pixels][in_stride]
@group(0) @binding(1) var<storage, read> weights: array<vec4f>; // [block][9 taps, bias]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [lane][pixels][out_stride]

#if TIMES
@group(0) @binding(5) var<storage, read> z: array<vec4f>;       // [sample or lane][pixels][z_stride]
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let p = i / im.blocks;
    let lane = p / im.pixels;
    if lane >= im.lanes { return; }
    let block = i % im.blocks;
    let top = i32(p % im.pixels / im.out_w * im.stride) - i32(im.above);
    let left = i32(p % im.pixels % im.out_w * im.stride) - i32(im.left);
    let offset = block_offset(block);
    var sum = select(0.0, 1.0, lane % im.group == 0u) * weights[block * 10u + 9u];
    for (var tap = 0u; tap < 9u; tap++) {
        let r = top + i32(tap / 3u);
        let c = left + i32(tap % 3u);
        if r >= 0 && r < i32(im.in_h) && c >= 0 && c < i32(im.in_w) {
            let at = (lane * im.in_h + u32(r)) * im.in_w + u32(c);
            sum += weights[block * 10u + tap] * x[at * im.in_stride + offset];
        }
    }
#if TIMES
    let z_pixel = lane / im.z_to * im.z_from * im.pixels + p % im.pixels;
    sum *= z[z_pixel * im.z_stride + block + select(im.z_first1, im.z_first0, block < im.z_count0)];
#endif
    y[p * im.out_stride + im.out_offset + block] = sum;
}
