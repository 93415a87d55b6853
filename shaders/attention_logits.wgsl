// y[(h, j), i] = s sum_f x[(h, f), i] z[(h, f), j]: how much pixel i of x and pixel j of z agree, by head h. Tangents: the
// product rule. Thread map: lib/elementwise_tiles, 4 channels (h, j) each of some pixels: with ALIGNED = 1 these are 4 pixels
// of z of one head, with 0 any. Accuracy: one f32 sum over the features, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    z_stride: u32, z_first: u32, z_pixels: u32, // blocks per pixel of z, its first block, its pixels
    size: u32,                                  // channels of a head
    channels: u32,                              // of the output
    scale: f32,                                 // s
}
#import lib/elementwise.wgsl
#import lib/elementwise_tiles.wgsl
#import lib/second.wgsl
#if !ALIGNED
#import lib/heads.wgsl

// Of the pixels that begin at `x_at`, and of those of z behind z_at: the dot products of four channels (h, j).
fn dots(x_at: vec4u, z_at: u32, block: u32) -> Tile {
    var tile = Tile();
#unroll c 0 4
    {
        let channel = min(4u * block + $(c)u, im.channels - 1u);
        let head = quotient(channel, im.z_pixels);
        let z_pixel = z_at + (channel - head * im.z_pixels) * im.z_stride;
        let first = head * im.size;
        for (var b = first / 4u; 4u * b < first + im.size; b++) {
            let v = load_z(z_pixel + b);
            let own = inside(b, first, first + im.size);
#unroll p 0 4
            tile.s$p[$c] += dot(select(vec4f(), load(x_at[$p] + b) * v, own), vec4f(1.0));
#end
        }
    }
#end
    return tile;
}
#else

// The same where four channels (h, j) have one head. Behind the last pixel of z it is repeated: softmax leaves out what
// that gives.
fn dots(x_at: vec4u, z_at: u32, block: u32) -> Tile {
    let per_head = (im.z_pixels + 3u) / 4u;
    let head = quotient(block, per_head);
    let j = 4u * (block - head * per_head);
    let blocks = (im.size + 3u) / 4u;
    let z_pixels = z_at + min(vec4u(j) + vec4u(0u, 1u, 2u, 3u), vec4u(im.z_pixels - 1u)) * im.z_stride;
    var tile = Tile();
    for (var f = head * blocks; f < (head + 1u) * blocks; f++) {
#unroll c 0 4
        let z$c = load_z(z_pixels[$c] + f);
#end
#unroll p 0 4
        let v$p = load(x_at[$p] + f);
        tile.s$p += vec4f(dot(v$p, z0), dot(v$p, z1), dot(v$p, z2), dot(v$p, z3));
#end
    }
    return tile;
}
#endif

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let p = place(group, thread);
    let z_own = z_lane(p.lane) * im.z_pixels * im.z_stride + im.z_first;
    let back = p.lane - primal_of(p.lane);
    var tile = dots(x_pixels(p, 0u), z_own - back * im.z_pixels * im.z_stride, p.block);
#if GROUPED
    if back != 0u {
        tile = plus(tile, dots(x_pixels(p, back), z_own, p.block));
    }
#endif
    store(p, Tile(im.scale * tile.s0, im.scale * tile.s1, im.scale * tile.s2, im.scale * tile.s3));
}
