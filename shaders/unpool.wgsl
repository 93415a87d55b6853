// What is at the first of the largest pixels of z under each window: y[i] = x[m_i], or where PUTS = 1, y[p] = sum of x[i] over the windows
// i with m_i = p. The windows are those of max_pool, over z; tangents go by the z of their point.
// Thread map: lib/elementwise over output pixels. Accuracy: exact, or one f32 sum over windows, in order.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    in_h: u32, in_w: u32,    // pixels of z
    above: u32, left: u32,   // pixels beyond the image
    out_w: u32,              // windows in a row
    down: u32, across: u32,  // pixels between windows
    apart: u32, beside: u32, // pixels between those of a window
    out_h: u32,              // rows of windows
    z_stride: u32, z_first0: u32, z_count0: u32, z_first1: u32, // blocks per pixel of z, its runs of blocks
}
#import lib/elementwise.wgsl
#import lib/second.wgsl

// z of a lane at row r and column q, for the channels of a block; `first` is where the lane and the block begin.
fn judged(first: u32, r: u32, q: u32) -> vec4f {
    return load_z(first + (r * im.in_w + q) * im.z_stride);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let z_block = e.block + select(im.z_first1, im.z_first0, e.block < im.z_count0);
    let z_at = z_lane(primal_of(e.lane)) * im.in_h * im.in_w * im.z_stride + z_block;
    var result = vec4f();
#if PUTS
    let row = quotient(e.pixel, im.in_w);
    let column = e.pixel - row * im.in_w;
    let own = judged(z_at, row, column);
    // Of which windows it is pixel (t, u), and whether it is the first of the largest there.
    for (var t = 0u; t < $(ROWS)u; t++) {
        let y0 = row + im.above - t * im.apart; // above the first window it is too large
        let i = y0 / im.down;
        if i >= im.out_h || i * im.down != y0 { continue; }
        for (var u = 0u; u < $(COLUMNS)u; u++) {
            let x0 = column + im.left - u * im.beside;
            let j = x0 / im.across;
            if j >= im.out_w || j * im.across != x0 { continue; }
            var wins = vec4<bool>(true);
            for (var a = 0u; a < $(ROWS)u; a++) {
                let r = y0 + a * im.apart - im.above; // beyond the image it is too large
                if r >= im.in_h { continue; }
                for (var b = 0u; b < $(COLUMNS)u; b++) {
                    let q = x0 + b * im.beside - im.left;
                    if q >= im.in_w { continue; }
                    let v = judged(z_at, r, q);
                    let before = a < t || (a == t && b < u);
                    wins = wins & select(v <= own, v < own, before);
                }
            }
            let given = load(((e.lane * im.out_h + i) * im.out_w + j) * im.in_stride + e.block_at);
            result += select(vec4f(), given, wins);
        }
    }
#else
    let row = quotient(e.pixel, im.out_w);
    let column = e.pixel - row * im.out_w;
    var most = vec4f(-3.4028234e38);
    for (var t = 0u; t < $(ROWS)u; t++) {
        let r = row * im.down + t * im.apart - im.above; // beyond the image it is too large
        if r >= im.in_h { continue; }
        for (var u = 0u; u < $(COLUMNS)u; u++) {
            let q = column * im.across + u * im.beside - im.left;
            if q >= im.in_w { continue; }
            let v = judged(z_at, r, q);
            let given = load(((e.lane * im.in_h + r) * im.in_w + q) * im.in_stride + e.block_at);
            result = select(result, given, v > most);
            most = max(most, v);
        }
    }
#endif
    y[e.y_at] = packed(result);
}
