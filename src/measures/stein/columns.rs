//! The columns of a stein run: what is known of one place, every column that follows from it, and which errors apply to what. In:
//! scores, and v.J v of every tangent. Out: a row; columns; rules.
use crate::diagnostics::Divergence;
use crate::measures::rows::Column;
use crate::run::{About, Applied, Rule};

/// What is known of one sample at one timestep.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Row {
    /// |e|
    pub error_norm: f64,
    /// Value and standard error.
    pub stein: [f64; 2],
    pub div_model: f64,
    pub div_score: f64,
    pub work: f64,
    /// Mean |v.J v|, the unit of the arithmetic error.
    pub size: f64,
    pub arithmetic: f64,
}

impl Row {
    /// Of the score s, the error e = s - s_theta, and v.J v of every tangent for s and for s_theta.
    pub fn of(divergence: Divergence, score: &[f64], error: &[f64], ours: &[f64], theirs: &[f64]) -> Self {
        let work: f64 = score.iter().zip(error).map(|(s, e)| s * e).sum();
        let div_error: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a - b).collect();
        let (div, se) = divergence.of_products(&div_error);
        Row {
            error_norm: error.iter().map(|e| e * e).sum::<f64>().sqrt(),
            stein: [div + work, se],
            div_model: divergence.of_products(theirs).0,
            div_score: divergence.of_products(ours).0,
            work,
            size: theirs.iter().map(|v| v.abs()).sum::<f64>()
                / if divergence == Divergence::Exact { 1.0 } else { theirs.len() as f64 },
            arithmetic: f64::NAN,
        }
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    (About::new("error_norm",  "|e| = |s - s_theta|",        "nat/x",   "size of the error field (Fig. 4a)"),                     |r| r.error_norm),
    (About::new("stein",       "S = div e + s.e",            "nat/x^2", "Stein operator on e (Fig. 4b); its mean is 0 for s the score that made the samples"), |r| r.stein[0]),
    (About::new("stein_se",    "standard error over probes", "nat/x^2", "error; 0 where the divergence is exact"),                |r| r.stein[1]),
    (About::new("div_model",   "div s_theta",                "nat/x^2", "divergence of the model's score"),                       |r| r.div_model),
    (About::new("div_score",   "div s",                      "nat/x^2", "divergence of the reference score"),                     |r| r.div_score),
    (About::new("score_error", "s.e",                        "nat^2/x^2", "reference score times error field"),                   |r| r.work),
    (About::new("arithmetic",  "mean |v.J v| max |v.J v - f64| / |v.J v|", "nat/x^2", "error: tangents recomputed in f64"),      |r| r.arithmetic),
];

/// Which errors apply to what.
pub(super) const RULES: &[Rule] = &[Rule {
    statistics: &["stein"],
    errors: &[
        Applied::always("stein_se", |at| at.get("stein_se")),
        Applied::always("arithmetic", |at| at.get("arithmetic")),
    ],
}];
