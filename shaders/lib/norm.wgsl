// Immediates of the kernels that make GroupNorm's coefficients. Host: `ops::group_norm`.
struct Immediates {
    lanes: u32,
    pixels: u32,
    in_stride: u32,                        // blocks per pixel of the input buffer
    blocks: u32,
    first0: u32, count0: u32, first1: u32, // the two runs of input blocks
    group: u32,                            // lanes per sample
    chunk: u32, chunks: u32,               // pixels summed by one thread, number of such chunks
    first: u32, all: u32,                  // chunks of the bands before, of all bands
    groups: u32, size: u32,                // groups of channels, channels in each
    padding: u32,                          // positions in blocks that hold no channel
    rowed: u32,                            // 1 if gain and shift depend on the timestep
    epsilon: f32,
}
var<immediate> im: Immediates;
