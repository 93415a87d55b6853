//! The columns of a spectrum run: what is known of one end, every column that follows from it, and which errors apply to what. In:
//! eigenvalues, singular values, sizes of products. Out: a row; columns; rules.
use crate::measures::rows::Column;
use crate::run::{About, Applied, Rule};

/// What is known of one end of one sample at one timestep; NaN where not.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Row {
    pub value: f64,
    pub residual: f64,
    pub denoiser: f64,
    pub denoiser_residual: f64,
    /// sigma^2 / a where the field is a score: what an error of J is in the denoiser's Jacobian.
    pub factor: f64,
    /// The largest product of a unit vector at this place.
    pub size: f64,
    /// What J v or J'v of a unit vector is off by in units of `size`, where this end's vector was repeated.
    pub checked: f64,
    pub arithmetic: f64,
}

impl Row {
    fn denoiser_arithmetic(&self) -> f64 {
        self.factor * self.arithmetic
    }

    /// The larger error of value.
    fn error(&self) -> f64 {
        self.residual.max(self.arithmetic)
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    (About::new("value",              "v.H v, H = (J + J')/2; singular: l.J r", "nat/x^2", "eigenvalue of the symmetric half; singular: largest singular value of J"), |r| r.value),
    (About::new("residual",           "|H v - value v|; singular: sqrt(|J r - value l|^2 + |J'l - value r|^2)", "nat/x^2", "error of value"), |r| r.residual),
    (About::new("arithmetic",         "|J| max |J v - f64| / |J|",   "nat/x^2", "error of value: products recomputed in f64"),                |r| r.arithmetic),
    (About::new("denoiser",           "(1 + sigma^2 value) / a; singular: of M = (I + sigma^2 J) / a", "1", "the same of the denoiser's Jacobian; unknown of a map"), |r| r.denoiser),
    (About::new("denoiser_residual",  "sigma^2 residual / a; singular: of M", "1", "error of denoiser"),                                      |r| r.denoiser_residual),
    (About::new("denoiser_arithmetic", "sigma^2 arithmetic / a",     "1",       "error of denoiser: products recomputed in f64"),             Row::denoiser_arithmetic),
    (About::new("error",              "largest of the errors",       "nat/x^2", "what value is uncertain by"),                                Row::error),
];

/// Which errors apply to what.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    Rule { statistics: &["value"], errors: &[
        Applied::always("residual", |at| at.get("residual")), Applied::always("arithmetic", |at| at.get("arithmetic")),
    ] },
    Rule { statistics: &["denoiser"], errors: &[
        Applied::always("denoiser_residual", |at| at.get("denoiser_residual")),
        Applied::always("denoiser_arithmetic", |at| at.get("denoiser_arithmetic")),
    ] },
];
