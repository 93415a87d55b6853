// y[r, c] = sum_k a[r, k] b[k, c] as a plain tiled GEMM: what a convolution on a GPU is measured against.
// Thread map: 256 threads make a tile of 128 x 128, 8 x 8 each, over steps of 16 of the sum; tiles in workgroup memory.
// Sizes are whole tiles, a lane is 128 rows. Accuracy: sequential f32 sum.
#import lib/grid.wgsl
struct Immediates { lanes: u32, depth: u32, width: u32 } // depth: K / 4, width: columns / 4
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> a: array<vec4f>;       // [row][depth]
@group(0) @binding(1) var<storage, read> b: array<vec4f>;       // [k][width]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [row][width]
var<workgroup> rows: array<f32, 2048>;     // [16 of the sum][128 rows]
var<workgroup> columns: array<vec4f, 512>; // [16 of the sum][32 blocks]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let row = workgroup_index(group) * 128u;
    let column = group.z * 32u;
    let my = thread / 16u * 8u;
    let mx = thread % 16u;
#unroll i 0 8
    var l$i = vec4f(); var r$i = vec4f();
#end
    for (var first = 0u; first < im.depth; first += 4u) {
#unroll half 0 2
        {
            let e = thread + $(256 * half)u;
            let v = a[(row + e / 4u) * im.depth + first + e % 4u];
            let at = e % 4u * 512u + e / 4u;
            rows[at] = v.x; rows[at + 128u] = v.y; rows[at + 256u] = v.z; rows[at + 384u] = v.w;
            columns[e] = b[(4u * first + e / 32u) * im.width + column + e % 32u];
        }
#end
        workgroupBarrier();
        for (var j = 0u; j < 16u; j++) {
            let left = columns[j * 32u + mx];
            let right = columns[j * 32u + 16u + mx];
            let q = j * 128u + my;
#unroll i 0 8
            l$i += rows[q + $(i)u] * left; r$i += rows[q + $(i)u] * right;
#end
        }
        workgroupBarrier();
    }
    let to = (row + my) * im.width + column + mx;
#unroll i 0 8
    y[to + $(i)u * im.width] = l$i; y[to + $(i)u * im.width + 16u] = r$i;
#end
}
