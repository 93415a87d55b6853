// y[lane, p, o] = act(b[o] + sum_{tap, c} w[o, c, tap] x[lane, stride p + tap - padding, c]) as a tiled implicit GEMM:
// rows are output pixels of all lanes, columns output channels, the sum runs over (tap, input channel) in steps of 16.
// Thread map: DOWN x ACROSS threads make a tile of PIXELS x BLOCKS blocks of 4 channels, PG groups of 4 pixels x CM blocks each; tiles in
// workgroup memory, of which the next one's numbers are on their way from memory while this one is summed. Four neighbouring
// threads load the 16 channels of a stage of the same 4 pixels, and store them by channel: what a thread reads of x and of the
// weights at one go then belongs to one term of the sum, so that it holds few numbers besides its sums.
// With UNCHECKED = 1 it runs without checks: thread < THREADS keeps `rows` and `columns` in place, `turned` changes two of the low three
// bits of a number below a multiple of 8; loads of x and weights are in place whatever is asked for (lib/conv_load, load_weight),
// stores where there is a pixel and a block (lib/conv_store); a lane's row is one of the rows that the host made for its timesteps; the host gives the loop its number of stages.
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
const THREADS = DOWN * ACROSS;
const EACH = 4 * PG; // pixels of a thread
const PIXELS = DOWN * EACH;
const BLOCKS = ACROSS * CM;
const APART = 1 - PIXELS / THREADS;              // 1: the first PIXELS threads load x, as many others weights
const WEIGHTS = 16 * BLOCKS / THREADS;           // blocks of weights that a thread loads per stage, where all do
var<workgroup> rows: array<vec4f, 4 * PIXELS>;   // [16 of the sum][4 pixels each], these turned by `turned`
var<workgroup> columns: array<vec4f, 16 * BLOCKS>; // [16 of the sum][block]

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let tile = workgroup_index(group) * $(PIXELS)u;
    let column = group.z * $(BLOCKS)u;
    let steps = stages();
    var stage = Stage();
    let k = thread % 4u;
#unroll p 0 4
    let window$p = window(tile + thread / 4u * 4u + $(p)u);
    var x$p = vec4f(); // what this thread loads: a block of four pixels, or weights
#end
    let loader = thread - $(PIXELS * APART)u; // number among those that load weights
    let own_column = min(column + loader % $(BLOCKS)u, im.out_blocks - 1u);
    let own_row = loader / $(BLOCKS)u;
#if APART
    let loads_x = thread < $(PIXELS)u;
#else
#unroll i 0 WEIGHTS
    var w$i = vec4f();
#end
#endif
#unroll p 0 EACH
#unroll n 0 CM
    var a$(p)_$n = vec4f();
#end
#end
    for (var step = 0u; step <= steps; step++) {
        // What is loaded in one round is summed in the next.
        if step < steps {
#if APART
            if loads_x {
#unroll p 0 4
                x$p = load(window$p, stage.row, stage.column, stage.first + k);
#end
            } else {
#unroll i 0 4
                x$i = load_weight(stage, own_row + $(PIXELS / BLOCKS * i)u, own_column);
#end
            }
#else
#unroll p 0 4
            x$p = load(window$p, stage.row, stage.column, stage.first + k);
#end
#unroll i 0 WEIGHTS
            w$i = load_weight(stage, own_row + $(THREADS / BLOCKS * i)u, own_column);
#end
#endif
        }
        if step > 0u {
            for (var s = 0u; s < 4u; s++) {
                let at = s * $(PIXELS)u + turned(thread / $(ACROSS)u, s);
                let block = s * $(4 * BLOCKS)u + thread % $(ACROSS)u;
#unroll t 0 4
#unroll m 0 PG
                let r$(t)_$m = rows[at + $(t * PIXELS / 4 + DOWN * m)u];
#end
#unroll n 0 CM
                let b$(t)_$n = columns[block + $(t * BLOCKS + ACROSS * n)u];
#end
#unroll q 0 PG
#unroll c 0 4
#unroll n 0 CM
                a$((PG - 1 - q) * 4 + c)_$(CM - 1 - n) += r$(t)_$(PG - 1 - q)[$c] * b$(t)_$(CM - 1 - n);
#end
#end
#end
#end
            }
        }
        workgroupBarrier();
        if step < steps {
#if APART
            if loads_x {
#unroll c 0 4
                rows[(4u * k + $(c)u) * $(PIXELS / 4)u + turned(thread / 4u, k)] = vec4f(x0[$c], x1[$c], x2[$c], x3[$c]);
#end
            } else {
#unroll i 0 4
                columns[loader + $(PIXELS * i)u] = x$i;
#end
            }
#else
#unroll c 0 4
            rows[(4u * k + $(c)u) * $(PIXELS / 4)u + turned(thread / 4u, k)] = vec4f(x0[$c], x1[$c], x2[$c], x3[$c]);
#end
#unroll i 0 WEIGHTS
            columns[loader + $(THREADS * i)u] = w$i;
#end
#endif
            stage = next_stage(stage);
        }
        workgroupBarrier();
    }
#unroll p 0 EACH
#unroll n 0 CM
    store(tile + 4u * (thread / $(ACROSS)u + $(p / 4 * DOWN)u) + $(p % 4)u, column + thread % $(ACROSS)u + $(ACROSS * n)u, a$(p)_$n);
#end
#end
}

// Where group g of 4 pixels lies among those of a row: threads that store different rows at once do so in different banks.
fn turned(g: u32, k: u32) -> u32 {
    return g ^ (2u * k);
}

// Row k of the 16 of a stage. Behind the last block of x, which is zero there, the last row is repeated.
fn load_weight(s: Stage, k: u32, column: u32) -> vec4f {
    return weight((4u * s.taps + min(4u * s.first + k, 4u * im.blocks - 1u)) * im.out_blocks + column);
}
