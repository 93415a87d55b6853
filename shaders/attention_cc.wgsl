// Attention by head, as `attention` has it, for values on CPU adapters: y_i = sum_j p_ij v_j over the keys j of this and earlier chunks.
// Thread map: one thread per query; a workgroup has queries of one head and lane. It stages a chunk's keys and values in workgroup memory
// and reads them at constant addresses in straight-line code, which CPU drivers fold into the arithmetic, where `attention` loads them for
// each thread; in segments, as conv_cc. One dispatch per chunk of KEYS keys; LATER chunks go on from what `found` and y have. MASKED: the last
// has fewer keys. Threads beyond the last query, and workgroups beyond the last, store nothing.
// Accuracy: f32 sums over the keys, in order; y is divided by its sum, and multiplied again, once a chunk.
struct Immediates {
#import lib/attention_immediates.wgsl
    runs: u32,                        // workgroups of a head and lane
    first: u32,                       // key of the chunk
}
#import lib/pairs.wgsl
#import lib/part.wgsl
@group(0) @binding(4) var<storage, read_write> found: array<vec2f>; // [lane][heads][own]: largest s_ij, sum of e^(s_ij - it)

const BOTH = K_BLOCKS + V_BLOCKS;
const SEGMENT = 1024 / (16 * BOTH); // fours of keys, of 1,024 multiply-adds in all
var<workgroup> w: array<vec4f, KEYS * BOTH>; // [key][blocks of k, blocks of v]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
    let index = workgroup_index(id);
    let all = im.lanes * HEADS * im.runs;
    let part = min(index, all - 1u);
    let r = quotient(part, im.runs);
    let q = quotient(r, HEADS);
    let head = r - q * HEADS;
    let lane = lane_of(q);
    // Eight threads, a CPU's vector, stage a key and its value.
    for (var j = thread / 8u; j < $(KEYS)u; j += $(WORKGROUP / 8)u) {
        let key = lane * im.others + min(im.first + j, im.others - 1u);
        for (var b = thread % 8u; b < $(K_BLOCKS)u; b += 8u) {
            w[j * $(BOTH)u + b] = block_k(key * im.k_stride + im.k_first, head, b);
        }
        for (var b = thread % 8u; b < $(V_BLOCKS)u; b += 8u) {
            w[j * $(BOTH)u + $(K_BLOCKS)u + b] = block_v(key * im.v_stride + im.v_first, head, b);
        }
    }
    workgroupBarrier();

    let i = (part - r * im.runs) * $(WORKGROUP)u + thread;
    let real = index < all && i < im.own;
    let pixel = min(i, im.own - 1u);
    let q_at = (lane * im.own + pixel) * im.q_stride + im.q_first;
#unroll b 0 K_BLOCKS
    let q$b = im.scale * block_q(q_at, head, $(b)u);
#end
    let y_at = (lane * im.own + pixel) * im.y_stride + im.y_first + head * V_BLOCKS;
    let found_at = (q * HEADS + head) * im.own + pixel;
#if LATER
    let before = found[found_at];
    var top = before.x;
    var sum = before.y;
#else
    var top = LOWEST;
    var sum = 0.0;
#endif
#unroll b 0 V_BLOCKS
#if LATER
    var y$b = sum * unpacked(y[y_at + $b]);
#else
    var y$b = vec4f();
#endif
#end
#unroll g 0 KEYS/4
#if 0 < g && g % SEGMENT == 0
    // There is always a query: the loop changes nothing. As in conv_cc, it makes the driver keep sums over the barrier.
    for (var never = im.own; never < 1u; never++) {
        top = f32(never);
        sum = f32(never);
#unroll b 0 V_BLOCKS
        y$b = vec4f(f32(never));
#end
    }
    workgroupBarrier();
#endif
    var s$g = vec4f();
#unroll b 0 K_BLOCKS
    s$g += vec4f(
#unroll c 0 4
        dot(q$b, w[$((4 * g + c) * BOTH + b)]),
#end
    );
#end
#if MASKED
    s$g = select(vec4f(LOWEST), s$g, there(im.first + $(4 * g)u));
#endif
    let more$g = max(top, largest(s$g));
    let shrink$g = exp_minus_one(more$g - top);
    top = more$g;
    let e$g = exp_minus(vec4f(more$g) - s$g);
    sum = sum * shrink$g + dot(e$g, vec4f(1.0));
#unroll b 0 V_BLOCKS
    y$b *= shrink$g;
#unroll c 0 4
    y$b += e$(g)[$c] * w[$((4 * g + c) * BOTH + K_BLOCKS + b)];
#end
#end
#end
    if real {
        found[found_at] = vec2f(top, sum);
#unroll b 0 V_BLOCKS
        y[y_at + $b] = packed(y$b / sum);
#end
    }
}
