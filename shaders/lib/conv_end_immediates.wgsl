// Immediates of kernels that store what a convolution makes, in the struct that the kernel's file declares, behind its own.
    out_blocks: u32,                                            // blocks of output channels
    phase: u32,                                                 // with SPREAD: first pixel of this phase in the output
    z_stride: u32, z_first0: u32, z_count0: u32, z_first1: u32, // with RESIDUAL: as those of x
    s: f32, t: f32,
