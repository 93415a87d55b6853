// s_i = alpha x_i + omega (x_{i+1} - x_{i-1}), i cyclic over the D components: gaussian, rotor, tilted, subspace.
// Thread map: one thread per flat component. Accuracy: three f32 roundings.
#import lib/grid.wgsl
#import lib/lane.wgsl
struct Immediates {
    lanes: u32, dim: u32, flat: u32, omega: f32,
    rank: u32, // so many components have the Gaussian's alpha in place of the lane's
    group: u32, transposed: u32, // lanes per sample, the first of them that is a cotangent: J' has -omega
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> lanes: array<Lane>;    // [lane]
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [lane][flat]
@group(0) @binding(2) var<storage, read_write> s: array<f32>;   // [lane][flat]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = workgroup_index(group) * 256u + thread;
    let lane = i / im.flat;
    if lane >= im.lanes { return; }
    let c = i % im.flat;
    let first = lane * im.flat;
    var v = 0.0;
    if c < im.dim {
        let omega = select(im.omega, -im.omega, lane % im.group >= im.transposed);
        let alpha = select(lanes[lane].alpha, lanes[lane].gauss, c < im.rank);
        v = alpha * x[i] + omega * (x[first + (c + 1u) % im.dim] - x[first + (c + im.dim - 1u) % im.dim]);
    }
    s[i] = v;
}
