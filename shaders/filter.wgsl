// y[i, j] = sum_{t, u} a_it b_ju x[r_it, q_ju]: weighted sums of ROWS rows and COLUMNS columns, from tables. Linear: all lanes alike.
// Thread map: lib/elementwise over output pixels. Accuracy: f32 products and their sum, row after row.
struct Immediates {
#import lib/elementwise_immediates.wgsl
    in_pixels: u32, in_w: u32, // of x
    out_w: u32,
    columns: u32,              // where the columns' part of the table begins
}
#import lib/elementwise.wgsl
struct Tap { at: u32, weight: f32 }
@group(0) @binding(2) var<storage, read> taps: array<Tap>; // [out_h][ROWS], then [out_w][COLUMNS]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let row = quotient(e.pixel, im.out_w);
    let column = e.pixel - row * im.out_w;
    var sum = vec4f();
    for (var t = 0u; t < $(ROWS)u; t++) {
        let r = taps[row * $(ROWS)u + t];
        let line = e.lane * im.in_pixels + r.at * im.in_w;
        var part = vec4f();
        for (var u = 0u; u < $(COLUMNS)u; u++) {
            let q = taps[im.columns + column * $(COLUMNS)u + u];
            part += q.weight * load((line + q.at) * im.in_stride + e.block_at);
        }
        sum += r.weight * part;
    }
    y[e.y_at] = packed(sum);
}
