// y[lane, c, p] = x[lane, p, slots[c]]: padded channels-last to flat C order; the end of a flat row is zero.
// Thread map: one thread per (lane, flat component). Exact.
#import lib/grid.wgsl
struct Immediates { lanes: u32, channels: u32, pixels: u32, flat: u32, stride: u32 }
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<f32>;       // [lane][pixels][stride]
@group(0) @binding(1) var<storage, read> slots: array<u32>;   // [channels]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [lane][flat]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let lane = i / im.flat;
    if lane >= im.lanes { return; }
    let c = i % im.flat / im.pixels;
    let p = i % im.flat % im.pixels;
    var v = 0.0;
    if c < im.channels { v = x[(lane * im.pixels + p) * im.stride + slots[c]]; }
    y[i] = v;
}
