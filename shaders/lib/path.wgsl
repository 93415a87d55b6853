// Immediates of the path shaders (`paths::launch`), and the lanes they read.
#import lib/lane.wgsl
struct Immediates {
    lanes: u32,
    dim: u32,
    stride: u32,
    path: u32,
    seed_lo: u32,
    seed_hi: u32,
}
var<immediate> im: Immediates;
