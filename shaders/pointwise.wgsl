// KIND 0: y = max(x, 0); KIND 1: y = 1 / (1 + e^-x). Tangents: y' = x' times the slope at the primal's x.
// Thread map: lib/elementwise. Accuracy: exact; that of lib/silu's exponential.
#import lib/elementwise.wgsl
#import lib/silu.wgsl

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let own = load(x_at(e));
    let primal = primal_of(e.lane);
    let point = load((primal * im.pixels + e.pixel) * im.in_stride + e.block_at);
#unroll relu KIND 1
    let value = max(point, vec4f());
    let slope = select(vec4f(), vec4f(1.0), point > vec4f());
#end
#unroll sigmoid 0 KIND
    let value = 1.0 / (1.0 + exp_minus(point));
    let slope = value * (1.0 - value);
#end
    y[e.y_at] = packed(select(own * slope, value, e.lane == primal));
}
