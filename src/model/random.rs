//! Random weights, at any size and reproducible: a tensor's numbers follow from its name, its shape and a seed alone, so the
//! order in which a family takes them does not matter. In: name, shape, seed. Out: numbers.
use sha2::{Digest, Sha256};
use std::f64::consts::TAU;

/// Numbers in C order, chosen so that activations and gains stay of order one and no layer is dead:
/// N(0, 1 / fan_in), fan_in the product of all dimensions but the first, for two dimensions and more; 1 + N / 10 for the
/// gains of norms; 1 + |N| / 10 for a running variance; N / 10 for biases and all else of one dimension; 1 for a number.
pub(super) fn tensor(seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    let (count, last) = (shape.iter().product(), name.rsplit('.').next().unwrap_or(name));
    let value: Box<dyn Fn(f64) -> f64> = match shape {
        [] => Box::new(|_| 1.0),
        [_] if last == "running_var" => Box::new(|z| 1.0 + 0.1 * z.abs()),
        [_] if ["weight", "g", "gamma"].contains(&last) => Box::new(|z| 1.0 + 0.1 * z),
        [_] => Box::new(|z| 0.1 * z),
        [_, rest @ ..] => {
            let scale = 1.0 / (rest.iter().product::<usize>().max(1) as f64).sqrt();
            Box::new(move |z| scale * z)
        }
    };
    normals(key(seed, name), count).map(|z| value(z) as f32).collect()
}

/// The first 64 bits of SHA-256 over the seed's eight little-endian bytes and the name.
fn key(seed: u64, name: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    digest[..8].iter().fold(0, |key, &byte| key << 8 | u64::from(byte))
}

/// Standard normals by Box and Muller; libm's functions, so that they are the same on every platform.
fn normals(key: u64, count: usize) -> impl Iterator<Item = f64> {
    let pair = move |i: u64| {
        let [u, turn] = [2 * i, 2 * i + 1].map(|i| (word(key, i) >> 11) as f64 + 0.5).map(|w| w / (1u64 << 53) as f64);
        let (radius, (sin, cos)) = ((-2.0 * libm::log(u)).sqrt(), libm::sincos(TAU * turn));
        [radius * cos, radius * sin]
    };
    (0..count.div_ceil(2) as u64).flat_map(pair).take(count)
}

/// Number i of the stream of a key: SplitMix64 (Steele, Lea, Flood 2014) at any place.
fn word(key: u64, i: u64) -> u64 {
    let mut z = key.wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
