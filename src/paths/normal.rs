//! Random words to standard normals (Box and Muller 1958), in f64: the twin of `shaders/lib/normal.wgsl`.
//! In: four Philox words. Out: four normals, |z| <= sqrt(48 ln 2) = 5.77 because the smallest uniform is 2^-24.
use super::philox::Stream;
use std::f64::consts::TAU;

/// A word as a number inside (0, 1): an odd multiple of 2^-24, so exact in f32 too and never 0 or 1.
pub fn uniform(word: u32) -> f64 {
    (f64::from(word >> 9) + 0.5) / f64::from(1u32 << 23)
}

/// Words (0, 1) make normals (0, 1), words (2, 3) make normals (2, 3).
pub fn box_muller(words: [u32; 4]) -> [f64; 4] {
    let [u0, u1, u2, u3] = words.map(uniform);
    let pair = |radius_from: f64, turn: f64| {
        let radius = (-2.0 * radius_from.ln()).sqrt();
        let (sin, cos) = (TAU * turn).sin_cos();
        [radius * cos, radius * sin]
    };
    let ([z0, z1], [z2, z3]) = (pair(u0, u1), pair(u2, u3));
    [z0, z1, z2, z3]
}

/// `dim` normals of a stream, in C order over (C, H, W).
pub fn normals(stream: &Stream, dim: usize) -> Vec<f64> {
    let blocks = dim.div_ceil(4) as u32;
    let mut z: Vec<f64> = (0..blocks).flat_map(|block| box_muller(stream.block(block))).collect();
    z.truncate(dim);
    z
}
