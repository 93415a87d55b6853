//! The columns of a run of asymmetry: what a probe says, what is known of one place, every column that follows from it, and which
//! errors apply to what. In: products with random vectors. Out: a row; columns; rules.
use crate::diagnostics::{Gaps, dot, halves, of_square};
use crate::measures::rows::Column;
use crate::run::{About, Applied, At, Rule};
use crate::summary::stats;

/// What one vector v says, whatever the estimator.
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Probe {
    /// |A v|^2, or (|J v|^2 - v.J J v)/2, which has the same mean.
    pub anti2: f64,
    /// (|J v|^2 + |J'v|^2)/2, or |J v|^2.
    pub fro2: f64,
    /// v.H v, or v.J v, which is the same.
    pub trace: f64,
    /// J'v.J v, or v.J(J v), which is the same.
    pub trace2: f64,
}

impl Probe {
    /// Of J v and J'v.
    pub fn of_both(v: &[f32], jv: &[f32], jtv: &[f32]) -> Self {
        Probe {
            anti2: halves(jv, jtv).map(|(a, _)| a * a).sum(),
            fro2: (dot(jv, jv) + dot(jtv, jtv)) / 2.0,
            trace: (dot(v, jv) + dot(v, jtv)) / 2.0,
            trace2: dot(jv, jtv),
        }
    }

    /// Of |J v|^2, v.J v and v.J(J v).
    pub fn of_forward(fro2: f64, trace: f64, trace2: f64) -> Self {
        Probe { anti2: (fro2 - trace2) / 2.0, fro2, trace, trace2 }
    }

    pub fn nasym(&self) -> f64 {
        self.anti2 / self.fro2
    }
}

/// What the f64 twin found, in units of |J v|: of the statistic itself by the forward estimator, of A v by both modes; and of
/// products. NaN where nothing was repeated.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Checked {
    pub anti: f64,
    pub products: f64,
}

impl Checked {
    pub const NOTHING: Checked = Checked { anti: f64::NAN, products: f64::NAN };

    pub fn max(self, other: Checked) -> Checked {
        Checked { anti: self.anti.max(other.anti), products: self.products.max(other.products) }
    }
}

impl From<Gaps> for Checked {
    fn from(gaps: Gaps) -> Self {
        Checked { anti: gaps.anti, products: gaps.products }
    }
}

/// Estimates at one sample and timestep, each with its standard error.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Row {
    pub nasym: [f64; 2],
    pub anti2: [f64; 2],
    pub fro2: [f64; 2],
    pub trace: [f64; 2],
    pub trace2: [f64; 2],
    pub arithmetic: f64,
    pub products: f64,
    /// Of the probes of this place that were repeated.
    pub checked: Checked,
}

impl Row {
    /// The estimates of one place. `exact`: the probes are all unit vectors, whose sum is the thing itself.
    pub fn of(probes: &[Probe], exact: bool) -> Self {
        let over = |value: fn(&Probe) -> f64| {
            let values: Vec<f64> = probes.iter().map(value).collect();
            if exact { [values.iter().sum(), 0.0] } else { stats::mean(&values).into() }
        };
        let (anti2, fro2) = (over(|p| p.anti2), over(|p| p.fro2));
        let nasym = anti2[0] / fro2[0];
        // A ratio of means: to first order its error is that of the mean of what each probe leaves of it.
        let left: Vec<f64> = probes.iter().map(|p| (p.anti2 - nasym * p.fro2) / fro2[0]).collect();
        let error = if exact { 0.0 } else { stats::mean(&left).1 };
        let (trace, trace2) = (over(|p| p.trace), over(|p| p.trace2));
        let (arithmetic, products, checked) = (f64::NAN, f64::NAN, Checked::NOTHING);
        Row { nasym: [nasym, error], anti2, fro2, trace, trace2, arithmetic, products, checked }
    }

    /// Takes what the f64 twin found at some places to hold for this one.
    pub fn settle(&mut self, worst: Checked, both: bool) {
        self.products = worst.products;
        self.arithmetic = match both {
            true => of_square(self.nasym[0], worst.anti) + 2.0 * self.nasym[0] * worst.products,
            false => worst.anti,
        };
    }

    fn error(&self) -> f64 {
        self.nasym[1].max(self.arithmetic)
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    (About::new("nasym",      "|A|^2 / |J|^2, A = (J - J')/2", "1",         "0 for a gradient, 1 for an antisymmetric Jacobian"), |r| r.nasym[0]),
    (About::new("nasym_se",   "standard error over probes",    "1",         "error; 0 where all unit vectors were taken"),        |r| r.nasym[1]),
    (About::new("anti2",      "|A|^2, Frobenius",              "nat^2/x^4", "squared size of the antisymmetric half"),            |r| r.anti2[0]),
    (About::new("anti2_se",   "standard error over probes",    "nat^2/x^4", "error of anti2"),                                    |r| r.anti2[1]),
    (About::new("fro2",       "|J|^2, Frobenius",              "nat^2/x^4", "squared size of the Jacobian"),                      |r| r.fro2[0]),
    (About::new("fro2_se",    "standard error over probes",    "nat^2/x^4", "error of fro2"),                                     |r| r.fro2[1]),
    (About::new("trace",      "tr J",                          "nat/x^2",   "divergence of the field"),                           |r| r.trace[0]),
    (About::new("trace_se",   "standard error over probes",    "nat/x^2",   "error of trace"),                                    |r| r.trace[1]),
    (About::new("trace2",     "tr J^2",                        "nat^2/x^4", "equals fro2 for a symmetric Jacobian"),              |r| r.trace2[0]),
    (About::new("trace2_se",  "standard error over probes",    "nat^2/x^4", "error of trace2"),                                   |r| r.trace2[1]),
    (About::new("arithmetic", "both: 2 p sqrt(nasym) + p^2 + 2 q nasym, p = max |A v - f64| / |J v|; forward: max |a probe's nasym - f64|", "1", "error: probes recomputed in f64"), |r| r.arithmetic),
    (About::new("product_arithmetic", "q = max |J v - f64| / |J v|",   "1",         "error of products: probes recomputed in f64"),       |r| r.products),
    (About::new("error",      "largest of the errors",         "1",         "what nasym is uncertain by"),                        Row::error),
];

/// What products are off by, in units of |J v|. Runs of earlier versions have one number for this and for nasym.
fn products(at: &At) -> f64 {
    let own = at.get("product_arithmetic");
    if own.is_nan() { at.get("arithmetic") } else { own }
}

/// Which errors apply to what. Where products are off by q |J v|, |J v|^2 and J'v.J v are off by 2 q |J v|^2 at most, and v.J v by q
/// |v| |J v|. By the forward estimator `arithmetic` is at least half of the first in units of |J v|^2, and all of the last in
/// units of |v| |J v|.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    Rule { statistics: &["nasym"], errors: &[
        Applied::always("nasym_se", |at| at.get("nasym_se")), Applied::always("arithmetic", |at| at.get("arithmetic")),
    ] },
    Rule { statistics: &["anti2"], errors: &[
        Applied::always("anti2_se", |at| at.get("anti2_se")),
        Applied::always("arithmetic", |at| at.get("arithmetic") * at.get("fro2")),
    ] },
    Rule { statistics: &["fro2"], errors: &[
        Applied::always("fro2_se", |at| at.get("fro2_se")),
        Applied::always("product_arithmetic", |at| 2.0 * products(at) * at.get("fro2")),
    ] },
    Rule { statistics: &["trace"], errors: &[
        Applied::always("trace_se", |at| at.get("trace_se")),
        Applied::always("product_arithmetic", |at| products(at) * (at.get("fro2") * at.fact("dimensions")).sqrt()),
    ] },
    Rule { statistics: &["trace2"], errors: &[
        Applied::always("trace2_se", |at| at.get("trace2_se")),
        Applied::always("product_arithmetic", |at| 2.0 * products(at) * at.get("fro2")),
    ] },
];
