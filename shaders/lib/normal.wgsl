// Four random words -> four standard normals (Box-Muller): (z0, z1) = sqrt(-2 ln u0) (cos, sin)(2 pi u1), and again
// from words 2 and 3. u = ((w >> 9) + 0.5) 2^-23, exact in f32. Twin: src/paths/normal.rs (f64).
// Own polynomials, because drivers' sin and cos are too rough, as is log (lib/ln.wgsl). Relative error, worst of all 2^23
// uniforms with division and sqrt at Vulkan's limits: 9e-8 in ln, 1e-7 in the radius, 1.7e-7 in sin and cos; so below
// 4e-7 in a normal.
// Two pairs at once: every vec2 below holds (first pair, second pair).
#import lib/ln.wgsl
#import lib/philox.wgsl

// sqrt with one Newton step: Vulkan allows the builtin several units in the last place. x > 0.
fn square_root(x: f32) -> f32 {
    let s = sqrt(x);
    return s + 0.5 * fma(-s, s, x) / s;
}

fn box_muller(w: vec4<u32>) -> vec4<f32> {
    let u = (vec2<f32>(w.xz >> vec2<u32>(9u)) + 0.5) * 0x1p-23;
    let energy = -2.0 * ln_f32(u);
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
