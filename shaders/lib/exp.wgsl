// Exponentials of our own: driver builtins differ in their last digits and some are rough.
// e^-z = 2^t, t = -z / ln 2 = n + f, n an integer, |f| <= 1/2; 2^f = 1 + f q(f), q of degree 4 fitted to 9.1e-8 relative.
// t is clamped to +-126, where 2^t is a normal number.
fn exp2_f32(t: vec4f) -> vec4f {
    let n = floor(t + 0.5);
    let f = t - n;
    let p = 1.0 + f * (0.693146978 + f * (0.240222421 + f * (0.0555073374 + f * (0.00967151264 + f * 0.00132647271))));
    // n + 1.5 * 2^23 carries n in its low bits, from where it goes into p's exponent: no conversion, whose bounds checks
    // cost more than all else here.
    return bitcast<vec4f>(bitcast<vec4i>(p) + (bitcast<vec4i>(n + 12582912.0) << vec4u(23u)));
}

// e^-z, between 2^-64 and 2^64, for what is added to numbers near one or weighs them, where less is nothing. Its products with weights and
// tangents stay normal numbers; with smaller ones some processors are half as fast.
fn exp_minus(z: vec4f) -> vec4f {
    return exp2_f32(clamp(z * -1.442695041, vec4f(-64.0), vec4f(64.0)));
}

// The same between 2^-126 and 2^126, where small results count as such.
fn exp_minus_far(z: vec4f) -> vec4f {
    return exp2_f32(clamp(z * -1.442695041, vec4f(-126.0), vec4f(126.0)));
}

// e^t - 1, to 3e-7 relative also where t is small.
fn exp_less_one(t: f32) -> f32 {
    let u = clamp(t * 1.442695041, -126.0, 126.0);
    let n = floor(u + 0.5);
    let f = u - n;
    let p = f * (0.693146978 + f * (0.240222421 + f * (0.0555073374 + f * (0.00967151264 + f * 0.00132647271))));
    let whole = bitcast<f32>((i32(n) + 127i) << 23u);
    // Where n is 0, p is the result; elsewhere 1 + p and the sum lose nothing that counts, in whatever order compilers add.
    return select(whole * (1.0 + p) - 1.0, p, n == 0.0);
}
