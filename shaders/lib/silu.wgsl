// silu(z) = z / (1 + e^-z) with an exponential of our own: driver builtins differ in their last digits and some are rough.
// e^x = 2^n e^r, n = round(x / ln 2), r = x - n ln 2 in two parts, |r| <= 0.3466; e^r = 1 + r + r^2 q(r), q of degree 4
// fitted to 3.6e-9 relative, so rounding dominates. Inputs are clamped to +-87, where e^x is still a normal number.
fn exp_f32(t: vec4f) -> vec4f {
    let x = clamp(t, vec4f(-87.0), vec4f(87.0));
    let n = floor(x * 1.442695041 + 0.5);
    let r = (x - n * 0.693359375) + n * 2.12194440e-4;
    let q = 0.49999989 + r * (0.16666518 + r * (0.04166953 + r * (0.00836892 + r * 0.00137514)));
    let p = 1.0 + (r + r * r * q);
    // n + 1.5 * 2^23 carries n in its low bits: no conversion, whose bounds checks cost more than all else here.
    return p * bitcast<vec4f>((bitcast<vec4i>(n + 12582912.0) + 127) << vec4u(23u));
}

fn silu(z: vec4f) -> vec4f {
    return z / (1.0 + exp_f32(-z));
}
