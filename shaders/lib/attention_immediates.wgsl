// Immediates of the kernels that make attention's output. Host: `ops::pairs`.
    lanes: u32,
    own: u32, others: u32,            // pixels of q and of k
    group: u32,                       // lanes per sample
    scale: f32,                       // s
    q_stride: u32, q_first: u32,      // blocks per pixel, first block
    k_stride: u32, k_first: u32,
    v_stride: u32, v_first: u32,
    y_stride: u32, y_first: u32,
