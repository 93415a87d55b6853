// y[lane, p, o] = act(b[o] + sum_{tap, c} w[o, c, tap] x[lane, stride p + tap - padding, c]) as a tiled implicit GEMM:
// rows are output pixels of all lanes, columns output channels, the sum runs over (tap, input channel) in steps of 16.
// Thread map: 256 threads make a tile of 64 pixels x 64 channels, 4 x 4 each; tiles in workgroup memory.
// Accuracy: sequential f32 sum in a fixed order per output, so a lane's value does not depend on its neighbours.
#import lib/grid.wgsl
// SILU, KEEP and SLOPED as in conv_cc.
#import lib/conv.wgsl      // a: kernel size, b: output blocks
#import lib/portable.wgsl
#import lib/part.wgsl
#import lib/silu.wgsl
#import lib/weights.wgsl   // [tap][4 block + component][out blocks]
#import lib/conv_load.wgsl
#import lib/conv_store.wgsl
var<workgroup> rows: array<f32, 1024>;    // [16 of the sum][64 pixels]
var<workgroup> columns: array<vec4f, 256>; // [16 of the sum][16 blocks]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let tile = workgroup_index(group) * 64u;
    // What this thread loads: one block of one pixel, one weight vector.
    let read = window(tile + thread / 4u);
    let column = group.z * 16u + thread % 16u;
    // What it computes.
    let my = thread / 16u * 4u;
    var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
    for (var tap = 0u; tap < im.a * im.a; tap++) {
        for (var first = 0u; first < im.blocks; first += 4u) {
            let v = load(read, tap, first + thread % 4u);
            let row = thread % 4u * 256u + thread / 4u;
            rows[row] = v.x; rows[row + 64u] = v.y; rows[row + 128u] = v.z; rows[row + 192u] = v.w;
            let wk = first * 4u + thread / 16u;
            var wv = vec4f();
            if wk < im.blocks * 4u && column < im.b { wv = weight((tap * im.blocks * 4u + wk) * im.b + column); }
            columns[thread] = wv;
            workgroupBarrier();
            for (var j = 0u; j < 16u; j++) {
                let b = columns[j * 16u + thread % 16u];
                let q = j * 64u + my;
                a0 += rows[q] * b; a1 += rows[q + 1u] * b; a2 += rows[q + 2u] * b; a3 += rows[q + 3u] * b;
            }
            workgroupBarrier();
        }
    }
    store(tile + my, column, a0);
    store(tile + my + 1u, column, a1);
    store(tile + my + 2u, column, a2);
    store(tile + my + 3u, column, a3);
}
