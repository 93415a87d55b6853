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

// Where the window of an output pixel begins: its lane, and row and column of the input, which may be negative.
struct Window {
    lane: u32,
    top: i32,
    left: i32,
    real: bool, // false behind the last pixel
}

// Of pixel p of the part's lanes.
fn window(p: u32) -> Window {
    let at = p % im.pixels;
    let top = i32(at / im.out_w * im.stride) - i32(im.above);
    let left = i32(at % im.out_w * im.stride) - i32(im.left);
    return Window(lane_of(p / im.pixels), top, left, p < im.lanes * im.pixels);
}

// The k-th block read, at row and column (r, c) of the input.
fn load_pixel(w: Window, r: i32, c: i32, k: u32) -> vec4f {
    var v = vec4f();
    if w.real && k < im.blocks && r >= 0 && r < i32(im.in_h) && c >= 0 && c < i32(im.in_w) {
        v = x[((w.lane * im.in_h + u32(r)) * im.in_w + u32(c)) * im.in_stride + block_offset(k)];
#if NORMED
        let at = 3u * w.lane * im.blocks + k;
        v = coefficients[at] * v + coefficients[at + im.blocks];
#if CURVED
        v = silu(v);
#endif
#endif
    }
    return v;
}

// The k-th block of what is convolved, at one tap of the kernel.
#if DEPTHWISE
fn load(w: Window, tap: u32, k: u32) -> vec4f {
    var v = vec4f();
    if w.real && k < im.blocks {
        if w.lane % im.group == 0u { v = filters[10u * k + 9u]; }
        for (var t = 0; t < 9; t++) { v += filters[10u * k + u32(t)] * load_pixel(w, w.top + t / 3, w.left + t % 3, k); }
    }
    return v;
}
#else
fn load(w: Window, tap: u32, k: u32) -> vec4f {
    return load_pixel(w, w.top + i32(tap / im.kernel), w.left + i32(tap % im.kernel), k);
}
#endif
