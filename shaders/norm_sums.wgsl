// Per channel, over a chunk of pixels: mean and sum of squared deviations of a value; sums of x' and of (x - mu) r x' of a
// tangent, mu and r = 1 / sqrt(var + eps) being those of its primal's group.
// Thread map: one thread per (lane of the part, chunk, block of 4 channels). Threads beyond the last repeat it.
// Accuracy: deviations are from the chunk's first pixel, so a large mean costs no digits.
#import lib/grid.wgsl
#import lib/norm.wgsl
#if CPU
#import lib/image.wgsl
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][pixels][in_stride]
fn load(i: u32) -> vec4f { return load_x(i32(i)); }
#else
#import lib/portable.wgsl
@group(0) @binding(0) var<storage, read> x: array<Block>;           // [lane][pixels][in_stride]
fn load(i: u32) -> vec4f { return x[i]; }
#endif
#import lib/part.wgsl
@group(0) @binding(1) var<storage, read_write> sums: array<vec4f>; // [lane of the part][chunks of all bands][blocks][2]
#if SLOPED
@group(0) @binding(2) var<storage, read> moments: array<vec4f>;    // [sample][2][blocks]: mu, r
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = min(workgroup_index(group) * 64u + thread, im.lanes * im.chunks * im.blocks - 1u);
    let part = quotient(i, im.blocks);
    let block = i - part * im.blocks;
    let q = quotient(part, im.chunks);
    let chunk = part - q * im.chunks;
    let first = chunk * im.chunk;
    let to = 2u * ((q * im.all + im.first + chunk) * im.blocks + block);
    let count = min(im.chunk, im.pixels - first);
    let start = first * im.in_stride + block + select(im.first1, im.first0, block < im.count0);
    let own = lane_of(q) * im.pixels * im.in_stride + start;
#if SLOPED
    let sample = sample_of(q);
    let point = sample * im.group * im.pixels * im.in_stride + start;
    let mu = moments[2u * sample * im.blocks + block];
    let r = moments[(2u * sample + 1u) * im.blocks + block];
    var sum = vec4f();
    var along = vec4f();
    for (var p = 0u; p < count; p++) {
        let v = load(own + p * im.in_stride);
        sum += v;
        along += v * (load(point + p * im.in_stride) - mu);
    }
    sums[to] = sum;
    sums[to + 1u] = along * r;
#else
    let pivot = load(own);
    var sum = vec4f();
    var squares = vec4f();
    for (var p = 1u; p < count; p++) {
        let d = load(own + p * im.in_stride) - pivot;
        sum += d;
        squares += d * d;
    }
    let shift = sum / f32(count);
    sums[to] = pivot + shift;
    sums[to + 1u] = max(squares - sum * shift, vec4f());
#endif
}
