//! The columns of a circulation run: one table from which CSV, NPZ, manifest, plots and documentation take them.
//! In: the measured values of one loop. Out: every column. Definitions: the integral constraint, eq. 4 and 7 of the paper.

/// Version of the files' layout; changes when a column's meaning or an axis does.
pub const SCHEMA: u32 = 2;

/// Axes of every column, outermost first.
pub const AXES: [&str; 3] = ["path", "timestep", "sample"];

/// Names of the columns that the sweep measures, in the order of `Loop`'s fields.
pub const MEASURED: &[&str] = &[
    "integral",
    "length",
    "norm_sum",
    "abs_terms",
    "score_norm_sum",
    "authors",
    "rounding",
    "quadrature",
    "arithmetic",
    "evaluations",
];

/// The errors of a circulation, by their column.
pub const ERRORS: [&str; 3] = ["rounding", "quadrature", "arithmetic"];

/// What is measured on one loop.
#[derive(Clone, Copy, Debug)]
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

impl From<[f64; MEASURED.len()]> for Loop {
    #[rustfmt::skip]
    fn from([integral, length, norm_sum, abs_terms, score_norm_sum, authors, rounding, quadrature, arithmetic, evaluations]: [f64; MEASURED.len()]) -> Self {
        Loop { integral, length, norm_sum, abs_terms, score_norm_sum, authors, rounding, quadrature, arithmetic, evaluations }
    }
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

/// One column. `s` is the field, `m` a segment's midpoint, `d` its step; sums run over the segments of the loop.
pub struct ColumnSpec {
    /// Header of the CSV, name in the NPZ.
    pub name: &'static str,
    /// How it is computed.
    pub formula: &'static str,
    /// `x` is the unit of the data; a score has the unit nat/x, so that its integral is in nats.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// The formula, as code.
    pub value: fn(&Loop) -> f64,
}

/// Every column of a run, in the order of the files.
#[rustfmt::skip]
pub const COLUMNS: &[ColumnSpec] = &[
    ColumnSpec { name: "integral",                unit: "nat",       formula: "Gamma = sum s.d",             value: |l| l.integral,                          meaning: "signed circulation" },
    ColumnSpec { name: "length",                  unit: "x",         formula: "L = sum |d|",                 value: |l| l.length,                            meaning: "length of the loop" },
    ColumnSpec { name: "norm_sum",                unit: "x^2",       formula: "M = sum |m| |d|",             value: |l| l.norm_sum,                          meaning: "strength of the flow -x along the loop" },
    ColumnSpec { name: "abs_terms",               unit: "nat",       formula: "S = sum |s.d|",               value: |l| l.abs_terms,                         meaning: "largest circulation that these terms allow" },
    ColumnSpec { name: "score_norm_sum",          unit: "nat",       formula: "R = sum |s| |d|",             value: |l| l.score_norm_sum,                    meaning: "largest circulation that this field strength allows" },
    ColumnSpec { name: "authors",                 unit: "nat/x",     formula: "sum s.d / |m|",               value: |l| l.authors,                           meaning: "normalisation of the authors' notebooks" },
    ColumnSpec { name: "rounding",                unit: "nat",       formula: "sum of a Gaussian's s.d",     value: |l| l.rounding,                          meaning: "error: exactly 0 without rounding" },
    ColumnSpec { name: "quadrature",              unit: "nat",       formula: "1.5 |Gamma - two-point Gauss|", value: |l| l.quadrature,                      meaning: "error of the midpoint rule on this polyline, or the adaptive rule's own" },
    ColumnSpec { name: "arithmetic",              unit: "nat",       formula: "R max |s.d - f64| / |s||d|", value: |l| l.arithmetic,                        meaning: "error: points recomputed in f64" },
    ColumnSpec { name: "evaluations",             unit: "1",         formula: "points of the rule",          value: |l| l.evaluations,                       meaning: "evaluations of the field on this loop" },
    ColumnSpec { name: "error",                   unit: "nat",       formula: "largest of the three errors", value: |l| l.error(),                          meaning: "what the circulation is uncertain by" },
    ColumnSpec { name: "abs_integral",            unit: "nat",       formula: "|Gamma|",                     value: |l| l.integral.abs(),                    meaning: "size of the circulation" },
    ColumnSpec { name: "integral_over_norm_sum",  unit: "nat/x^2",   formula: "|Gamma| / M",                 value: |l| l.integral.abs() / l.norm_sum,       meaning: "relative to the flow -x (Figs. 6, 7, 10, 11)" },
    ColumnSpec { name: "eq7",                     unit: "nat/x^2",   formula: "2 Gamma / M",                 value: |l| 2.0 * l.integral / l.norm_sum,       meaning: "signed, as in eq. 7" },
    ColumnSpec { name: "integral_over_length",    unit: "nat/x",     formula: "|Gamma| / L",                 value: |l| l.integral.abs() / l.length,         meaning: "per unit of length (Figs. 3, 12)" },
    ColumnSpec { name: "integral_over_abs",       unit: "1",         formula: "|Gamma| / S",                 value: |l| l.integral.abs() / l.abs_terms,      meaning: "scale-free, between 0 and 1" },
    ColumnSpec { name: "integral_over_score_norm", unit: "1",        formula: "|Gamma| / R",                 value: |l| l.integral.abs() / l.score_norm_sum, meaning: "scale-free, between 0 and 1" },
];

/// The column of that name.
pub fn column(name: &str) -> Option<&'static ColumnSpec> {
    COLUMNS.iter().find(|c| c.name == name)
}
