// What convolution kernels of GPUs read: blocks of input channels around an output pixel, zero outside the image; on the way
// (`ops::conv::prologue`), each if its constant is 1, a DEPTHWISE 3x3, whose window it then is, or GroupNorm by coefficients
// (NORMED), then SiLU (CURVED). Needs lib/conv (and `im.kernel`), lib/part and lib/silu.
@group(0) @binding(0) var<storage, read> x: array<vec4f>; // [lane][in pixels][in_stride]

#if DEPTHWISE
@group(0) @binding(8) var<storage, read> filters: array<vec4f>; // [blocks][9 taps, bias]
#endif
#if NORMED
@group(0) @binding(8) var<storage, read> coefficients: array<vec4f>; // [lane][3][blocks]: a, c of y = a x + c
#endif

// Where the window of an output pixel begins: its lane, row and column of the input, which may be negative, and what comes to the
// block there, modulo 2^32; behind the last pixel no row is inside.
struct Window { lane: u32, base: u32, top: i32, left: i32 }

// Where a sum over (tap, input block) stands: row and column of the kernel, the tap's number times the blocks of x, and the
// first of four blocks.
struct Stage { row: u32, column: u32, taps: u32, first: u32 }

fn next_stage(s: Stage) -> Stage {
    var n = s;
    n.first += 4u;
    if n.first >= im.blocks {
        n.first = 0u;
        n.taps += im.blocks;
        n.column += 1u;
        if n.column == im.kernel { n.column = 0u; n.row += 1u; }
    }
    return n;
}

// Stages of the whole sum.
fn stages() -> u32 {
    return im.kernel * im.kernel * ((im.blocks + 3u) / 4u);
}

// Of pixel p of the part's lanes.
fn window(p: u32) -> Window {
    let at = p % im.pixels;
    let top = i32(at / im.out_w * im.stride) - i32(im.above);
    let left = i32(at % im.out_w * im.stride) - i32(im.left);
    let real = p < im.lanes * im.pixels;
    let lane = select(0u, lane_of(p / im.pixels), real);
    let base = ((lane * im.in_h + u32(top)) * im.in_w + u32(left)) * im.in_stride;
    return Window(lane, base, select(-0x40000000, top, real), left);
}

// The k-th block read, at row and column (r, c) of the window, zero where there is none. Every index is inside x and
// coefficients, whatever k, r and c are, so that loads need no branch and are under way together.
fn load_pixel(w: Window, r: u32, c: u32, k: u32) -> vec4f {
    let inside = u32(w.top) + r < im.in_h && u32(w.left) + c < im.in_w && k < im.blocks;
    var v = x[select(0u, w.base + (r * im.in_w + c) * im.in_stride + block_offset(k), inside)];
#if NORMED
    let at = select(0u, 3u * w.lane * im.blocks + k, inside);
    v = coefficients[at] * v + coefficients[at + im.blocks];
#if CURVED
    v = silu(v);
#endif
#endif
    return select(vec4f(), v, inside);
}

// The k-th block of what is convolved, at one tap of the kernel.
#if DEPTHWISE
fn load(w: Window, row: u32, column: u32, k: u32) -> vec4f {
    let at = 10u * min(k, im.blocks - 1u);
    var v = select(vec4f(), filters[at + 9u], w.lane % im.group == 0u);
    // A loop here: compilers of GPUs write it out, and one that does not is spared nine times the code.
    for (var t = 0u; t < 9u; t++) {
        v += filters[at + t] * load_pixel(w, t / 3u, t % 3u, k);
    }
    return select(vec4f(), v, k < im.blocks && w.top > -0x40000000);
}
#else
fn load(w: Window, row: u32, column: u32, k: u32) -> vec4f {
    return load_pixel(w, row, column, k);
}
#endif
