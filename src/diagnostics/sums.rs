//! The running sums of one loop, in f64, and what one point of it adds. In: the five products that the device reduces
//! over the components. Out: the measured columns of `run::schema`.

/// Products over the D components at one point m with step d: s.d, m.d, |d|^2, |m|^2, |s|^2.
pub(super) type Products = [f32; 5];

/// Sums over the points of a loop; the names are those of `run::schema`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
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
    pub fn add(&mut self, products: Products, weight: f64, variance: f64) {
        let [sd, md, dd, mm, ss] = products.map(f64::from);
        let (m, d) = (mm.sqrt(), dd.sqrt());
        self.integral += weight * sd;
        self.length += weight * d;
        self.norm_sum += weight * m * d;
        self.abs_terms += weight * sd.abs();
        self.score_norm_sum += weight * ss.sqrt() * d;
        self.authors += if m > 0.0 { weight * sd / m } else { 0.0 };
        // The Gaussian field -x / (a^2 + sigma^2) on the same points, whose circulation is zero.
        self.rounding -= weight * md / variance;
    }
}
