// y[(h, f), i] = sum_j x[(h, j), i] z_h[f, j]: z_h is pixel j and channel (h, f) of z, or where z has one row of pixels per
// head, pixel (h, j) and channel f. Tangents: the product rule.
// Thread map: lib/elementwise_tiles; with ALIGNED = 1 the 4 channels of a thread have one head. Accuracy: one f32 sum over j, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    z_stride: u32, z_first: u32, z_pixels: u32, // blocks per pixel of z, its first block, its pixels
    vectors: u32, features: u32, heads: u32,    // j per head, f per head; where z_pixels is not vectors, z has a row of
                                                // pixels per head
}
#import lib/elementwise.wgsl
#import lib/elementwise_tiles.wgsl
#import lib/second.wgsl
#if !ALIGNED
#import lib/heads.wgsl

// Of the lane of z that begins at z_at, with the weights of the pixels at x_at: four channels (h, f) of the output.
fn mixed(x_at: vec4u, z_at: u32, block: u32) -> Tile {
    var tile = Tile();
#unroll c 0 4
    {
        let channel = 4u * block + $(c)u;
        let head = quotient(channel, im.features);
        let row = select(head, 0u, im.z_pixels == im.vectors);
        let z_channel = channel - row * im.features;
        let z_first = z_at + row * im.vectors * im.z_stride;
        // Behind the last head there is nothing to sum.
        for (var j = select(im.vectors, 0u, head < im.heads); j < im.vectors; j++) {
            let v = channel_z(z_first + j * im.z_stride, z_channel);
#unroll p 0 4
            tile.s$p[$c] += channel_x(x_at[$p], head * im.vectors + j) * v;
#end
        }
    }
#end
    return tile;
}
#else

// The same where four channels (h, f) have one head.
fn mixed(x_at: vec4u, z_at: u32, block: u32) -> Tile {
    let weights = (im.vectors + 3u) / 4u;
    let features = (im.features + 3u) / 4u;
    let head = quotient(block, features);
    let row = select(head, 0u, im.z_pixels == im.vectors);
    let z_first = z_at + row * im.vectors * im.z_stride + block - row * features;
    var tile = Tile();
    for (var j = 0u; j < weights; j++) {
#unroll c 0 4
#if MASKED
        let z$c = load_z(z_first + min(4u * j + $(c)u, im.z_pixels - 1u) * im.z_stride);
#else
        let z$c = load_z(z_first + (4u * j + $(c)u) * im.z_stride);
#endif
#end
#if MASKED
        let there = vec4u(4u * j) + vec4u(0u, 1u, 2u, 3u) < vec4u(im.vectors);
#endif
#unroll p 0 4
#if MASKED
        let v$p = select(vec4f(), load(x_at[$p] + head * weights + j), there);
#else
        let v$p = load(x_at[$p] + head * weights + j);
#endif
        tile.s$p += v$p.x * z0;
        tile.s$p += v$p.y * z1;
        tile.s$p += v$p.z * z2;
        tile.s$p += v$p.w * z3;
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
    var tile = mixed(x_pixels(p, 0u), z_own - back * im.z_pixels * im.z_stride, p.block);
#if GROUPED
    if back != 0u {
        tile = plus(tile, mixed(x_pixels(p, back), z_own, p.block));
    }
#endif
    store(p, tile);
}
