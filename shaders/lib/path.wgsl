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

// `v` as rounded to f32: what compilers may not see through, since they do not know that no row is so long. Nodes pass through it,
// for a compiler that takes the sums and differences of nodes apart (NVIDIA's does) gives a node other bits in each of its segments,
// and the steps of a loop then no longer add up to nothing.
fn rounded(v: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(v) ^ vec4<u32>(im.dim >> 31u));
}

// The point of the segment from `first` to `second` that the lane asks for.
fn on_segment(lane: Lane, first: vec4<f32>, second: vec4<f32>) -> vec4<f32> {
    return 0.5 * (first + second) + lane.shift * (second - first);
}
