// silu(z) = z / (1 + e^-z) with an exponential of our own (lib/exp.wgsl).
// Absolute error <= 2 u max(1, |z|), u = 2^-24: where e^-z is large and less exact, z / (1 + e^-z) is small.
#import lib/exp.wgsl
fn silu(z: vec4f) -> vec4f {
    return z / (1.0 + exp_minus(z));
}

// silu'(z) = s (1 + z (1 - s)) with s = 1 / (1 + e^-z) and 1 - s = e^-z s. Absolute error <= 6 u.
fn silu_slope(z: vec4f) -> vec4f {
    let e = exp_minus(z);
    let s = 1.0 / (1.0 + e);
    return s * (1.0 + z * (e * s));
}
