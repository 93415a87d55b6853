// Immediates that all elementwise kernels have, in the struct that the kernel's file declares; its own come behind them.
    lanes: u32,
    pixels: u32,                           // output pixels
    in_stride: u32,                        // blocks per pixel of the input buffer
    out_stride: u32, out_offset: u32,      // blocks per pixel of the output buffer, first block written
    blocks: u32,
    first0: u32, count0: u32, first1: u32, // the two runs of input blocks
    group: u32,                            // lanes per sample
#if X_APART
    x_to: u32, x_from: u32,                // lanes per sample of y and of x, of which each reads the primal
#endif
#if Z_APART
    z_to: u32, z_from: u32,                // the same of z
#endif
