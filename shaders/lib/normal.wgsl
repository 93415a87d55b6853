// Four random words -> four standard normals (Box-Muller): (z0, z1) = sqrt(-2 ln u0) (cos, sin)(2 pi u1), and again
// from words 2 and 3. u = ((w >> 9) + 0.5) 2^-23, exact in f32. Twin: src/paths/normal.rs (f64).
// Own polynomials, because drivers' log, sin and cos are too rough (Vulkan allows log an absolute error of 2^-21
// near 1). Relative error, worst of all 2^23 uniforms with division and sqrt at Vulkan's limits: 9e-8 in ln, 1e-7 in
// the radius, 1.7e-7 in sin and cos; so below 4e-7 in a normal.
// Two pairs at once: every vec2 below holds (first pair, second pair).
#import lib/philox.wgsl

// ln u = e ln 2 + ln m with u = 2^e m, sqrt(1/2) <= m < sqrt(2), e and m from the bits. With f = m - 1 (exact),
// s = f/(2 + f): ln m = 2 atanh s = 2s + s r, r = 2s^2/3 + 2s^4/5 + .. (s <= 0.172: 4e-9 is cut off), written as
// f - (h - s (h + r)), h = f^2/2, so that errors of the division weigh little (FreeBSD msun, e_logf.c) and so that
// the relative accuracy holds as u -> 1.
fn ln_unit(u: vec2<f32>) -> vec2<f32> {
    let root_half = vec2<u32>(0x3f3504f3u); // bits of sqrt(1/2)
    let shifted = bitcast<vec2<u32>>(u) + (vec2<u32>(0x3f800000u) - root_half);
    let e = vec2<f32>(vec2<i32>(shifted >> vec2<u32>(23u)) - vec2<i32>(127));
    let f = bitcast<vec2<f32>>((shifted & vec2<u32>(0x7fffffu)) + root_half) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * (2.0 / 3.0 + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * (2.0 / 9.0))));
    let h = 0.5 * f * f;
    // ln 2 in two parts; the first has trailing zero bits, so e times it is exact.
    return e * 0.693138122558593750 + (f - (h - (s * (h + r) + e * 9.0580006144e-6)));
}

// sqrt with one Newton step: Vulkan allows the builtin several units in the last place. x > 0.
fn square_root(x: f32) -> f32 {
    let s = sqrt(x);
    return s + 0.5 * fma(-s, s, x) / s;
}

fn box_muller(w: vec4<u32>) -> vec4<f32> {
    let u = (vec2<f32>(w.xz >> vec2<u32>(9u)) + 0.5) * 0x1p-23;
    let energy = -2.0 * ln_unit(u);
    let radius = vec2<f32>(square_root(energy.x), square_root(energy.y));

    // The turn in units of 2^-24, an odd integer: nearest quarter and signed rest are exact, |rest| <= 1/8 turn.
    let turn = ((w.yw >> vec2<u32>(9u)) << vec2<u32>(1u)) | vec2<u32>(1u);
    let quarter = (turn + vec2<u32>(1u << 21u)) >> vec2<u32>(22u);
    let rest = vec2<f32>(vec2<i32>(turn - (quarter << vec2<u32>(22u))));
    let t = rest * (6.283185307179586 / 16777216.0);
    let q = t * t;
    // Taylor; what is cut off at t = pi/4 is 2e-9.
    let sine = t * (1.0 + q * (-1.0 / 6.0 + q * (1.0 / 120.0 + q * (-1.0 / 5040.0 + q * (1.0 / 362880.0)))));
    let cosine = 1.0 + q * (-0.5 + q * (1.0 / 24.0 + q * (-1.0 / 720.0 + q * (1.0 / 40320.0 + q * (-1.0 / 3628800.0)))));
    let odd = (quarter & vec2<u32>(1u)) == vec2<u32>(1u);
    let x = select(cosine, sine, odd);
    let y = select(sine, cosine, odd);
    let x_negative = ((quarter + vec2<u32>(1u)) & vec2<u32>(2u)) == vec2<u32>(2u);
    let y_negative = (quarter & vec2<u32>(2u)) == vec2<u32>(2u);
    let c = radius * select(x, -x, x_negative);
    let s = radius * select(y, -y, y_negative);
    return vec4<f32>(c.x, s.x, c.y, s.y);
}

// The normals of components 4 block .. 4 block + 3. purpose: a PURPOSE_ constant; draw: draw or node, below 2^24.
fn normals(seed: vec2<u32>, purpose: u32, draw: u32, sample: u32, k: u32, block: u32) -> vec4<f32> {
    return box_muller(philox(vec4<u32>(block, purpose | draw, sample, k), seed));
}
