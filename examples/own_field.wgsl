// s_i = x_{i+1}^2 / 2 - x_i, i cyclic over the D components. One thread per component of a flat lane.
#import lib/grid.wgsl
struct Immediates { lanes: u32, dim: u32, flat: u32 }
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [lane][flat]
@group(0) @binding(1) var<storage, read_write> s: array<f32>;   // [lane][flat], 0 in the padding

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let lane = i / im.flat;
    if lane >= im.lanes { return; }
    let c = i % im.flat;
    var v = 0.0;
    if c < im.dim {
        let next = x[lane * im.flat + (c + 1u) % im.dim];
        v = 0.5 * next * next - x[i];
    }
    s[i] = v;
}
