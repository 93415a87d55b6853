//! The columns of a run of maps: what is known of one place, every column that follows from it, and which errors apply to what. In:
//! sums over probes. Out: a row; columns; rules.
use crate::diagnostics::{Gaps, of_square};
use crate::measures::rows::Column;
use crate::run::{About, Applied, Rule};
use crate::summary::stats;

/// What is known of one sample at one timestep besides its pictures, each with its standard error.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Row {
    pub nasym: [f64; 2],
    pub anti2: [f64; 2],
    pub sym2: [f64; 2],
    /// Of nasym, and of 1 - nasym.
    pub arithmetic: [f64; 2],
    /// Of a component of A v and of H v.
    pub pixel: [f64; 2],
    /// Of the probes of this place that were repeated.
    pub checked: Gaps,
}

impl Row {
    /// Of |A v|^2 and |H v|^2 of every probe. `exact`: the probes are all unit vectors, whose sum is the thing itself.
    pub fn of(probes: &[[f64; 2]], exact: bool) -> Self {
        let over = |i: usize| {
            let values: Vec<f64> = probes.iter().map(|p| p[i]).collect();
            if exact { [values.iter().sum(), 0.0] } else { stats::mean(&values).into() }
        };
        let (anti2, sym2) = (over(0), over(1));
        let whole = anti2[0] + sym2[0];
        let nasym = anti2[0] / whole;
        // A ratio of means: to first order its error is that of the mean of what each probe leaves of it.
        let left: Vec<f64> = probes.iter().map(|[a, h]| (a - nasym * (a + h)) / whole).collect();
        let error = if exact { 0.0 } else { stats::mean(&left).1 };
        let unknown = [f64::NAN; 2];
        Row { nasym: [nasym, error], anti2, sym2, arithmetic: unknown, pixel: unknown, checked: Gaps::NONE }
    }

    /// Takes what the f64 twin found at some places to hold for this one.
    pub fn settle(&mut self, worst: Gaps) {
        let (share, size) = (self.nasym[0], (self.anti2[0] + self.sym2[0]).sqrt());
        self.arithmetic = [
            of_square(share, worst.anti) + 2.0 * share * worst.products,
            of_square(1.0 - share, worst.sym) + 2.0 * (1.0 - share) * worst.products,
        ];
        self.pixel = worst.component.map(|gap| gap * size);
    }

    fn error(&self) -> f64 {
        self.nasym[1].max(self.arithmetic[0])
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    (About::new("nasym",      "|A|^2 / (|A|^2 + |H|^2)",        "1",         "0 for a gradient, 1 for an antisymmetric Jacobian"), |r| r.nasym[0]),
    (About::new("nasym_se",   "standard error over probes",     "1",         "error; 0 where all unit vectors were taken"),        |r| r.nasym[1]),
    (About::new("anti2",      "|A|^2 = sum r_i",                "nat^2/x^4", "squared size of the antisymmetric half"),            |r| r.anti2[0]),
    (About::new("anti2_se",   "standard error over probes",     "nat^2/x^4", "error of anti2"),                                    |r| r.anti2[1]),
    (About::new("sym2",       "|H|^2 = sum q_i",                "nat^2/x^4", "squared size of the symmetric half"),                |r| r.sym2[0]),
    (About::new("sym2_se",    "standard error over probes",     "nat^2/x^4", "error of sym2"),                                     |r| r.sym2[1]),
    (About::new("arithmetic", "2 p sqrt(nasym) + p^2 + 2 q nasym, p = max |A v - f64| / |J v|, q = max |J v - f64| / |J v|", "1", "error: probes recomputed in f64"), |r| r.arithmetic[0]),
    (About::new("sym_arithmetic", "the same of H and 1 - nasym", "1",        "error of sym2, in units of |J|^2"),                  |r| r.arithmetic[1]),
    (About::new("pixel_arithmetic", "e = |J| max |(A v)_i - f64| / |J v|", "nat/x^2", "error of a component of A v: r_i is off by 2 e sqrt(r_i) + e^2 at most"), |r| r.pixel[0]),
    (About::new("sym_pixel_arithmetic", "the same of H v", "nat/x^2",        "error of a component of H v, as above of q_i"),      |r| r.pixel[1]),
    (About::new("error",      "largest of the errors",          "1",         "what nasym is uncertain by"),                        Row::error),
];

/// Which errors apply to what. `arithmetic` is in units of |J|^2 = |A|^2 + |H|^2.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    Rule { statistics: &["nasym"], errors: &[
        Applied::always("nasym_se", |at| at.get("nasym_se")), Applied::always("arithmetic", |at| at.get("arithmetic")),
    ] },
    Rule { statistics: &["anti2"], errors: &[
        Applied::always("anti2_se", |at| at.get("anti2_se")),
        Applied::always("arithmetic", |at| at.get("arithmetic") * (at.get("anti2") + at.get("sym2"))),
    ] },
    Rule { statistics: &["sym2"], errors: &[
        Applied::always("sym2_se", |at| at.get("sym2_se")),
        Applied::always("sym_arithmetic", |at| at.get("sym_arithmetic") * (at.get("anti2") + at.get("sym2"))),
    ] },
];
