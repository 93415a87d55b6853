//! The columns of a circulation run: what is summed along one loop in f64 (paper, eq. 4 and 7, and PROTOCOL's L, M, S, R), the
//! measured values that come of it, and every column that follows from them. In: the dot products of one point at a time,
//! whoever computed them. Out: columns, and back from a table's columns to the loops.
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
    /// Of a loop's sums, the error of its quadrature, and the largest error of a term in units of |s| |d|.
    pub(super) fn of(sums: &Sums, quadrature: f64, worst: f64) -> Self {
        Loop {
            integral: sums.integral,
            length: sums.length,
            norm_sum: sums.norm_sum,
            abs_terms: sums.abs_terms,
            score_norm_sum: sums.score_norm_sum,
            authors: sums.authors,
            rounding: sums.rounding,
            quadrature,
            // Errors of terms are taken to add up: the bound that holds for a wrong kernel as for rounding.
            arithmetic: worst * sums.score_norm_sum,
            evaluations: sums.evaluations,
        }
    }

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
pub(super) const COLUMNS: &[Column<Loop>] = &[
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

/// The same as the device writes them: s.d, m.d, |d|^2, |m|^2, |s|^2.
pub(super) type Products = [f32; 5];

/// Dot products of one point over its D components: s the field, m the point (a midpoint), d the step.
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
