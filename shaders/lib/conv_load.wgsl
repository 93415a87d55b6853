// What convolution kernels of GPUs read: blocks of input channels around an output pixel, zero outside the image. Needs
// lib/conv (a: kernel size) and lib/part.
@group(0) @binding(0) var<storage, read> x: array<vec4f>; // [lane][in pixels][in_stride]

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

// The k-th block read, at one tap of the kernel.
fn load(w: Window, tap: u32, k: u32) -> vec4f {
    let r = w.top + i32(tap / im.a);
    let c = w.left + i32(tap % im.a);
    var v = vec4f();
    if w.real && k < im.blocks && r >= 0 && r < i32(im.in_h) && c >= 0 && c < i32(im.in_w) {
        v = x[((w.lane * im.in_h + u32(r)) * im.in_w + u32(c)) * im.in_stride + block_offset(k)];
    }
    return v;
}
