// Immediates that all convolution kernels have, in the struct that the kernel's file declares (`ops::conv::immediates`).
    lanes: u32,
    pixels: u32, out_w: u32,               // output pixels and width
    in_h: u32, in_w: u32,
    in_stride: u32,                        // blocks per pixel of the input buffer
    out_stride: u32, out_offset: u32,      // blocks per pixel of the output buffer, first block written
    blocks: u32,                           // input blocks read
    stride: u32, above: u32, left: u32,    // zeros above and left of the input
    first0: u32, count0: u32, first1: u32, // the two runs of input blocks
    group: u32,                            // lanes per sample: bias where lane % group = 0
