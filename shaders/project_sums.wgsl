// Per channel, over a chunk of pixels: sums of u, of u (x - mu) and of x - mu, which the rounding of mu leaves. With BEHIND_SILU = 1 u is
// what is given times the slope of SiLU at a x + c, the norm of x.
// Thread map: one thread per (lane of u, chunk, block of 4 channels). Threads beyond the last repeat it.
// Accuracy: f32 sums of as many terms as a chunk has pixels, in order; a large mean costs no digits.
#import lib/grid.wgsl
struct Immediates {
    lanes: u32, pixels: u32, blocks: u32,
    in_stride: u32, first0: u32, count0: u32, first1: u32,      // blocks per pixel of u, its two runs of blocks
    z_stride: u32, z_first0: u32, z_count0: u32, z_first1: u32, // the same of x
    x_to: u32, x_from: u32,                                     // lanes per sample of u and of x, of which each reads the primal
    chunk: u32, chunks: u32,                                    // pixels summed by one thread, number of such chunks
}
var<immediate> im: Immediates;
#if CPU
#import lib/image.wgsl
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][pixels][in_stride]: u
fn load(i: u32) -> vec4f { return load_x(i32(i)); }
#else
#import lib/portable.wgsl
@group(0) @binding(0) var<storage, read> x: array<Block>;           // [lane][pixels][in_stride]: u
fn load(i: u32) -> vec4f { return x[i]; }
#endif
@group(0) @binding(1) var<storage, read_write> sums: array<vec4f>;  // [lane][chunks][blocks][3]
@group(0) @binding(2) var<storage, read> moments: array<vec4f>;     // [lane of x][2][blocks]: mu, r
#import lib/second.wgsl // z: [lane of x][pixels][z_stride]
#if BEHIND_SILU
@group(0) @binding(6) var<storage, read> norm: array<vec4f>;        // [lane of x][3][blocks]: a, c, 0
#import lib/silu.wgsl
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 64u + thread, im.lanes * im.chunks * im.blocks - 1u);
    let part = quotient(i, im.blocks);
    let block = i - part * im.blocks;
    let lane = quotient(part, im.chunks);
    let first = (part - lane * im.chunks) * im.chunk;
    let primal = quotient(lane, im.x_to) * im.x_from;
    let count = min(im.chunk, im.pixels - first);
    let own = (lane * im.pixels + first) * im.in_stride + block + select(im.first1, im.first0, block < im.count0);
    let point = (primal * im.pixels + first) * im.z_stride + block + select(im.z_first1, im.z_first0, block < im.z_count0);
    let mu = moments[2u * primal * im.blocks + block];
#if BEHIND_SILU
    let a = norm[3u * primal * im.blocks + block];
    let c = norm[(3u * primal + 1u) * im.blocks + block];
#endif
    var sum = vec4f();
    var along = vec4f();
    var left = vec4f();
    for (var p = 0u; p < count; p++) {
        let own_x = load_z(point + p * im.z_stride);
        let d = own_x - mu;
#if BEHIND_SILU
        let u = load(own + p * im.in_stride) * silu_slope(a * own_x + c);
#else
        let u = load(own + p * im.in_stride);
#endif
        sum += u;
        along += u * d;
        left += d;
    }
    sums[3u * i] = sum;
    sums[3u * i + 1u] = along;
    sums[3u * i + 2u] = left;
}
