// Rows of words between the lanes that are outside a network, 1 + T + K of every sample, and those of one of its spaces:
// y[lane] = x[outside] (INTO = 0), or y[outside] = x[lane] (INTO = 1).
// Thread map: one thread per (lane of the space, 4 words). Exact, whatever the words are.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32,
    words: u32,                        // of a lane that are copied, in fours
    in_stride: u32, out_stride: u32,   // of a lane of x and of y, in fours
    own: u32, group: u32, first: u32,  // lanes per sample of the space and outside, the space's first of these
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4u>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let lane = i / im.words;
    if lane >= im.lanes { return; }
    let word = i - lane * im.words;
    let sample = lane / im.own;
    let outside = sample * im.group + im.first + lane - sample * im.own;
#if INTO
    y[outside * im.out_stride + word] = x[lane * im.in_stride + word];
#else
    y[lane * im.out_stride + word] = x[outside * im.in_stride + word];
#endif
}
