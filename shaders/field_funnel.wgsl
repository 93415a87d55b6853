// Score of the noised funnel (src/field/funnel.rs has the integral). With V = a^2 e^(y0) + s2 at y0 = m + tau z, nodes of
// log-weight -z^2/2 - n/2 ln V - |x|^2 / 2V, averages <> under these weights: s_x = -x <1/V>, s_y = -y/S + c <g>,
// g = n/2 rho (|x|^2/(n V) - 1), rho = (V - s2) / V. With u = 1/V and h = x.x' along a tangent (y', x'):
//   <u>' = -X c y' - Y h,  <g>' = Z c y' + X h,  X = <rho u> - cov(u, g),  Y = var u,  Z = <g_m> + var g.
// The Jacobian is made of five numbers of the point, the same in every lane, so it is symmetric to the last rounding.
// Thread map: one workgroup of 256 per lane; threads stride over components, and each is one node. Two passes: the first over
// all of z where weight may lie, the second over what the first has found.
// Accuracy: V is counted in units of max(|x|^2/n, s2), weights from the centre of the nodes, so that nothing large cancels.
// What stays is the rounding of m: about 1e-7 |m| n/2 in <g>, 1e-7 |m| relative in <u>.
#import lib/exp.wgsl
#import lib/grid.wgsl
#import lib/lane.wgsl
#import lib/ln.wgsl
#import lib/reduce.wgsl
struct Immediates { lanes: u32, dim: u32, flat: u32, group: u32 }
// Of a timestep: `Level::row` of src/field/funnel.rs.
struct Level {
    log_a2: f32,
    s2: f32,
    gain: f32,    // c = 9a / S
    inverse: f32, // 1 / S
    tau: f32,
    up: f32,      // ln(tau^2 / 2 a^2)
    down: f32,    // ln(tau^2 n a^2 / 2 s2)
    most: f32,    // tau^2 n / 2
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> lanes: array<Lane>;    // [lane]
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [lane][flat]
@group(0) @binding(2) var<storage, read> levels: array<Level>;  // [timestep]
@group(0) @binding(3) var<storage, read_write> s: array<f32>;   // [lane][flat]

const MARGIN = 8.0; // standard deviations beyond the outermost modes: e^-32
const DEPTH = 40.0; // below the largest log-weight: what the second pass leaves out
const BIG = 1e37;   // no product of two such factors as occur here overflows

// What all nodes of a lane share; V and |x|^2/n in units of `unit`.
struct Point {
    half: f32,    // n / 2
    omega: f32,   // |x|^2/n
    least: f32,   // s2
    growth: f32,  // ln of a^2 e^m
    tau: f32,
}

struct Node {
    weight: f32, // ln, against the centre
    u: f32,      // 1 / V
    rho: f32,
}

fn exp_f32(t: f32) -> f32 {
    return exp_minus_far(vec4f(-t)).x;
}

// No less than w of w e^w = b (Lambert's W): w <= b, and w = ln b - ln w <= ln b - ln W(1) where b >= 1.
fn lambert(ln_b: f32) -> f32 {
    return select(ln_b + 0.5672, exp_f32(ln_b), ln_b < 0.0);
}

// The node at z = centre + d.
fn node(p: Point, centre: f32, d: f32) -> Node {
    let parts = exp_minus_far(-vec4f(p.growth, p.tau * centre, p.tau * d, 0.0));
    let middle = min(parts.x * parts.y, BIG);
    let v0 = middle + p.least;
    let grown = min(middle * parts.z, BIG);
    let v = grown + p.least;
    // V / V0 - 1 and the changes of the three terms of the log-weight by it.
    let change = min(middle * exp_less_one(p.tau * d), BIG) / v0;
    let ln_ratio = ln_f32(vec2f(v / v0)).x;
    return Node(p.half * (p.omega * change / v - ln_ratio) - d * (centre + 0.5 * d), 1.0 / v, grown / v);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let lane = min(workgroup_index(group), im.lanes - 1u); // spare workgroups repeat the last lane
    let first = lane / im.group * im.group * im.flat; // the point, of which a tangent is a tangent
    let own = lane * im.flat;
    let level = levels[lanes[lane].row];
    var squares = vec4f();
    for (var i = thread; i < im.dim; i += 256u) {
        let v = select(x[first + i], 0.0, i == 0u); // component 0 is y
        squares += vec4f(v * v, v * x[own + i], 0.0, 0.0);
    }
    squares = workgroup_sum(squares, thread);
    let y = x[first];
    let n = f32(im.dim - 1u);
    let m = level.gain * y;
    let mean = squares.x / n;
    let unit = max(mean, level.s2);

    // The likelihood is largest `gap` beyond m; modes lie between, and no further than the bounds.
    let logs = ln_f32(max(vec2f(mean - level.s2, squares.x), vec2f(1e-37)));
    let gap = logs.x - level.log_a2 - m;
    let up = clamp(gap, 0.0, lambert(logs.y + level.up - m));
    let down = clamp(-gap, 0.0, min(level.most, lambert(level.down + m)));
    let from_z = -down / level.tau - MARGIN;
    let to_z = up / level.tau + MARGIN;

    let p = Point(0.5 * n, mean / unit, level.s2 / unit, level.log_a2 + m - ln_f32(vec2f(unit)).x, level.tau);
    let place = f32(thread) / 127.5 - 1.0; // -1 .. 1
    var centre = 0.5 * (from_z + to_z);
    var radius = 0.5 * (to_z - from_z);
    let rough = node(p, centre, radius * place).weight;
    let rough_top = workgroup_max(vec4f(rough), thread).x;
    let inside = rough >= rough_top - DEPTH;
    let ends = workgroup_max(select(vec4f(-1.0), vec4f(-place, place, 0.0, 0.0), inside), thread);
    let step = 1.0 / 127.5;
    let low = max(-ends.x - step, -1.0);
    let high = min(ends.y + step, 1.0);
    centre += radius * 0.5 * (low + high);
    radius *= 0.5 * (high - low);

    let q = node(p, centre, radius * place);
    let top = workgroup_max(vec4f(q.weight), thread).x;
    let g = p.half * q.rho * (p.omega * q.u - 1.0);
    var w = exp_f32(q.weight - top);
    let sums = workgroup_sum(w * vec4f(1.0, q.u, g, 0.0), thread);
    w /= sums.x;
    let mean_u = sums.y / sums.x;
    let mean_g = sums.z / sums.x;

    // s_y, and what x is multiplied by.
    var along_y = level.gain * mean_g - level.inverse * y;
    var factor = -mean_u / unit;
    var share = 0.0; // of the lane's own x, which is x' on tangents
    if own != first {
        let du = q.u - mean_u;
        let dg = g - mean_g;
        let slope = p.least * q.u * g - p.half * p.omega * q.rho * q.rho * q.u; // dg/dm
        let sum = workgroup_sum(w * vec4f(q.rho * q.u - du * dg, du * du, slope + dg * dg, 0.0), thread);
        let turn = level.gain * x[own];
        let stretch = squares.y / unit;
        along_y = level.gain * (sum.z * turn + sum.x * stretch) - level.inverse * x[own];
        share = factor;
        factor = (sum.x * turn + sum.y * stretch) / unit;
    }
    for (var i = thread; i < im.flat; i += 256u) {
        let along_x = factor * x[first + i] + share * x[own + i];
        s[own + i] = select(select(along_x, along_y, i == 0u), 0.0, i >= im.dim);
    }
}
