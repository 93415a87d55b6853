// Bilinear x2, corners not aligned: along each axis 3/4 of the near input, 1/4 of the far one, border repeated.
// Thread map: lib/elementwise over output pixels. Accuracy: three f32 roundings per axis.
#import lib/elementwise.wgsl
struct Immediates {
    lanes: u32, in_h: u32, in_w: u32, in_stride: u32, out_stride: u32, out_offset: u32, blocks: u32,
    first0: u32, count0: u32, first1: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<Block>;       // [lane][in_h][in_w][in_stride]
@group(0) @binding(1) var<storage, read_write> y: array<Block>; // [lane][2 in_h][2 in_w][out_stride]

fn far_tap(i: u32, n: u32) -> u32 {
    return select(max(i / 2u, 1u) - 1u, min(i / 2u + 1u, n - 1u), i % 2u == 1u);
}

fn at(pixel: u32, block: u32) -> vec4f {
    return unpacked(x[pixel * im.in_stride + block]);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread, 4u * im.in_h * im.in_w, im.blocks);
    if e.lane >= im.lanes { return; }
    let row = quotient(e.pixel, 2u * im.in_w);
    let column = e.pixel - row * 2u * im.in_w;
    let offset = e.block + select(im.first1, im.first0, e.block < im.count0);
    let near_row = (e.lane * im.in_h + row / 2u) * im.in_w;
    let far_row = (e.lane * im.in_h + far_tap(row, im.in_h)) * im.in_w;
    let near_column = column / 2u;
    let far_column = far_tap(column, im.in_w);
    let near = 0.75 * at(near_row + near_column, offset) + 0.25 * at(near_row + far_column, offset);
    let far = 0.75 * at(far_row + near_column, offset) + 0.25 * at(far_row + far_column, offset);
    let p = e.lane * 4u * im.in_h * im.in_w + e.pixel;
    y[p * im.out_stride + im.out_offset + e.block] = packed(0.75 * near + 0.25 * far);
}
