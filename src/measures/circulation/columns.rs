//! The columns of a circulation run: the measured values of one loop, and every column that follows from them.
//! In: what `finish` makes of a loop's sums. Out: columns, and back from a table's columns to the loops. Definitions: the
//! integral constraint, eq. 4 and 7 of the paper.
use crate::error::Result;
use crate::measures::rows::Column;
use crate::run::{About, Table};

/// The errors of a circulation, by their column.
pub const ERRORS: [&str; 3] = ["rounding", "quadrature", "arithmetic"];

/// What is measured on one loop.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Loop {
    /// Gamma = sum s.d (eq. 4), nat.
    pub integral: f64,
    /// L = sum |d|, x.
    pub length: f64,
    /// M = sum |m| |d|, x^2.
    pub norm_sum: f64,
    /// S = sum |s.d|, nat.
    pub abs_terms: f64,
    /// R = sum |s| |d|, nat.
    pub score_norm_sum: f64,
    /// sum s.d / |m|, nat/x.
    pub authors: f64,
    /// Sum of a Gaussian field's s.d, nat.
    pub rounding: f64,
    /// NaN where it was not asked for.
    pub quadrature: f64,
    /// R times the largest error of a term in units of |s| |d|, nat; NaN where no point was verified.
    pub arithmetic: f64,
    /// Of the field, on this loop.
    pub evaluations: f64,
}

impl Loop {
    /// Sizes of the errors, in the order of `ERRORS`; NaN where unknown.
    pub fn errors(&self) -> [f64; 3] {
        [self.rounding, self.quadrature, self.arithmetic].map(f64::abs)
    }

    /// The largest of the errors that are known; whether all of them are is `verdict`'s business.
    pub fn error(&self) -> f64 {
        self.errors().into_iter().fold(f64::NAN, f64::max)
    }

    /// The same loop with an error in the place of its circulation: a formula applied to it gives the formula's error.
    pub fn with_integral(&self, integral: f64) -> Self {
        Loop { integral, ..*self }
    }
}

/// Fields of a `Loop`.
const MEASURED: usize = size_of::<Loop>() / size_of::<f64>();

/// Every column of a run, in the order of the files: first the fields of `Loop` in their order, then what follows from them.
/// `s` is the field, `m` a segment's midpoint, `d` its step; sums run over the segments of the loop. `x` is the unit of the data;
/// a score has the unit nat/x, so that its integral is in nats.
#[rustfmt::skip]
pub(crate) const COLUMNS: &[Column<Loop>] = &[
    (About::new("integral", "Gamma = sum s.d", "nat", "signed circulation"), |l| l.integral),
    (About::new("length", "L = sum |d|", "x", "length of the loop"), |l| l.length),
    (About::new("norm_sum", "M = sum |m| |d|", "x^2", "strength of the flow -x along the loop"), |l| l.norm_sum),
    (About::new("abs_terms", "S = sum |s.d|", "nat", "largest circulation that these terms allow"), |l| l.abs_terms),
    (About::new("score_norm_sum", "R = sum |s| |d|", "nat", "largest circulation that this field strength allows"), |l| l.score_norm_sum),
    (About::new("authors", "sum s.d / |m|", "nat/x", "normalisation of the authors' notebooks"), |l| l.authors),
    (About::new("rounding", "sum of a Gaussian's s.d", "nat", "error: exactly 0 without rounding"), |l| l.rounding),
    (About::new("quadrature", "1.5 |Gamma - two-point Gauss|", "nat", "error of the midpoint rule on this polyline, or the adaptive rule's own"), |l| l.quadrature),
    (About::new("arithmetic", "R max |s.d - f64| / |s||d|", "nat", "error: points recomputed in f64"), |l| l.arithmetic),
    (About::new("evaluations", "points of the rule", "1", "evaluations of the field on this loop"), |l| l.evaluations),
    (About::new("error", "largest of the three errors", "nat", "what the circulation is uncertain by"), |l| l.error()),
    (About::new("abs_integral", "|Gamma|", "nat", "size of the circulation"), |l| l.integral.abs()),
    (About::new("integral_over_norm_sum", "|Gamma| / M", "nat/x^2", "relative to the flow -x (Figs. 6, 7, 10, 11)"), |l| l.integral.abs() / l.norm_sum),
    (About::new("eq7", "2 Gamma / M", "nat/x^2", "signed, as in eq. 7"), |l| 2.0 * l.integral / l.norm_sum),
    (About::new("integral_over_length", "|Gamma| / L", "nat/x", "per unit of length (Figs. 3, 12)"), |l| l.integral.abs() / l.length),
    (About::new("integral_over_abs", "|Gamma| / S", "1", "scale-free, between 0 and 1"), |l| l.integral.abs() / l.abs_terms),
    (About::new("integral_over_score_norm", "|Gamma| / R", "1", "scale-free, between 0 and 1"), |l| l.integral.abs() / l.score_norm_sum),
];

/// Names of the columns that are measured, in the order of `Loop`'s fields.
pub fn measured() -> impl Iterator<Item = &'static str> {
    COLUMNS[..MEASURED].iter().map(|c| c.0.name)
}

/// Every loop of a table, in C order over (path, timestep, sample).
///
/// # Errors
/// A table without one of the measured columns.
pub fn loops(table: &Table) -> Result<Vec<Loop>> {
    let columns = measured().map(|name| Ok(&table.column(name)?.values)).collect::<Result<Vec<_>>>()?;
    let one = |i: usize| {
        let mut values = [0.0; MEASURED];
        values.iter_mut().zip(&columns).for_each(|(value, column)| *value = column.get(i).copied().unwrap_or(f64::NAN));
        bytemuck::cast(values)
    };
    Ok((0..columns[0].len()).map(one).collect())
}

/// Whether a column follows from Gamma.
pub(super) fn follows((about, value): &Column<Loop>) -> bool {
    let ones: Loop = bytemuck::cast([1.0; MEASURED]);
    about.name != "error" && value(&ones.with_integral(2.0)) != value(&ones.with_integral(1.0))
}
