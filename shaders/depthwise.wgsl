// y[lane, p, c] = b[c] + sum_tap w[c, tap] x[lane, stride p + tap - 1, c], 3x3.
// Thread map: one thread per (lane, output pixel, block of 4 channels), blocks fastest: loads are coalesced.
// Accuracy: nine sequential f32 products.
#import lib/grid.wgsl
struct Immediates {
#import lib/conv_immediates.wgsl
}
#import lib/conv.wgsl
@group(0) @binding(0) var<storage, read> x: array<vec4f>;       // [lane][in pixels][in_stride]
@group(0) @binding(1) var<storage, read> weights: array<vec4f>; // [block][9 taps, bias]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [lane][pixels][out_stride]

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
    y[p * im.out_stride + im.out_offset + block] = sum;
}
