// s = sum_c r_c g_c, g_c = (a mu_c - x) / V_c, r_c = softmax of t_c - |x - a mu_c|^2 / (2 V_c): score of a noised Gaussian
// mixture. Along a tangent v: s' = sum_c r_c ((g_c.v - mean) g_c - v / V_c), mean = sum_c r_c g_c.v.
// Thread map: one workgroup of 256 per lane; threads stride over components of x, then over them again for the sum.
// Accuracy: |x - a mu|^2 in f32, so r_c is good to about 1e-7 |x - a mu|^2 / V_c; builtin exp on differences <= 0.
#import lib/grid.wgsl
#import lib/lane.wgsl
#import lib/reduce.wgsl
struct Immediates { lanes: u32, dim: u32, flat: u32, components: u32, group: u32 }
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> lanes: array<Lane>;    // [lane]
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [lane][flat]
@group(0) @binding(2) var<storage, read> means: array<f32>;     // [component][dim]
@group(0) @binding(3) var<storage, read> table: array<vec2f>;   // [timestep][component]: 1 / V_c, t_c
@group(0) @binding(4) var<storage, read_write> s: array<f32>;   // [lane][flat]
var<workgroup> share: array<f32, 256>; // log r_c up to a constant
var<workgroup> turn: array<f32, 256>;  // g_c.v; 0 for primals

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let lane = min(workgroup_index(group), im.lanes - 1u); // spare workgroups repeat the last lane
    let first = lane / im.group * im.group * im.flat; // the point, of which a tangent is a tangent
    let own = lane * im.flat;
    let tangent = select(0.0, 1.0, own != first);
    let a = lanes[lane].a;
    let row = lanes[lane].row * im.components;
    for (var c = 0u; c < im.components; c++) {
        var sums = vec4f();
        for (var i = thread; i < im.dim; i += 256u) {
            let gap = a * means[c * im.dim + i] - x[first + i];
            sums += vec4f(gap * gap, tangent * gap * x[own + i], 0.0, 0.0);
        }
        let sum = workgroup_sum(sums, thread);
        if thread == 0u {
            share[c] = table[row + c].y - 0.5 * table[row + c].x * sum.x;
            turn[c] = table[row + c].x * sum.y;
        }
    }
    workgroupBarrier();
    var top = share[0];
    for (var c = 1u; c < im.components; c++) { top = max(top, share[c]); }
    var total = 0.0;
    var mean = 0.0;
    for (var c = 0u; c < im.components; c++) {
        let r = exp(share[c] - top);
        total += r;
        mean += r * turn[c];
    }
    mean /= total;
    for (var i = thread; i < im.flat; i += 256u) {
        var v = 0.0;
        if i < im.dim {
            for (var c = 0u; c < im.components; c++) {
                let gap = a * means[c * im.dim + i] - x[first + i];
                let change = mix(gap, (turn[c] - mean) * gap - x[own + i], tangent);
                v += exp(share[c] - top) / total * table[row + c].x * change;
            }
        }
        s[own + i] = v;
    }
}
