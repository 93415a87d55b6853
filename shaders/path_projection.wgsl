// Projection path: on the arc from E_0 to E_1, E_j = a x_0 + sigma eps_j, node f is (1-f) E_0 + f E_1 moved along its ray
// from the origin to the radius (1-f) |E_0| + f |E_1|. If lane.p2 is 1, the second node is the first plus the derivative
// by f instead. Twin: src/paths/projection.rs.
// Threads: one workgroup of 256 per lane (one segment), a thread takes every 256th block of 4 components. The first pass
// leaves E_0 and E_1 in x and d and sums squares; the second, same thread per block, turns them into the segment's point (lib/path) and step.
// Accuracy: |node - twin| <= 2e-6 (max(1, sigma) + |node|); squares are summed in a fixed order, whatever the tile.
#import lib/normal.wgsl
#import lib/path.wgsl
#import lib/grid.wgsl

@group(0) @binding(0) var<storage, read> lanes: array<Lane>;             // [lane]
@group(0) @binding(1) var<storage, read> x0: array<vec4<f32>>;           // [row][stride / 4]   clean images
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;      // [lane][stride / 4]  points
@group(0) @binding(3) var<storage, read_write> d: array<vec4<f32>>;      // [lane][stride / 4]  steps

// |E_0|^2, |E_1|^2, |chord(f0)|^2, and |chord(f1)|^2 or, for the derivative, chord . slope
var<workgroup> squares: array<vec4<f32>, 256>;

fn noised(lane: Lane, draw: u32, block: u32) -> vec4<f32> {
    let eps = normals(vec2<u32>(im.seed_lo, im.seed_hi), PURPOSE_EPS, draw, lane.sample, lane.k, block);
    let e = fma(vec4<f32>(lane.sigma), eps, rounded(lane.a * x0[lane.table0 * (im.stride / 4u) + block]));
    return without_padding(rounded(e), block, im.dim);
}

fn chord(f: f32, e0: vec4<f32>, e1: vec4<f32>) -> vec4<f32> {
    return rounded(fma(vec4<f32>(f), e1, (1.0 - f) * e0));
}

// The least positive normal f32 keeps an all-zero image at zero noise (0 / 0) at zero.
fn norm(square: f32) -> f32 {
    return square_root(max(square, 1.1754944e-38));
}

// What moves a chord's point to its radius; exactly 1 at both ends, so that arcs join bit for bit.
fn factor(f: f32, square0: f32, square1: f32, square: f32) -> f32 {
    if (f == 0.0 || f == 1.0) {
        return 1.0;
    }
    return ((1.0 - f) * norm(square0) + f * norm(square1)) / norm(square);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let index = workgroup_index(group);
    let lane = lanes[min(index, im.lanes - 1u)];
    // A workgroup without a lane of this path has no blocks: it passes the barriers with the others and writes nothing.
    let blocks = select(0u, im.stride / 4u, index < im.lanes && lane.path == im.path);

    var sum = vec4<f32>(0.0);
    for (var block = thread; block < blocks; block += 256u) {
        let e0 = noised(lane, lane.n0, block);
        let e1 = noised(lane, lane.n1, block);
        let c0 = chord(lane.p0, e0, e1);
        let c1 = chord(lane.p1, e0, e1);
        let last = select(dot(c1, c1), dot(c0, e1 - e0), lane.p2 == 1.0);
        sum += vec4<f32>(dot(e0, e0), dot(e1, e1), dot(c0, c0), last);
        x[index * blocks + block] = e0;
        d[index * blocks + block] = e1;
    }
    squares[thread] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half >>= 1u) {
        if (thread < half) {
            squares[thread] += squares[thread + half];
        }
        workgroupBarrier();
    }

    let s = squares[0];
    let factor0 = factor(lane.p0, s.x, s.y, s.z);
    let factor1 = factor(lane.p1, s.x, s.y, s.w);
    let on_chord = (norm(s.y) - norm(s.x) - factor0 * s.w / norm(s.z)) / norm(s.z);
    for (var block = thread; block < blocks; block += 256u) {
        let e0 = x[index * blocks + block];
        let e1 = d[index * blocks + block];
        let first = rounded(factor0 * chord(lane.p0, e0, e1));
        let slope = on_chord * chord(lane.p0, e0, e1) + factor0 * (e1 - e0);
        let second = rounded(select(factor1 * chord(lane.p1, e0, e1), first + slope, lane.p2 == 1.0));
        x[index * blocks + block] = on_segment(lane, first, second);
        d[index * blocks + block] = second - first;
    }
}
