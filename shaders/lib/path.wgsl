// Immediates of the path shaders (`paths::Tables`), and the lanes they read.
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

// The point of the segment from `first` to `second` that the lane asks for.
fn on_segment(lane: Lane, first: vec4<f32>, second: vec4<f32>) -> vec4<f32> {
    return 0.5 * (first + second) + lane.shift * (second - first);
}
