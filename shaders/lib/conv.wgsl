// Channel-block addressing of the convolution kernels.
var<immediate> im: Immediates; // lib/conv_immediates and the kernel's own

// Offset in a pixel of the k-th block read.
fn block_offset(k: u32) -> u32 {
    return k + select(im.first1, im.first0, k < im.count0);
}
