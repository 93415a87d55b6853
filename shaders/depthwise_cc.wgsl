// y[lane, p, c] = b[c] + sum_tap w[c, tap] x[lane, stride p + tap - 1, c], 3x3, CPU adapters.
// Thread map: one thread per (lane, STRIP output pixels of a row), one block of 4 channels per workgroup (z). The strip's
// outputs share their loads; weights stand at constant workgroup addresses (see conv_cc). Outputs beyond the row go to
// the spare pixel behind the buffer. Accuracy: nine sequential f32 products.
#import lib/grid.wgsl
#import lib/conv.wgsl
#import lib/image.wgsl
const COLUMNS = (STRIP - 1) * STRIDE + 3;
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>; // mirror of [lane][in pixels][in_stride]
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;     // [block][9 taps, bias]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;     // [lane][pixels][out_stride], one spare pixel
var<workgroup> w: array<vec4f, 10>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    if thread < 10u { w[thread] = weights[group.z * 10u + thread]; }
    workgroupBarrier();

    let strips = (im.out_w + STRIP - 1u) / STRIP;
    let rows = workgroup_index(group) * 256u + thread;
    let row = rows / strips;                       // over all lanes
    let out_h = im.pixels / im.out_w;
    let lane = row / out_h;
    let px = rows % strips * STRIP;
    let top = i32(row % out_h * STRIDE) - 1;
    let left = i32(px * STRIDE) - 1;
    let offset = i32(block_offset(group.z));
#unroll r 0 3
    let in$r = top + $r >= 0 && top + $r < i32(im.in_h);
    let at$r = (i32(lane * im.in_h) + top + $r) * i32(im.in_w) + left;
#unroll c 0 COLUMNS
    let x$(r)_$c = load_x(select(ZERO_TEXEL, (at$r + $c) * i32(im.in_stride) + offset,
        in$r && left + $c >= 0 && left + $c < i32(im.in_w)));
#end
#end
    let total = im.lanes * im.pixels;
    let primal = select(0.0, 1.0, lane % im.group == 0u);
#unroll s 0 STRIP
    var a$s = primal * w[9];
#unroll r 0 3
#unroll c 0 3
    a$s += w[$(r * 3 + c)] * x$(r)_$(s * STRIDE + c);
#end
#end
    let p$s = row * im.out_w + px + $s;
    y[select(total, p$s, p$s < total && px + $s < im.out_w) * im.out_stride + im.out_offset + group.z] = a$s;
#end
}
