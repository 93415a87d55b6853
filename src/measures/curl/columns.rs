//! The columns of a curl run: what is known of a block of the Jacobian, every column that follows from it, and which errors
//! apply to what. In: a K x K block. Out: a row; columns; rules.
use crate::diagnostics::finite;
use crate::measures::rows::Column;
use crate::run::{About, Applied, At, Rule, Table};

/// What is known of one sample at one timestep; NaN where not.
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Row {
    pub median: f64,
    pub mean: f64,
    pub max: f64,
    pub raw: f64,
    pub entry: f64,
    pub largest: f64,
    pub sub_nasym: f64,
    pub step: f64,
    pub gap: f64,
    pub arithmetic: f64,
    /// 1 if J is of differences, whose step then is an error; else 0.
    pub stepped: f64,
}

impl Row {
    /// The largest error of a |J_ab - J_ba| that is known.
    fn error(&self) -> f64 {
        if self.stepped > 0.0 { self.step.max(self.arithmetic) } else { self.arithmetic }
    }

    /// Statistics of a block; NaN where it is not finite.
    pub fn describe(&mut self, block: &[f32], n: usize) {
        if !finite(block) {
            let nan = f64::NAN;
            *self =
                Row { median: nan, mean: nan, max: nan, entry: nan, largest: nan, sub_nasym: nan, step: nan, ..*self };
            return;
        }
        let at = |a: usize, b: usize| f64::from(block[a * n + b]);
        let mut pairs: Vec<f64> =
            (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).map(|(a, b)| (at(a, b) - at(b, a)).abs()).collect();
        pairs.sort_by(f64::total_cmp);
        let square = |v: f64| v * v;
        let all: f64 = block.iter().map(|&v| square(f64::from(v))).sum();
        let diagonal: f64 = (0..n).map(|a| square(at(a, a))).sum();
        let asymmetric: f64 = pairs.iter().map(|&p| 2.0 * square(p)).sum();
        let middle = pairs.len() / 2;
        self.median = if pairs.len() % 2 == 1 { pairs[middle] } else { 0.5 * (pairs[middle - 1] + pairs[middle]) };
        self.mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
        self.max = pairs[pairs.len() - 1];
        self.entry = ((all - diagonal) / (n * (n - 1)) as f64).max(0.0).sqrt();
        self.largest = block.iter().fold(f64::MIN_POSITIVE, |most, &v| f64::from(v.abs()).max(most));
        self.sub_nasym = asymmetric / (4.0 * all);
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    (About::new("asymmetry",      "median |J_ab - J_ba|, a < b", "nat/x^2", "of the score, over pairs of components (Figs. 2c, 8c)"), |r| r.median),
    (About::new("asymmetry_mean", "mean |J_ab - J_ba|",          "nat/x^2", "of the score"),                                         |r| r.mean),
    (About::new("asymmetry_max",  "max |J_ab - J_ba|",           "nat/x^2", "of the score"),                                         |r| r.max),
    (About::new("raw_asymmetry",  "median |J_ab - J_ba|",        "1/x",     "of the network's raw output"),                          |r| r.median * r.raw),
    (About::new("raw_asymmetry_mean", "mean |J_ab - J_ba|",      "1/x",     "of the network's raw output"),                          |r| r.mean * r.raw),
    (About::new("raw_asymmetry_max",  "max |J_ab - J_ba|",       "1/x",     "of the network's raw output"),                          |r| r.max * r.raw),
    (About::new("entry_rms",      "sqrt(mean J_ab^2), a != b",   "nat/x^2", "size of what is compared"),                             |r| r.entry),
    (About::new("sub_nasym",      "|B - B'|^2 / (4 |B|^2)",      "1",       "of the sub-Jacobian B: 0 symmetric, 1 antisymmetric"),   |r| r.sub_nasym),
    (About::new("step",           "2 max |D(h) - D(2h)|",        "nat/x^2", "error of the differences: one step and the other, on eight columns or more"), |r| r.step),
    (About::new("method_gap",     "max |differences - tangents|", "nat/x^2", "how far apart the two methods are, of an entry"),       |r| r.gap),
    (About::new("arithmetic",     "2 max |B| max |J_ab - f64| / max |J|", "nat/x^2", "error: columns recomputed in f64; of a |J_ab - J_ba|"), |r| r.arithmetic),
    (About::new("error",          "largest of the errors",       "nat/x^2", "what a |J_ab - J_ba| is uncertain by"),                  Row::error),
];

/// The step of differences, which is an error only where J is of differences.
const fn step(size: fn(&At) -> f64) -> Applied {
    Applied { name: "step", size, applies: of_differences }
}

const fn arithmetic(size: fn(&At) -> f64) -> Applied {
    Applied::always("arithmetic", size)
}

/// Which errors apply to what.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    Rule { statistics: &["asymmetry", "asymmetry_mean", "asymmetry_max", "entry_rms"], errors: &[
        step(|at| at.get("step")), arithmetic(|at| at.get("arithmetic")),
    ] },
    Rule { statistics: &["raw_asymmetry", "raw_asymmetry_mean", "raw_asymmetry_max"], errors: &[
        step(|at| at.get("step") * raw(at)), arithmetic(|at| at.get("arithmetic") * raw(at)),
    ] },
    Rule { statistics: &["sub_nasym"], errors: &[
        step(|at| of_share(at, at.get("step"))), arithmetic(|at| of_share(at, at.get("arithmetic"))),
    ] },
];

/// The raw output's J over the score's, one factor per timestep.
fn raw(at: &At) -> f64 {
    (at.get("raw_asymmetry_max") / at.get("asymmetry_max")).abs()
}

/// Error of nasym = |J - J'|^2 / (4 |J|^2) where |J - J'| is off by `gap` and `size` is |J|, or less.
pub(in crate::measures) fn of_ratio(nasym: f64, gap: f64, size: f64) -> f64 {
    gap * nasym.abs().sqrt() / size + gap * gap / (4.0 * size * size)
}

/// Error of a K x K block's nasym where a |J_ab - J_ba| is off by `error`. Its size is at least that of the entries off the
/// diagonal.
fn of_share(at: &At, error: f64) -> f64 {
    let k = at.fact("components");
    of_ratio(at.get("sub_nasym"), error * (k * (k - 1.0)).sqrt(), at.get("entry_rms") * (k * (k - 1.0)).sqrt())
}

/// Whether a run's J is of differences. Runs of schema 1 do not say so: there `error` is the largest of those that count.
fn of_differences(table: &Table) -> bool {
    if let Some(said) = table.facts["differences"].as_bool() {
        return said;
    }
    let (Ok(step), Ok(error)) = (table.column("step"), table.column("error")) else { return false };
    let known = step.values.iter().any(|s| s.is_finite());
    known && !step.values.iter().zip(&error.values).any(|(s, e)| s > e)
}
