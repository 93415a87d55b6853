//! What is summed along one loop, in f64 (paper, eq. 4, and PROTOCOL's L, M, S, R). In: the dot products of one segment
//! at a time, whoever computed them. Out: the measured columns that need nothing but these sums.

/// Dot products of one segment over its D components: s the field, m the midpoint, d the step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dots {
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

    /// What `shaders/circulation.wgsl` writes for a lane: these five, then padding.
    pub fn read(lane: &[f32]) -> Self {
        let [sd, md, dd, mm, ss] = [0, 1, 2, 3, 4].map(|i| f64::from(lane[i]));
        Dots { sd, md, dd, mm, ss }
    }

    pub fn is_finite(&self) -> bool {
        [self.sd, self.md, self.dd, self.mm, self.ss].iter().all(|v| v.is_finite())
    }

    /// |s| |d|: the largest that s.d can be.
    pub fn size(&self) -> f64 {
        self.ss.sqrt() * self.dd.sqrt()
    }
}

/// Running sums of one loop.
#[derive(Clone, Copy, Default)]
pub(super) struct Sums {
    pub integral: f64,
    pub length: f64,
    pub norm_sum: f64,
    pub abs_terms: f64,
    pub score_norm_sum: f64,
    pub authors: f64,
    pub rounding: f64,
    /// The integral by two-point Gauss, on checked loops.
    pub gauss: f64,
}

impl Sums {
    /// The columns that are sums, by their name in `run::schema::MEASURED`.
    pub const COLUMNS: [(&'static str, fn(&Sums) -> f64); 7] = [
        ("integral", |s| s.integral),
        ("length", |s| s.length),
        ("norm_sum", |s| s.norm_sum),
        ("abs_terms", |s| s.abs_terms),
        ("score_norm_sum", |s| s.score_norm_sum),
        ("authors", |s| s.authors),
        ("rounding", |s| s.rounding),
    ];

    /// Adds one segment at its midpoint; a and sigma are those of the loop's timestep.
    pub fn add(&mut self, dots: &Dots, a: f64, sigma: f64) {
        let (m, d) = (dots.mm.sqrt(), dots.dd.sqrt());
        self.integral += dots.sd;
        self.length += d;
        self.norm_sum += m * d;
        self.abs_terms += dots.sd.abs();
        self.score_norm_sum += dots.size();
        self.authors += if m > 0.0 { dots.sd / m } else { 0.0 };
        // The Gaussian field -x / (a^2 + sigma^2) on the same points: its midpoint sum telescopes to zero.
        self.rounding -= dots.md / (a * a + sigma * sigma);
    }
}
