// a <- m a + c in registers, `rounds` times 8 steps of 16 independent chains: the rate of multiply-adds that nothing holds up.
// A round is short because compilers for CPUs write one chain behind the other: processors that look a few hundred instructions
// ahead still find work in several.
// Thread map: one thread per item of the lane; y is the sum of its chains. Accuracy: |m| < 1, so rounding does not pile up.
#import lib/grid.wgsl
struct Immediates { lanes: u32, items: u32, rounds: u32, m: f32, c: f32 }
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read_write> y: array<vec4f>; // [lane][items]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * im.items - 1u);
    let m = vec4f(im.m);
    let c = vec4f(im.c);
    var a0 = vec4f(0.0, 1.0, 2.0, 3.0) + f32(i % 64u);
    var a1 = a0 + 4.0;
    var a2 = a0 + 8.0;
    var a3 = a0 + 12.0;
    for (var round = 0u; round < im.rounds; round++) {
#unroll step 0 8
        a0 = fma(a0, m, c); a1 = fma(a1, m, c); a2 = fma(a2, m, c); a3 = fma(a3, m, c);
#end
    }
    y[i] = (a0 + a1) + (a2 + a3);
}
