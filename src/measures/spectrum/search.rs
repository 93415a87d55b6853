//! All that is sought at one point, in lock-step: both ends of H by Lanczos, the largest singular values of J and of the denoiser's
//! Jacobian by bidiagonalisation. In: products with J and J'. Out: what each search found.
use crate::diagnostics::krylov::{Affine, Ends, Limits, Problem, Side, Singular, Vectors};
use crate::paths::philox::Stream;

pub(super) struct Search {
    pub ends: Ends,
    pub field: Singular,
    /// Where the field is a score.
    pub denoiser: Option<Singular>,
}

impl Search {
    /// Of vectors with `dim` components: `count` eigenvalues from each end; `noise` is (a, sigma) where the field is a score.
    pub fn new(
        dim: usize,
        (count, block): (usize, usize),
        limits: Limits,
        stream: Stream,
        noise: Option<[f64; 2]>,
    ) -> Self {
        // Draws far apart, for each basis its own.
        let stream = |nth: u32| Stream { draw: nth << 16, ..stream };
        let singular = |shift, scale, first, nth| {
            Singular::new(dim, Affine { shift, scale }, first, limits, [stream(nth), stream(nth + 1)])
        };
        Search {
            ends: Ends::new(dim, count, block, limits, stream(0)),
            field: singular(0.0, 1.0, Side::Forward, 1),
            denoiser: noise.map(|[a, sigma]| singular(1.0 / a, sigma * sigma / a, Side::Reverse, 3)),
        }
    }

    /// The largest product of a unit vector with J or J', the scale of their rounding.
    pub fn size(&self) -> f64 {
        let others = [Some(&self.field), self.denoiser.as_ref()];
        others.into_iter().flatten().map(Singular::size).fold(self.ends.size(), f64::max)
    }

    fn parts(&self) -> [Option<&dyn Problem>; 3] {
        [Some(&self.ends), Some(&self.field), self.denoiser.as_ref().map(|d| d as &dyn Problem)]
    }
}

impl Problem for Search {
    fn asks(&self) -> Option<Vectors> {
        let asked = self.parts().into_iter().flatten().filter_map(|part| part.asks());
        asked.reduce(|mut all, own| {
            all.append(own);
            all
        })
    }

    fn gets(&mut self, mut products: Vectors) {
        let counts = self.parts().map(|part| part.and_then(|p| p.asks()).map(|asked| asked.counts()));
        let parts =
            [Some(&mut self.ends as &mut dyn Problem), Some(&mut self.field), self.denoiser.as_mut().map(|d| d as _)];
        for (part, counts) in parts.into_iter().zip(counts) {
            if let (Some(part), Some(counts)) = (part, counts) {
                part.gets(products.take(counts));
            }
        }
    }
}
