// y[lane, c, p] = x[lane, p, slots[c]]: padded channels-last to flat C order; the end of a flat row is zero.
// Thread map: one thread per (lane, flat component). Exact.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, channels: u32,
    pixels: u32, stride: u32,          // of the band of rows that is copied; numbers per pixel of its buffer
    flat: u32, plane: u32, first: u32, // numbers of a lane of y, pixels of its image, first pixel of the band
    end: u32,                          // numbers behind the last channel that this band clears
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<f32>;       // [lane][pixels][stride]
@group(0) @binding(1) var<storage, read> slots: array<u32>;   // [channels]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [lane][flat]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let count = im.channels * im.pixels;
    let lane = i / (count + im.end);
    if lane >= im.lanes { return; }
    let rest = i % (count + im.end);
    if rest >= count {
        y[lane * im.flat + im.channels * im.plane + rest - count] = 0.0;
        return;
    }
    let c = rest / im.pixels;
    let p = rest % im.pixels;
    y[lane * im.flat + c * im.plane + im.first + p] = x[(lane * im.pixels + p) * im.stride + slots[c]];
}
