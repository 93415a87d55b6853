// Immediates of the convolution kernels (`ops::conv::immediates` plus a few words of each) and channel-block addressing.
struct Conv {
    lanes: u32,
    pixels: u32, out_w: u32,             // output pixels and width
    in_h: u32, in_w: u32,
    in_stride: u32,                      // blocks per pixel of the input buffer
    out_stride: u32, out_offset: u32,    // blocks per pixel of the output buffer, first block written
    blocks: u32,                         // input blocks read
    stride: u32, above: u32, left: u32,  // zeros above and left of the input
    first0: u32, count0: u32, first1: u32, // the two runs of input blocks
    group: u32,                          // lanes per sample: bias where lane % group = 0
    a: u32, b: u32, c: u32,              // the kernel's own
    phase: u32,                          // with SPREAD: first pixel of this phase in the output
    z_stride: u32, z_first0: u32, z_count0: u32, z_first1: u32, // with RESIDUAL: as those of x
    s: f32, t: f32,
}
var<immediate> im: Conv;

// Offset in a pixel of the k-th block read.
fn block_offset(k: u32) -> u32 {
    return k + select(im.first1, im.first0, k < im.count0);
}
