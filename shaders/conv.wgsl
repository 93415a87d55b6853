// y[lane, p, o] = act(b[o] + sum_{tap, c} w[o, c, tap] x[lane, stride p + tap - padding, c]) as a tiled implicit GEMM:
// rows are output pixels of all lanes, columns output channels, the sum runs over (tap, input channel) in steps of 16.
// Thread map: 256 threads make a tile of 16 PM pixels x 16 CM blocks of 4 channels, PM x CM each; tiles in workgroup
// memory, of which the next one's numbers are on their way from memory while this one is summed.
// Accuracy: sequential f32 sum in an order that no tile changes, so a lane's value does not depend on its neighbours.
#import lib/grid.wgsl
// SILU, KEEP and SLOPED as in conv_cc.
struct Immediates {
#import lib/conv_immediates.wgsl
    kernel: u32, // side
#import lib/conv_end_immediates.wgsl
}
#import lib/conv.wgsl
#import lib/portable.wgsl
#import lib/part.wgsl
#import lib/silu.wgsl
#import lib/weights.wgsl   // [tap][4 block + component][out blocks]
#import lib/conv_load.wgsl
#import lib/conv_store.wgsl
const PIXELS = 16 * PM;
const BLOCKS = 16 * CM;
const LOADS = PM / 4; // blocks of input that a thread loads per step
var<workgroup> rows: array<vec4f, PIXELS * 4>;     // [pixel][4 blocks of the sum]
var<workgroup> columns: array<vec4f, 16 * BLOCKS>; // [16 of the sum][block]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let tile = workgroup_index(group) * $(PIXELS)u;
    let column = group.z * $(BLOCKS)u;
    let per_tap = (im.blocks + 3u) / 4u;
    let steps = im.kernel * im.kernel * per_tap;
#unroll i 0 LOADS
    let window$i = window(tile + thread / 4u + $(64 * i)u);
    var x$i = load(window$i, 0u, thread % 4u);
#end
#unroll i 0 CM
    var w$i = load_weight(0u, 0u, (thread + $(256 * i)u) / $(BLOCKS)u, column + (thread + $(256 * i)u) % $(BLOCKS)u);
#end
#unroll m 0 PM
#unroll n 0 CM
    var a$(m)_$n = vec4f();
#end
#end
    for (var step = 0u; step < steps; step++) {
#unroll i 0 LOADS
        rows[thread + $(256 * i)u] = x$i;
#end
#unroll i 0 CM
        columns[thread + $(256 * i)u] = w$i;
#end
        workgroupBarrier();
        if step + 1u < steps {
            let tap = (step + 1u) / per_tap;
            let first = (step + 1u) % per_tap * 4u;
#unroll i 0 LOADS
            x$i = load(window$i, tap, first + thread % 4u);
#end
#unroll i 0 CM
            w$i = load_weight(tap, first, (thread + $(256 * i)u) / $(BLOCKS)u, column + (thread + $(256 * i)u) % $(BLOCKS)u);
#end
        }
        for (var k = 0u; k < 4u; k++) {
#unroll m 0 PM
            let r$m = rows[(thread / 16u + $(16 * m)u) * 4u + k];
#end
#unroll c 0 4
#unroll n 0 CM
            let b$(c)_$n = columns[(k * 4u + $(c)u) * $(BLOCKS)u + thread % 16u + $(16 * n)u];
#unroll m 0 PM
            a$(m)_$n += r$m[$c] * b$(c)_$n;
#end
#end
#end
        }
        workgroupBarrier();
    }
#unroll m 0 PM
#unroll n 0 CM
    store(tile + thread / 16u + $(16 * m)u, column + thread % 16u + $(16 * n)u, a$(m)_$n);
#end
#end
}

// Row k of the 16 that begin with input block `first`; zero behind the last block.
fn load_weight(tap: u32, first: u32, k: u32, column: u32) -> vec4f {
    var w = vec4f();
    if first * 4u + k < im.blocks * 4u && column < im.out_blocks {
        w = weight((tap * im.blocks * 4u + first * 4u + k) * im.out_blocks + column);
    }
    return w;
}
