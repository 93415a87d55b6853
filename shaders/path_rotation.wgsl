// Rotation path: node i is a x_0 + sigma (cos eps + sin P eps), P eps = +- the partner's eps. Twin: src/paths/rotation.rs.
// Threads: one workgroup of 256 per lane (one segment), a thread takes every 256th block of 4 components; it draws its
// partners' eps again (Philox is random access), so nothing is exchanged between threads.
// Writes the segment's point (its midpoint, unless the lane says otherwise) and step, 0 in the padding.
// Accuracy: |node - twin| <= 2e-6 (max(1, sigma) + |node|); the angles come from the host in f64.
#import lib/normal.wgsl
#import lib/path.wgsl
#import lib/grid.wgsl

@group(0) @binding(0) var<storage, read> lanes: array<Lane>;             // [lane]
@group(0) @binding(1) var<storage, read> x0: array<vec4<f32>>;           // [row][stride / 4]   clean images
@group(0) @binding(2) var<storage, read> pairs: array<vec4<u32>>;        // [row][stride / 4]   partner | FIXED | MINUS
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;      // [lane][stride / 4]  points
@group(0) @binding(4) var<storage, read_write> d: array<vec4<f32>>;      // [lane][stride / 4]  steps

const MINUS = 0x80000000u;
const FIXED = 0x40000000u;
const INDEX = 0x3fffffffu;

fn eps_block(lane: Lane, block: u32) -> vec4<f32> {
    return normals(vec2<u32>(im.seed_lo, im.seed_hi), PURPOSE_EPS, 0u, lane.sample, lane.k, block);
}

// (P eps) of one component.
fn partner_eps(lane: Lane, entry: u32) -> f32 {
    let partner = entry & INDEX;
    let eps = eps_block(lane, partner / 4u)[partner % 4u];
    return select(eps, -eps, (entry & MINUS) != 0u);
}

// Written as multiply-adds, so that a node is the same sum in both of its segments.
fn turn(cosine: f32, eps: vec4<f32>, sine: f32, turned: vec4<f32>) -> vec4<f32> {
    return fma(vec4<f32>(sine), turned, cosine * eps);
}

fn node(lane: Lane, center: vec4<f32>, eps: vec4<f32>) -> vec4<f32> {
    return rounded(fma(vec4<f32>(lane.sigma), eps, center));
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
        let entry = pairs[lane.table1 * blocks + block];
        let center = rounded(lane.a * x0[lane.table0 * blocks + block]);
        let eps = eps_block(lane, block);
        var turned = vec4<f32>(0.0);
#unroll c 0 4
        turned[$c] = partner_eps(lane, entry[$c]);
#end
        let fixed = (entry & vec4<u32>(FIXED)) != vec4<u32>(0u);
        let first = node(lane, center, select(turn(lane.p0, eps, lane.p1, turned), eps, fixed));
        let second = node(lane, center, select(turn(lane.p2, eps, lane.p3, turned), eps, fixed));
        x[index * blocks + block] = without_padding(on_segment(lane, first, second), block, im.dim);
        d[index * blocks + block] = without_padding(second - first, block, im.dim);
    }
}
