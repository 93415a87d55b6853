// y = f(x), one of: max(x, 0); 1 / (1 + e^-x); x P(x), P the standard normal distribution; x tanh(ln(1 + e^x));
// x or, below 0, e^x - 1; x or, below 0, x / 5.
// Tangents: y' = x' times the slope at the primal's x.
// Thread map: lib/elementwise. Accuracy: RELU is exact, LEAKY rounds once; ELU has the exponential's absolute error; SIGMOID has that of lib/silu's exponential; absolute errors of GELU
// and MISH stay below 4 u max(1, |x|), u = 2^-24.
struct Immediates {
#import lib/elementwise_immediates.wgsl
}
#import lib/elementwise.wgsl
#import lib/silu.wgsl

// P(z). The tail e^(-z^2 / 2) R(t), t = 1 / (1 + 0.35 |z|), has R of degree 9, fitted to 2e-7 relative up to |z| = 13.
fn normal(z: vec4f, bell: vec4f) -> vec4f {
    let t = 1.0 / (1.0 + 0.35 * abs(z));
    let r = t * (0.139621571 + t * (0.139859095 + t * (0.119852379 + t * (0.105433181 + t * (-0.0229377598 + t * (0.158930257 + t * (-0.255505443 + t * (0.143872678 + t * (-0.0291259605)))))))));
    let tail = bell * r;
    return select(1.0 - tail, tail, z < vec4f());
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let e = element(group, thread);
    let own = load(x_at(e));
    let primal = primal_of(e.lane);
    let point = load((primal * im.pixels + e.pixel) * im.in_stride + e.block_at);
#if RELU
    let value = max(point, vec4f());
    let slope = select(vec4f(), vec4f(1.0), point > vec4f());
#endif
#if SIGMOID
    let value = 1.0 / (1.0 + exp_minus(point));
    let slope = value * (1.0 - value);
#endif
#if ELU
    let above = point > vec4f();
    let decay = exp_minus(abs(point));
    let value = select(decay - 1.0, point, above);
    let slope = select(decay, vec4f(1.0), above);
#endif
#if LEAKY
    let slope = select(vec4f(0.2), vec4f(1.0), point > vec4f());
    let value = slope * point;
#endif
#if GELU
    let bell = exp_minus(0.5 * point * point);
    let p = normal(point, bell);
    let value = point * p;
    let slope = p + 0.398942280 * (point * bell);
#endif
#if MISH
    // With u = 1 + e^x, tanh(ln u) = (u^2 - 1) / (u^2 + 1); above zero over e^2x, so that nothing overflows.
    let small = exp_minus(abs(point));
    let above = point > vec4f();
    let up = select(small * (small + 2.0), 1.0 + 2.0 * small, above);
    let down = select(vec4f(2.0), 2.0 * small * small, above);
    let w = up / (up + down);
    let logistic = select(small, vec4f(1.0), above) / (1.0 + small);
    let value = point * w;
    let slope = w + point * (down / (up + down)) * (1.0 + w) * logistic;
#endif
    y[e.y_at] = packed(select(own * slope, value, e.lane == primal));
}
