// Brownian path: node i is x_t + c X_i, X a Brownian bridge, x_t = a x_0 + sigma eps. Twin: src/paths/brownian.rs.
// Threads: one workgroup of 256 per lane (one segment), a thread takes every 256th block of 4 components.
// Writes the segment's point (its midpoint, unless the lane says otherwise) and step, 0 in the padding.
// Accuracy: |node - twin| <= 2e-6 (max(1, sigma) + |node|); see kernels-tests/paths.rs.
#import lib/normal.wgsl
#import lib/path.wgsl
#import lib/grid.wgsl

@group(0) @binding(0) var<storage, read> lanes: array<Lane>;             // [lane]
@group(0) @binding(1) var<storage, read> x0: array<vec4<f32>>;           // [row][stride / 4]   clean images
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;      // [lane][stride / 4]  points
@group(0) @binding(3) var<storage, read_write> d: array<vec4<f32>>;      // [lane][stride / 4]  steps

struct Ends {
    first: vec4<f32>,
    second: vec4<f32>,
}

// Unit-step bridge over [0, N] at both ends of the lane's segment: the bisection that isolates the segment ends on its
// two nodes, and a node's value is the same whichever of its segments asks.
fn bridge(lane: Lane, block: u32) -> Ends {
    var lo = 0u;
    var hi = lane.count;
    var x_lo = vec4<f32>(0.0);
    var x_hi = vec4<f32>(0.0);
    while (hi - lo > 1u) {
        let mid = (lo + hi) / 2u;
        let left = f32(mid - lo);
        let right = f32(hi - mid);
        let width = f32(hi - lo);
        let z = normals(vec2<u32>(im.seed_lo, im.seed_hi), PURPOSE_BRIDGE, mid, lane.sample, lane.k, block);
        let x_mid = (right * x_lo + left * x_hi) / width + square_root(left * right / width) * z;
        if (lane.node < mid) {
            hi = mid;
            x_hi = x_mid;
        } else {
            lo = mid;
            x_lo = x_mid;
        }
    }
    return Ends(x_lo, x_hi);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let index = workgroup_index(group);
    if (index >= im.lanes) {
        return;
    }
    let lane = lanes[index];
    if (lane.path != im.path) {
        return;
    }
    let blocks = im.stride / 4u;
    for (var block = thread; block < blocks; block += 256u) {
        let eps = normals(vec2<u32>(im.seed_lo, im.seed_hi), PURPOSE_EPS, 0u, lane.sample, lane.k, block);
        let start = rounded(lane.a * x0[lane.table0 * blocks + block] + lane.sigma * eps);
        let ends = bridge(lane, block);
        let first = rounded(fma(vec4<f32>(lane.p0), ends.first, start));
        let second = rounded(fma(vec4<f32>(lane.p0), ends.second, start));
        x[index * blocks + block] = without_padding(on_segment(lane, first, second), block, im.dim);
        d[index * blocks + block] = without_padding(second - first, block, im.dim);
    }
}
