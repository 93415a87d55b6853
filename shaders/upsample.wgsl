// Bilinear x2, corners not aligned: along each axis 3/4 of the near input, 1/4 of the far one, border repeated.
// Thread map: lib/elementwise over output pixels. Accuracy: three f32 roundings per axis.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    in_h: u32, in_w: u32, // pixels of x
    first: u32,           // row of the first output
}
#import lib/elementwise.wgsl

fn far_tap(i: u32, n: u32) -> u32 {
    return select(max(i >> 1u, 1u) - 1u, min((i >> 1u) + 1u, n - 1u), (i & 1u) == 1u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let band_row = quotient(e.pixel, 2u * im.in_w);
    let column = e.pixel - band_row * 2u * im.in_w;
    let row = band_row + im.first;
    let near_row = (e.lane * im.in_h + (row >> 1u)) * im.in_w;
    let far_row = (e.lane * im.in_h + far_tap(row, im.in_h)) * im.in_w;
    let near_column = column >> 1u;
    let far_column = far_tap(column, im.in_w);
    let near = 0.75 * load((near_row + near_column) * im.in_stride + e.block_at)
        + 0.25 * load((near_row + far_column) * im.in_stride + e.block_at);
    let far = 0.75 * load((far_row + near_column) * im.in_stride + e.block_at)
        + 0.25 * load((far_row + far_column) * im.in_stride + e.block_at);
    y[e.y_at] = packed(0.75 * near + 0.25 * far);
}
