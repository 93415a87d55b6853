//! When a statistic counts as measured, decided here and nowhere else: three verdicts and one rule. Which errors apply to
//! which statistic its measure says. In: a run's table. Out: verdicts. Text, JSON, CSV, plots, the page, `compare` and `merge`
//! all read this.
use super::table::{About, Table};

/// A value counts as resolved if it is at least this many times its largest error.
pub const CLEAR: f64 = 3.0;

/// What may be said of a statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is at least `CLEAR` times its largest error, and every error that applies was measured.
    Resolved,
    /// Every error that applies was measured, and it is under `CLEAR` times the largest: zero within the error.
    NotResolved,
    /// An error that applies was not measured: nothing may be said.
    NotChecked,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 3] = [Verdict::Resolved, Verdict::NotResolved, Verdict::NotChecked];

    /// The rule. `errors` are those that apply, NaN where not measured. A zero is never resolved, nor is what is not a
    /// number.
    pub fn of(value: f64, errors: impl IntoIterator<Item = f64>) -> Self {
        let mut largest = 0f64;
        for error in errors {
            if error.is_nan() {
                return Verdict::NotChecked;
            }
            largest = largest.max(error.abs());
        }
        // A comparison with NaN is false, and so is one of two infinities here.
        let clear = value.is_finite() && value != 0.0 && value.abs() >= CLEAR * largest;
        if clear { Verdict::Resolved } else { Verdict::NotResolved }
    }

    /// The word, the same everywhere.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Resolved => "resolved",
            Verdict::NotResolved => "not resolved",
            Verdict::NotChecked => "not checked",
        }
    }

    /// What stands before a number in a table; nothing if it is resolved.
    pub const fn mark(self) -> &'static str {
        match self {
            Verdict::Resolved => "",
            Verdict::NotResolved => "~",
            Verdict::NotChecked => "?",
        }
    }

    /// What the marks of a table mean, a line for each that is there.
    pub fn legend(marked: &[Verdict]) -> String {
        let mut text = String::new();
        if marked.contains(&Verdict::NotResolved) {
            text += &format!("~ not resolved: under {CLEAR} times its error, read it as zero within the error.\n");
        }
        if marked.contains(&Verdict::NotChecked) {
            text += "? not checked: an error that applies to it was not measured, so it establishes nothing.\n";
        }
        text
    }
}

/// What the column of verdicts says, in every CSV and NPZ.
pub const VERDICT: About = About::new(
    "verdict",
    "by the table of errors",
    "word",
    "resolved: at least 3 times the largest error, and every error that applies was measured; not resolved: all measured, but under 3 times; not checked: one was not measured",
);

/// The verdict on what the run is about, at every place; none if the table has no such column.
pub fn verdicts(table: &Table) -> Option<Vec<Verdict>> {
    let name = table.measure.info().headline;
    let values = &table.column(name).ok()?.values;
    let errors = table.measure.errors(table).ok()?;
    let (_, errors) = errors.iter().find(|e| e.0 == name)?;
    Some((0..values.len()).map(|i| Verdict::of(values[i], errors.iter().map(|e| e.1[i]))).collect())
}
