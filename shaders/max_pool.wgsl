// y[i, j] = max x[s i + d t - above, z j + e u - left] over the pixels of a window that lie in the image. Tangents: that of the first of
// the largest. Thread map: lib/elementwise over output pixels. Exact.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    in_h: u32, in_w: u32,   // pixels of x
    above: u32, left: u32,  // pixels beyond the image
    out_w: u32,
    down: u32, across: u32, // pixels between outputs
    apart: u32, beside: u32, // pixels between those of a window
}
#import lib/elementwise.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let row = quotient(e.pixel, im.out_w);
    let column = e.pixel - row * im.out_w;
    let primal = primal_of(e.lane);
    var most = vec4f(-3.4028234e38);
    var moved = vec4f();
    for (var t = 0u; t < $(ROWS)u; t++) {
        let r = row * im.down + t * im.apart - im.above; // beyond the image it is too large
        if r >= im.in_h { continue; }
        for (var u = 0u; u < $(COLUMNS)u; u++) {
            let q = column * im.across + u * im.beside - im.left;
            if q >= im.in_w { continue; }
            let at = r * im.in_w + q;
            let v = load((primal * im.in_h * im.in_w + at) * im.in_stride + e.block_at);
            let own = load((e.lane * im.in_h * im.in_w + at) * im.in_stride + e.block_at);
            moved = select(moved, own, v > most);
            most = max(most, v);
        }
    }
    y[e.y_at] = packed(select(moved, most, e.lane == primal));
}
