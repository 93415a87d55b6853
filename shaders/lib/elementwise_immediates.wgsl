// Immediates that all elementwise kernels have, in the struct that the kernel's file declares; its own come behind them.
    lanes: u32,
    pixels: u32,                           // output pixels
    in_stride: u32,                        // blocks per pixel of the input buffer
    out_stride: u32, out_offset: u32,      // blocks per pixel of the output buffer, first block written
    blocks: u32,
    first0: u32, count0: u32, first1: u32, // the two runs of input blocks
    group: u32,                            // lanes per sample
