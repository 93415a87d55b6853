// Elementwise kernels that make a block of 4 channels at 4 pixels per thread, so that what they load of z serves 4 pixels: one
// thread per (lane of the part, 4 output pixels, block). Pixels beyond the last repeat it. Host: `ops::elementwise::tiled`.

// Four blocks, one for each pixel.
struct Tile { s0: vec4f, s1: vec4f, s2: vec4f, s3: vec4f }

struct Place {
    lane: u32,
    pixels: vec4u,  // in the lane
    block: u32,     // among those written
}

// False beyond the last, where `place` repeats it.
fn within(group: vec3u, thread: u32) -> bool {
    return workgroup_index(group) * 256u + thread < im.lanes * ((im.pixels + 3u) / 4u) * im.blocks;
}

fn place(group: vec3u, thread: u32) -> Place {
    let tiles = (im.pixels + 3u) / 4u;
    let i = min(workgroup_index(group) * 256u + thread, im.lanes * tiles * im.blocks - 1u);
    let t = quotient(i, im.blocks);
    let q = quotient(t, tiles);
    let pixels = min(vec4u(4u * (t - q * tiles)) + vec4u(0u, 1u, 2u, 3u), vec4u(im.pixels - 1u));
    return Place(lane_of(q), pixels, i - t * im.blocks);
}

// Where the pixels of x begin, in the lane so many before.
fn x_pixels(p: Place, back: u32) -> vec4u {
    return (x_lane(p.lane - back) * im.pixels + p.pixels) * im.in_stride + im.first0;
}

fn plus(a: Tile, b: Tile) -> Tile {
    return Tile(a.s0 + b.s0, a.s1 + b.s1, a.s2 + b.s2, a.s3 + b.s3);
}

fn store(p: Place, tile: Tile) {
    let at = (p.lane * im.pixels + p.pixels) * im.out_stride + im.out_offset + p.block;
#unroll p 0 4
    y[at[$p]] = packed(tile.s$p);
#end
}
