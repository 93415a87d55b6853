//! Philox4x32-10, a counter-based generator: what a number is keyed by goes in, four random words come out.
//! In: key = 64-bit seed, counter = what the numbers belong to. Out: four u32, bit for bit those of `shaders/lib/philox.wgsl`.
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (the Random123 library).

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85]; // golden ratio, sqrt(3) - 1
const ROUNDS: usize = 10;

/// What a block of random words is for; the top byte of the second counter word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Noise. Draw 0 is the eps of x_t that all paths share, draws 1..m-1 the further noisings of `projection`.
    Eps = 1,
    /// Brownian bridge; the draw is the node whose value is refined.
    Bridge = 2,
    /// Words of the permutation that pairs components; the draw is 0, the block is word number / 4.
    Pairing = 3,
    /// Sampling: draw 0 is the start, draw j the noise added at step j; k is 0.
    Sample = 4,
    /// Words of the permutation that chooses components of a sub-Jacobian; draw and k are 0.
    Components = 5,
    /// Random tangents; the draw is the tangent's number.
    Probe = 6,
    /// Uniform dequantisation of 8-bit data; draw and k are 0.
    Dequantise = 7,
    /// Exact samples of a distribution; draw and k are 0.
    Data = 8,
    /// Draws from an encoder's distribution over latents; draw and k are 0.
    Posterior = 9,
    /// Resamples of a bootstrap; the draw is the resample, `sample` tells the two runs apart, k is 0.
    Bootstrap = 10,
    /// Where Krylov spaces begin, and what takes the place of a direction that they lose; the draw counts them.
    Krylov = 11,
}

/// Draws and nodes share a counter word with the purpose, so they stay below 2^24.
pub const DRAW_LIMIT: u32 = 1 << 24;

/// Everything but the component block that random words depend on.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// The key.
    pub seed: u64,
    /// What the numbers are for.
    pub purpose: Purpose,
    /// Draw or node, below 2^24.
    pub draw: u32,
    /// Row of the data file.
    pub sample: u32,
    /// Timestep.
    pub k: u32,
}

impl Stream {
    /// The four words of one block; block = component / 4 for noise and bridge.
    pub fn block(&self, block: u32) -> [u32; 4] {
        let draw = (self.purpose as u32) << 24 | (self.draw & (DRAW_LIMIT - 1));
        philox4x32([block, draw, self.sample, self.k], [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// `0..n` in random order (Fisher and Yates), as far as its last `count` places are concerned.
    pub fn permutation(&self, n: usize, count: usize) -> Vec<u32> {
        let mut words = (0..).flat_map(|block| self.block(block));
        let mut order: Vec<u32> = (0..n as u32).collect();
        for last in (1..n).rev().take(count) {
            order.swap(last, below(last as u32 + 1, &mut words));
        }
        order
    }

    /// +1 and -1 with equal probability, `dim` of them: a random tangent v with E[v v'] = I.
    pub fn signs(&self, dim: usize) -> Vec<f32> {
        let bits = (0..dim.div_ceil(128) as u32)
            .flat_map(|block| self.block(block))
            .flat_map(|word| (0..32).map(move |bit| if word >> bit & 1 == 0 { 1.0 } else { -1.0 }));
        bits.take(dim).collect()
    }
}

impl Stream {
    /// How often each of `0..n` is drawn in n draws with replacement.
    pub fn counts(&self, n: usize) -> Vec<u32> {
        let mut words = (0..).flat_map(|block| self.block(block));
        let mut counts = vec![0; n];
        (0..n).for_each(|_| counts[below(n as u32, &mut words)] += 1);
        counts
    }
}

/// A uniform number below `bound`: words are taken in order, and those past the last multiple of `bound` are thrown away.
fn below(bound: u32, words: &mut impl Iterator<Item = u32>) -> usize {
    let whole = (1u64 << 32) / u64::from(bound) * u64::from(bound);
    words.find(|&w| u64::from(w) < whole).map_or(0, |w| (w % bound) as usize)
}

/// The ten rounds.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut c, mut key) = (counter, key);
    for _ in 0..ROUNDS {
        let product = [u64::from(MULTIPLIERS[0]) * u64::from(c[0]), u64::from(MULTIPLIERS[1]) * u64::from(c[2])];
        let (high, low) = (product.map(|p| (p >> 32) as u32), product.map(|p| p as u32));
        c = [high[1] ^ c[1] ^ key[0], low[1], high[0] ^ c[3] ^ key[1], low[0]];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    c
}
