// s = alpha x + beta raw: a network's output as the score, coefficients per lane (f64 on the host, rounded once).
// Thread map: one thread per flat component. Accuracy: two f32 roundings.
#import lib/grid.wgsl
#import lib/lane.wgsl
struct Immediates { lanes: u32, flat: u32 }
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> lanes: array<Lane>;    // [lane]
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [lane][flat]
@group(0) @binding(2) var<storage, read> raw: array<f32>;       // [lane][flat]
@group(0) @binding(3) var<storage, read_write> s: array<f32>;   // [lane][flat]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let lane = i / im.flat;
    if lane >= im.lanes { return; }
    s[i] = lanes[lane].alpha * x[i] + lanes[lane].beta * raw[i];
}
