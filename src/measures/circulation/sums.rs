//! What is summed along one loop, in f64 (paper, eq. 4, and PROTOCOL's L, M, S, R). In: the dot products of one point
//! at a time, whoever computed them. Out: the measured columns that need nothing but these sums.

/// The same as the device writes them: s.d, m.d, |d|^2, |m|^2, |s|^2.
pub(crate) type Products = [f32; 5];

/// Dot products of one point over its D components: s the field, m the point (a midpoint), d the step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dots {
    pub sd: f64,
    pub md: f64,
    pub dd: f64,
    pub mm: f64,
    pub ss: f64,
}

impl Dots {
    /// The products of three vectors of D components.
    pub fn of(s: &[f64], m: &[f64], d: &[f64]) -> Self {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        Dots { sd: dot(s, d), md: dot(m, d), dd: dot(d, d), mm: dot(m, m), ss: dot(s, s) }
    }

    /// What `shaders/circulation.wgsl` writes for a lane, without the padding behind it.
    pub fn read(lane: Products) -> Self {
        let [sd, md, dd, mm, ss] = lane.map(f64::from);
        Dots { sd, md, dd, mm, ss }
    }

    /// Whether the point and the step are, whatever the field.
    pub fn has_finite_point(&self) -> bool {
        [self.md, self.dd, self.mm].iter().all(|v| v.is_finite())
    }

    pub fn is_finite(&self) -> bool {
        self.has_finite_point() && self.sd.is_finite() && self.ss.is_finite()
    }

    /// The same with NaN for what follows from the field, if any of that is not finite: no infinity may turn into a zero where it
    /// is divided by.
    pub fn marked(self) -> Self {
        if self.is_finite() { self } else { Dots { sd: f64::NAN, ss: f64::NAN, ..self } }
    }

    /// |s| |d|: the largest that s.d can be.
    pub fn size(&self) -> f64 {
        self.ss.sqrt() * self.dd.sqrt()
    }
}

/// Running sums of one loop; the names are those of `Loop`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Sums {
    pub integral: f64,
    pub length: f64,
    pub norm_sum: f64,
    pub abs_terms: f64,
    pub score_norm_sum: f64,
    pub authors: f64,
    pub rounding: f64,
    /// Error of the quadrature; NaN as long as nothing is known of it.
    pub quadrature: f64,
    /// Evaluations of the field.
    pub evaluations: f64,
}

impl Sums {
    /// Adds a point with its weight. `variance` is a^2 + sigma^2 at the loop's timestep.
    pub fn add(&mut self, dots: &Dots, weight: f64, variance: f64) {
        let (m, d) = (dots.mm.sqrt(), dots.dd.sqrt());
        self.integral += weight * dots.sd;
        self.length += weight * d;
        self.norm_sum += weight * m * d;
        self.abs_terms += weight * dots.sd.abs();
        self.score_norm_sum += weight * dots.size();
        self.authors += if m > 0.0 { weight * dots.sd / m } else { 0.0 };
        // The Gaussian field -x / (a^2 + sigma^2) on the same points, whose circulation is zero.
        self.rounding -= weight * dots.md / variance;
    }
}
