// Natural logarithms of positive normal numbers, two at a time. Our own, because drivers' log is too rough: Vulkan allows an
// absolute error of 2^-21 near 1. Relative error 9e-8 over all 2^23 uniforms of lib/normal.wgsl. Of 0: -88.
// ln u = e ln 2 + ln m with u = 2^e m, sqrt(1/2) <= m < sqrt(2), e and m from the bits. With f = m - 1 (exact),
// s = f/(2 + f): ln m = 2 atanh s = 2s + s r, r = 2s^2/3 + 2s^4/5 + .. (s <= 0.172: 4e-9 is cut off), written as
// f - (h - s (h + r)), h = f^2/2, so that errors of the division weigh little (FreeBSD msun, e_logf.c) and so that
// the relative accuracy holds as u -> 1.
fn ln_f32(u: vec2<f32>) -> vec2<f32> {
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
