//! When a statistic counts as measured, decided here and nowhere else: three verdicts, one rule, and one table that says
//! for every measure and statistic which errors apply to it. In: a run's table. Out: errors in the unit of their statistic,
//! verdicts. Text, JSON, CSV, plots, the page, `compare` and `merge` all read this.
use super::circulation::Circulation;
use super::schema::{self, ColumnSpec, ERRORS, Loop, MEASURED};
use super::table::{About, Table};
use crate::error::Result;

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

/// One place of a table, where an error's size is computed.
struct At<'a> {
    table: &'a Table,
    place: usize,
}

impl At<'_> {
    /// A column there; NaN if the table does not have it.
    fn get(&self, column: &str) -> f64 {
        self.table.column(column).map_or(f64::NAN, |c| c.values[self.place])
    }

    /// A number among the table's facts; NaN if it is not there.
    fn fact(&self, name: &str) -> f64 {
        self.table.facts[name].as_f64().unwrap_or(f64::NAN)
    }
}

/// An error that applies to a statistic.
struct Applied {
    /// Its heading: the column that it comes from.
    name: &'static str,
    /// In the unit of the statistic.
    size: fn(&At) -> f64,
    /// False where it cannot arise, such as the step of differences where there are none.
    applies: fn(&Table) -> bool,
}

const fn always(name: &'static str, size: fn(&At) -> f64) -> Applied {
    Applied { name, size, applies: |_| true }
}

/// The step of differences, which is an error only where J is of differences.
const fn step(size: fn(&At) -> f64) -> Applied {
    Applied { name: "step", size, applies: of_differences }
}

/// Statistics of a measure, and every error that applies to them.
struct Rule {
    measure: &'static str,
    /// Columns; the first of a measure's first rule is the one that the run is about.
    statistics: &'static [&'static str],
    errors: &'static [Applied],
}

/// Which errors apply to what. Errors of circulation are those of Gamma put through the formula of each column, and apply
/// the same to scores from elsewhere. What is not here has no errors and no verdict.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { measure: "curl", statistics: &["asymmetry", "asymmetry_mean", "asymmetry_max", "entry_rms"], errors: &[
        step(|at| at.get("step")), always("arithmetic", |at| at.get("arithmetic")),
    ] },
    Rule { measure: "curl", statistics: &["raw_asymmetry", "raw_asymmetry_mean", "raw_asymmetry_max"], errors: &[
        step(|at| at.get("step") * raw(at)), always("arithmetic", |at| at.get("arithmetic") * raw(at)),
    ] },
    Rule { measure: "curl", statistics: &["sub_nasym"], errors: &[
        step(|at| of_share(at, at.get("step"))), always("arithmetic", |at| of_share(at, at.get("arithmetic"))),
    ] },
    Rule { measure: "asymmetry", statistics: &["nasym"], errors: &[
        always("nasym_se", |at| at.get("nasym_se")), always("arithmetic", |at| at.get("arithmetic")),
    ] },
    // `arithmetic` is at least half of what |J v|^2 and v.J J v of a probe are off by, in units of |J v|^2, and all of what v.J v is
    // off by in units of |v| |J v|.
    Rule { measure: "asymmetry", statistics: &["fro2"], errors: &[
        always("fro2_se", |at| at.get("fro2_se")), always("arithmetic", |at| 2.0 * at.get("arithmetic") * at.get("fro2")),
    ] },
    Rule { measure: "asymmetry", statistics: &["trace"], errors: &[
        always("trace_se", |at| at.get("trace_se")),
        always("arithmetic", |at| at.get("arithmetic") * (at.get("fro2") * at.fact("dimensions")).sqrt()),
    ] },
    Rule { measure: "asymmetry", statistics: &["trace2"], errors: &[
        always("trace2_se", |at| at.get("trace2_se")), always("arithmetic", |at| 2.0 * at.get("arithmetic") * at.get("fro2")),
    ] },
    Rule { measure: "stein", statistics: &["stein"], errors: &[
        always("stein_se", |at| at.get("stein_se")), always("arithmetic", |at| at.get("arithmetic")),
    ] },
    // `arithmetic` is that of an entry.
    Rule { measure: "jacobian", statistics: &["asymmetry_max"], errors: &[
        always("arithmetic", |at| 2.0 * at.get("arithmetic")),
    ] },
    Rule { measure: "jacobian", statistics: &["nasym"], errors: &[always("arithmetic", |at| {
        of_ratio(at.get("nasym"), 2.0 * at.get("arithmetic") * at.fact("dimensions"), at.get("fro2").sqrt())
    })] },
    Rule { measure: "jacobian", statistics: &["fro2", "trace2"], errors: &[
        always("arithmetic", |at| 2.0 * at.get("arithmetic") * at.fact("dimensions") * at.get("fro2").sqrt()),
    ] },
    Rule { measure: "jacobian", statistics: &["trace"], errors: &[
        always("arithmetic", |at| at.get("arithmetic") * at.fact("dimensions")),
    ] },
    Rule { measure: "likelihood", statistics: &["bits_per_dim"], errors: &[
        always("probe_se", |at| at.get("probe_se")), always("grid", |at| at.get("grid")),
        always("arithmetic", |at| at.get("arithmetic")),
    ] },
];

/// The statistic that a measure is about.
pub fn headline(measure: &str) -> Option<&'static str> {
    if measure == "circulation" {
        return Some("abs_integral");
    }
    RULES.iter().find(|r| r.measure == measure).and_then(|r| r.statistics.first()).copied()
}

/// The raw output's J over the score's, one factor per timestep.
fn raw(at: &At) -> f64 {
    (at.get("raw_asymmetry_max") / at.get("asymmetry_max")).abs()
}

/// Error of nasym = |J - J'|^2 / (4 |J|^2) where |J - J'| is off by `gap` and `size` is |J|, or less.
fn of_ratio(nasym: f64, gap: f64, size: f64) -> f64 {
    gap * nasym.abs().sqrt() / size + gap * gap / (4.0 * size * size)
}

/// Error of a K x K block's nasym where a |J_ab - J_ba| is off by `error`. Its size is at least that of the entries off the
/// diagonal.
fn of_share(at: &At, error: f64) -> f64 {
    let k = at.fact("components");
    of_ratio(at.get("sub_nasym"), error * (k * (k - 1.0)).sqrt(), at.get("entry_rms") * (k * (k - 1.0)).sqrt())
}

/// Whether a curl run's J is of differences. Runs of schema 1 do not say so: there `error` is the largest of those that count.
fn of_differences(table: &Table) -> bool {
    if let Some(said) = table.facts["differences"].as_bool() {
        return said;
    }
    let (Ok(step), Ok(error)) = (table.column("step"), table.column("error")) else { return false };
    let known = step.values.iter().any(|s| s.is_finite());
    known && !step.values.iter().zip(&error.values).any(|(s, e)| s > e)
}

/// The errors that apply to a statistic, by the column that they come from.
pub type Errors = Vec<(&'static str, Vec<f64>)>;

/// Every statistic of a table to which errors apply, with their sizes in its unit at every place, none negative; NaN where
/// not measured.
///
/// # Errors
/// A circulation without its measured columns.
pub fn errors(table: &Table) -> Result<Vec<(&'static str, Errors)>> {
    if table.measure == "circulation" {
        return of_circulation(table);
    }
    let places = table.columns.first().map_or(0, |c| c.values.len());
    let mut found = vec![];
    for rule in RULES.iter().filter(|r| r.measure == table.measure) {
        let sizes = |applied: &Applied| {
            let size = |place| (applied.size)(&At { table, place }).abs();
            (applied.name, (0..places).map(size).collect())
        };
        let errors: Errors = rule.errors.iter().filter(|e| (e.applies)(table)).map(sizes).collect();
        found.extend(rule.statistics.iter().map(|name| (*name, errors.clone())));
    }
    Ok(found)
}

/// Whether a column of a circulation follows from Gamma.
fn follows(column: &ColumnSpec) -> bool {
    let of = |integral: f64| (column.value)(&Loop::from([1.0; MEASURED.len()]).with_integral(integral));
    column.name != "error" && of(2.0) != of(1.0)
}

/// Errors of the columns that follow from Gamma: their formula with the error in its place.
fn of_circulation(table: &Table) -> Result<Vec<(&'static str, Errors)>> {
    let data = Circulation::of(table)?;
    let loops = data.loops()?;
    let sizes = |c: &ColumnSpec, kind: usize| {
        let size = |l: Loop| (c.value)(&l.with_integral(l.errors()[kind])).abs();
        (0..loops.len()).map(|i| size(loops.get(i))).collect()
    };
    let errors = |c: &ColumnSpec| (0..ERRORS.len()).map(|kind| (ERRORS[kind], sizes(c, kind))).collect();
    Ok(schema::COLUMNS.iter().filter(|c| follows(c)).map(|c| (c.name, errors(c))).collect())
}

/// The verdict on what the run is about, at every place; none if the measure has no such column.
pub fn verdicts(table: &Table) -> Option<Vec<Verdict>> {
    let name = headline(table.measure)?;
    let values = &table.column(name).ok()?.values;
    let errors = errors(table).ok()?;
    let (_, errors) = errors.iter().find(|e| e.0 == name)?;
    Some((0..values.len()).map(|i| Verdict::of(values[i], errors.iter().map(|e| e.1[i]))).collect())
}
