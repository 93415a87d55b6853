// Functions of each number, one of them chosen by its constant (`ops::curve`): value, slope f' and bend f''; a and b are its numbers.
// Accuracy: RELU, ABS, STEP and CLIP are exact, LEAKY and RECIPROCAL round once; those with exponentials have the absolute error of
// lib/exp's; SIN and COS are within 2 u up to |x| = 20000, beyond which the angle loses digits; absolute errors of GELU, MISH and
// SOFTPLUS stay below 4 u max(1, |x|), of ERF below 6 u, u = 2^-24. Slopes and bends are as good, relative to their largest.
#import lib/silu.wgsl
#if !(!LOG && !SOFTPLUS)
#import lib/ln.wgsl
#endif
#if !(!LOG && !RECIPROCAL)
#import lib/there.wgsl
#endif

struct Curved { value: vec4f, slope: vec4f, bend: vec4f }

// P(z). The tail e^(-z^2 / 2) R(t), t = 1 / (1 + 0.35 |z|), has R of degree 9, fitted to 2e-7 relative up to |z| = 13.
fn normal(z: vec4f, bell: vec4f) -> vec4f {
    let t = 1.0 / (1.0 + 0.35 * abs(z));
    let r = t * (0.139621571 + t * (0.139859095 + t * (0.119852379 + t * (0.105433181 + t * (-0.0229377598 + t * (0.158930257 + t * (-0.255505443 + t * (0.143872678 + t * (-0.0291259605)))))))));
    let tail = bell * r;
    return select(1.0 - tail, tail, z < vec4f());
}

fn curved(point: vec4f) -> Curved {
#if RELU
    let value = max(point, vec4f());
    let slope = select(vec4f(), vec4f(1.0), point > vec4f());
    let bend = vec4f();
#endif
#if SIGMOID
    let value = 1.0 / (1.0 + exp_minus(point));
    let slope = value * (1.0 - value);
    let bend = slope * (1.0 - 2.0 * value);
#endif
#if ELU
    let above = point > vec4f();
    let decay = exp_minus(abs(point));
    let value = im.b * select(im.a * (decay - 1.0), point, above);
    let slope = im.b * select(im.a * decay, vec4f(1.0), above);
    let bend = select(slope, vec4f(), above);
#endif
#if LEAKY
    let slope = select(vec4f(im.a), vec4f(1.0), point > vec4f());
    let value = slope * point;
    let bend = vec4f();
#endif
#if TANH
    let small = exp_minus(2.0 * abs(point));
    let size = (1.0 - small) / (1.0 + small);
    let value = select(size, -size, point < vec4f());
    let slope = 4.0 * small / ((1.0 + small) * (1.0 + small));
    let bend = -2.0 * value * slope;
#endif
#if EXP
    let value = exp_minus_far(-point);
    let slope = value;
    let bend = value;
#endif
#if LOG
    let value = vec4f(ln_f32(point.xy), ln_f32(point.zw));
    let slope = 1.0 / point;
    let bend = -slope * slope;
#endif
#if SQRT
    let value = sqrt(point);
    let slope = select(0.5 / value, vec4f(), value == vec4f());
    let bend = -2.0 * slope * slope * slope;
#endif
#if RECIPROCAL
    let value = 1.0 / point;
    let slope = -value * value;
    let bend = 2.0 * value * value * value;
#endif
#if SOFTPLUS
    let small = exp_minus(abs(point));
    let value = max(point, vec4f()) + vec4f(ln_f32(1.0 + small.xy), ln_f32(1.0 + small.zw));
    let slope = select(vec4f(1.0), small, point < vec4f()) / (1.0 + small);
    let bend = small / ((1.0 + small) * (1.0 + small));
#endif
#if ABS
    let value = abs(point);
    let slope = sign(point);
    let bend = vec4f();
#endif
#if ERF
    let bell = exp_minus(point * point);
    let value = 2.0 * normal(1.414213562 * point, bell) - 1.0;
    let slope = 1.128379167 * bell;
    let bend = -2.0 * point * slope;
#endif
#if CLIP
    let value = min(max(point, vec4f(im.a)), vec4f(im.b));
    let slope = select(vec4f(), vec4f(1.0), (point >= vec4f(im.a)) & (point <= vec4f(im.b)));
    let bend = vec4f();
#endif
#if HARD_SIGMOID
    let line = im.a * point + im.b;
    let value = clamp(line, vec4f(), vec4f(1.0));
    let slope = select(vec4f(), vec4f(im.a), (line >= vec4f()) & (line <= vec4f(1.0)));
    let bend = vec4f();
#endif
#if HARD_SWISH
    let value = point * clamp((point + 3.0) / 6.0, vec4f(), vec4f(1.0));
    let slope = select(select((2.0 * point + 3.0) / 6.0, vec4f(1.0), point >= vec4f(3.0)), vec4f(), point <= vec4f(-3.0));
    let bend = select(vec4f(), vec4f(1.0 / 3.0), abs(point) <= vec4f(3.0));
#endif
#if !(!SIN && !COS)
    // k quarter turns, in three parts of pi / 2 whose products with k are exact, and what is left, by Taylor's series. As fma, because
    // compilers with fast math would add up the three parts first.
    let k = round(point * 0.636619772);
    let turned = fma(-k, vec4f(0.00048351287841796875), fma(-k, vec4f(1.5703125), point));
    let r = fma(-k, vec4f(3.1391647326017846e-7), turned);
    let z = r * r;
    let s = r + r * z * (-0.166666667 + z * (0.00833333333 + z * (-0.000198412698 + z * 0.00000275573192)));
    let c = 1.0 + z * (-0.5 + z * (0.0416666667 + z * (-0.00138888889 + z * (0.0000248015873 - z * 2.75573192e-7))));
    let quarter = vec4i(k) & vec4i(3);
    let odd = (quarter & vec4i(1)) == vec4i(1);
    let sine = select(s, c, odd) * select(vec4f(1.0), vec4f(-1.0), quarter >= vec4i(2));
    let cosine = select(c, s, odd) * select(vec4f(1.0), vec4f(-1.0), (quarter == vec4i(1)) | (quarter == vec4i(2)));
#endif
#if SIN
    let value = sine;
    let slope = cosine;
    let bend = -value;
#endif
#if COS
    let value = cosine;
    let slope = -sine;
    let bend = -value;
#endif
#if STEP
    let value = select(vec4f(), vec4f(1.0), point > vec4f());
    let slope = vec4f();
    let bend = vec4f();
#endif
#if GELU_TANH
    // (1 + tanh u) / 2 is the logistic function of 2 u.
    let u = 1.595769122 * point * (1.0 + 0.044715 * point * point);
    let s = 1.0 / (1.0 + exp_minus(u));
    let value = point * s;
    let e = exp_minus(u);
    let grows = 1.595769122 * (1.0 + 0.134145 * point * point);
    let steep = s * (e * s);
    let near = clamp(point, vec4f(-13.0), vec4f(13.0)); // beyond, the slope is 0 or 1
    let slope = s + near * s * (exp_minus(u) * s) * (1.595769122 * (1.0 + 0.134145 * near * near));
    // Beyond 12 it is below the smallest number, and its factors are too large.
    let full = steep * (2.0 * grows + point * (0.428128898 * point + grows * grows * (s * (e - 1.0))));
    let bend = select(full, vec4f(), abs(point) > vec4f(12.0));
#endif
#if GELU
    let bell = exp_minus(0.5 * point * point);
    let p = normal(point, bell);
    let value = point * p;
    let near = clamp(point, vec4f(-13.0), vec4f(13.0)); // beyond, the slope is 0 or 1
    let slope = p + 0.398942280 * (near * bell);
    let bend = 0.398942280 * (bell * (2.0 - near * near));
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
    let rest = (down / (up + down)) * (1.0 + w);
    let slope = w + point * (down / (up + down)) * (1.0 + w) * logistic;
    let bend = rest * logistic * (2.0 + point * (select(vec4f(1.0), small, above) / (1.0 + small) - 2.0 * (w * logistic)));
#endif
#if SWISH
    let value = silu(point);
    let slope = silu_slope(point);
    let e = exp_minus(point);
    let s = 1.0 / (1.0 + e);
    let bend = s * (e * s) * (2.0 + point * (s * (e - 1.0)));
#endif
    return Curved(value, slope, bend);
}

// What is stored: where there is no channel, some functions are not finite.
fn bounded(block: u32, v: vec4f) -> vec4f {
#if !(!LOG && !RECIPROCAL)
    return only_there(block, v);
#else
    return v;
#endif
}
