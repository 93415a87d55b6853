// Per lane (one segment): s.d, m.d, |d|^2, |m|^2, |s|^2 over the D components; the host sums segments in f64.
// Thread map: one workgroup of 256 per lane; threads stride over components, then a fixed tree.
// Accuracy: D/256 sequential f32 additions and 8 tree levels: about 2e-7 of the sum of absolute values.
#import lib/grid.wgsl
#import lib/reduce.wgsl
struct Immediates { lanes: u32, dim: u32, flat: u32 }
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<f32>;            // [lane][flat] midpoints m
@group(0) @binding(1) var<storage, read> d: array<f32>;            // [lane][flat] steps
@group(0) @binding(2) var<storage, read> s: array<f32>;            // [lane][flat] field values
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>; // [lane][2]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let lane = min(workgroup_index(group), im.lanes - 1u); // spare workgroups repeat the last lane
    var a = vec4f();
    var b = 0.0;
    for (var i = thread; i < im.dim; i += 256u) {
        let at = lane * im.flat + i;
        a += vec4f(s[at] * d[at], x[at] * d[at], d[at] * d[at], x[at] * x[at]);
        b += s[at] * s[at];
    }
    let first = workgroup_sum(a, thread);
    let second = workgroup_sum(vec4f(b, 0.0, 0.0, 0.0), thread);
    if thread == 0u {
        sums[2u * lane] = first;
        sums[2u * lane + 1u] = second;
    }
}
