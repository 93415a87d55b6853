//! Asymmetry of the whole Jacobian without ever holding it, forward mode only (after arXiv 2209.12753): with `E[v v'] = I`,
//! `|J|^2 = E |J v|^2`, `tr J = E v.J v`, `tr J^2 = E v.J(J v)`, and `nasym = |J - J'|^2 / (4 |J|^2) = (|J|^2 - tr J^2) / (2 |J|^2)`:
//! 0 for a gradient, 1 for an antisymmetric J. Two chained tangents per probe v; or all D unit vectors, then exactly.
use super::rows::{self, Column};
use crate::diagnostics::{Batch, Derivatives, Noisy, Pick, Selection, dot, lanes, parse_probes, unit};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::run::{
    About, Applied, Figure, Kind, MeanOf, Measure, MeasureInfo, Parameter, Part, Progress, Ready, Rule, SAMPLE,
    SAMPLES, SEED, Settings, Shard, Subject, TIMESTEP, TIMESTEPS, Table, Taken, Task,
};
use crate::summary::number;
use crate::summary::stats;
use crate::summary::timesteps::{self, Shown, levels, samples};
use serde_json::{Value, json};
use std::fmt::Write;

/// The measure.
pub struct Asymmetry;

/// Estimates at one sample and timestep, each with its standard error.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Row {
    nasym: [f64; 2],
    fro2: [f64; 2],
    trace: [f64; 2],
    trace2: [f64; 2],
    arithmetic: f64,
}

impl Row {
    /// The estimates of one place. `exact`: the probes are all unit vectors, whose sum is the thing itself.
    fn of(probes: &[Probe], exact: bool) -> Self {
        let over = |value: fn(&Probe) -> f64| {
            let values: Vec<f64> = probes.iter().map(value).collect();
            if exact { [values.iter().sum(), 0.0] } else { stats::mean(&values).into() }
        };
        let (fro2, trace, trace2) = (over(|p| p.fro2), over(|p| p.trace), over(|p| p.trace2));
        let nasym = (fro2[0] - trace2[0]) / (2.0 * fro2[0]);
        // A ratio of means: to first order its error is that of the mean of what each probe leaves of it.
        let left: Vec<f64> =
            probes.iter().map(|p| (p.fro2 - p.trace2 - 2.0 * nasym * p.fro2) / (2.0 * fro2[0])).collect();
        let error = if exact { 0.0 } else { stats::mean(&left).1 };
        Row { nasym: [nasym, error], fro2, trace, trace2, arithmetic: f64::NAN }
    }

    fn error(&self) -> f64 {
        self.nasym[1].max(self.arithmetic)
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
const COLUMNS: &[Column<Row>] = &[
    (About::new("nasym",      "(|J|^2 - tr J^2) / (2 |J|^2)", "1",         "0 for a gradient, 1 for an antisymmetric Jacobian"), |r| r.nasym[0]),
    (About::new("nasym_se",   "standard error over probes",   "1",         "error; 0 where all unit vectors were taken"),        |r| r.nasym[1]),
    (About::new("fro2",       "|J|^2, Frobenius",             "nat^2/x^4", "squared size of the Jacobian"),                      |r| r.fro2[0]),
    (About::new("fro2_se",    "standard error over probes",   "nat^2/x^4", "error of fro2"),                                     |r| r.fro2[1]),
    (About::new("trace",      "tr J",                         "nat/x^2",   "divergence of the field"),                           |r| r.trace[0]),
    (About::new("trace_se",   "standard error over probes",   "nat/x^2",   "error of trace"),                                    |r| r.trace[1]),
    (About::new("trace2",     "tr J^2",                       "nat^2/x^4", "equals fro2 for a symmetric Jacobian"),              |r| r.trace2[0]),
    (About::new("trace2_se",  "standard error over probes",   "nat^2/x^4", "error of trace2"),                                   |r| r.trace2[1]),
    (About::new("arithmetic", "max |a probe's nasym - f64|",  "1",         "error: probes recomputed in f64"),                   |r| r.arithmetic),
    (About::new("error",      "largest of the errors",        "1",         "what nasym is uncertain by"),                        Row::error),
];

/// Which errors apply to what. `arithmetic` is at least half of what |J v|^2 and v.J J v of a probe are off by, in units of
/// |J v|^2, and all of what v.J v is off by in units of |v| |J v|.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { statistics: &["nasym"], errors: &[
        Applied::always("nasym_se", |at| at.get("nasym_se")), Applied::always("arithmetic", |at| at.get("arithmetic")),
    ] },
    Rule { statistics: &["fro2"], errors: &[
        Applied::always("fro2_se", |at| at.get("fro2_se")),
        Applied::always("arithmetic", |at| 2.0 * at.get("arithmetic") * at.get("fro2")),
    ] },
    Rule { statistics: &["trace"], errors: &[
        Applied::always("trace_se", |at| at.get("trace_se")),
        Applied::always("arithmetic", |at| at.get("arithmetic") * (at.get("fro2") * at.fact("dimensions")).sqrt()),
    ] },
    Rule { statistics: &["trace2"], errors: &[
        Applied::always("trace2_se", |at| at.get("trace2_se")),
        Applied::always("arithmetic", |at| 2.0 * at.get("arithmetic") * at.get("fro2")),
    ] },
];

static INFO: MeasureInfo = MeasureInfo {
    name: "asymmetry",
    help: "Measure how asymmetric the score's whole Jacobian is, by random tangents (nasym, |J|, tr J, tr J^2).\n\n\
           Two chained tangents per probe, never a whole Jacobian, so any size will do. Writes OUT/asymmetry.csv, \
           asymmetry.npz, manifest.json, run_log.json and plots/nasym.svg (docs/FORMATS.md), and prints a table.",
    title: "Asymmetry of the whole Jacobian",
    prose: "nasym = |J − J′|² / 4|J|² is 0 for a gradient and 1 for an antisymmetric Jacobian. It is estimated with random \
            tangents, without ever holding J.",
    source: "after arXiv 2209.12753",
    axes: &[TIMESTEP, SAMPLE],
    marked: "fro2",
    headline: "nasym",
    rules: RULES,
    mean: Some(MeanOf {
        name: "nasym of all samples",
        formula: "E|J - J'|^2 / (4 E|J|^2)",
        unit: "1",
        column: "nasym",
        of: pooled,
        scaled: false,
        caption: "Bars: three standard errors over the samples, all of which the curve takes together.",
    }),
    compared: &[
        ("nasym", Taken::Median),
        ("nasym", Taken::Pooled { size: "fro2", square: "trace2" }),
        ("fro2", Taken::Median),
        ("trace", Taken::Median),
    ],
    shown: &[("nasym", "nasym"), ("fro2", "|J|²"), ("trace", "tr J"), ("trace2", "tr J²")],
    figures: &[Figure::new("nasym", "nasym by sample", "|J − J′|² / 4|J|²")],
    matrices: None,
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
    Shown { heading: "nasym",   column: "nasym",      quartiles: true },
    Shown { heading: "|J|^2",   column: "fro2",       quartiles: false },
    Shown { heading: "tr J",    column: "trace",      quartiles: false },
    Shown { heading: "tr J^2",  column: "trace2",     quartiles: false },
    Shown { heading: "error",   column: "error",      quartiles: false },
    Shown { heading: "arithm.", column: "arithmetic", quartiles: false },
];

/// nasym of all samples together, E|J - J'|^2 / (4 E|J|^2), and its standard error over the samples;
/// over those where it is finite.
pub fn pooled(table: &Table, timestep: usize) -> Result<(f64, f64)> {
    let (fro2, trace2) = (samples(table, "fro2", timestep)?, samples(table, "trace2", timestep)?);
    let finite = fro2.iter().copied().zip(trace2.iter().copied()).filter(|(f, t)| f.is_finite() && t.is_finite());
    let (fro2, trace2): (Vec<f64>, Vec<f64>) = finite.unzip();
    let n = fro2.len() as f64;
    let size: f64 = fro2.iter().sum::<f64>() / n;
    let nasym = (size - trace2.iter().sum::<f64>() / n) / (2.0 * size);
    let left = fro2.iter().zip(&trace2).map(|(f, t)| (f - t - 2.0 * nasym * f) / (2.0 * size));
    Ok((nasym, (left.map(|v| v * v).sum::<f64>() / (n - 1.0) / n).sqrt()))
}

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES,
    SEED,
    TIMESTEPS,
    Parameter::new(
        "probes",
        Kind::Text,
        "Random tangents per sample and timestep, or `all`: every unit vector, which is exact and takes D of them",
    )
    .or("16"),
    Parameter::new(
        "verify",
        Kind::Count,
        "Probes, spread over the run, to repeat in f64 on the host, for the arithmetic error",
    )
    .or("4"),
];

/// What to measure.
#[derive(Clone, Debug)]
pub struct AsymmetryOptions {
    /// Where.
    pub selection: Selection,
    /// Random tangents per sample and timestep, at least 2; none for all D unit vectors, which is exact.
    pub probes: Option<usize>,
    /// Probes, spread over the run, that the f64 twin computes again.
    pub verified: usize,
}

/// 16 probes at 256 samples.
impl Default for AsymmetryOptions {
    fn default() -> Self {
        let selection = Selection { timesteps: (1..1000).step_by(10).collect(), samples: 256, seed: 0 };
        Self { selection, probes: Some(16), verified: 4 }
    }
}

/// What one tangent says: |J v|^2, v.J v, v.J(J v).
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Probe {
    fro2: f64,
    trace: f64,
    trace2: f64,
}

impl Probe {
    fn nasym(&self) -> f64 {
        (self.fro2 - self.trace2) / (2.0 * self.fro2)
    }
}

impl Task for AsymmetryOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Asymmetry
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        self.selection.check(subject, shard)?;
        let count = self.count(subject.dim());
        if count < 2 {
            return Err(Error::invalid("probes", format!("{count}, expected at least 2: their spread is the error")));
        }
        let places = self.selection.timesteps.len() * self.selection.samples;
        let probes = self.probes.map_or("all".into(), |n| n.to_string());
        let options = json!({ "probes": probes, "verified_probes": self.verified });
        self.selection.ready(
            subject,
            shard,
            (lanes(2, places, count), self.verified.saturating_mul(2)),
            options,
            move |p| self.part(subject, shard, p),
        )
    }
}

impl AsymmetryOptions {
    /// Tangents per sample and timestep.
    fn count(&self, dim: usize) -> usize {
        self.probes.unwrap_or(dim)
    }

    fn tangent(&self, dim: usize, sample: usize, k: usize, j: usize) -> Vec<f32> {
        match self.probes {
            Some(_) => self.selection.probe(sample, k, j, dim),
            None => unit(dim, j),
        }
    }

    fn part(&self, subject: &Subject, shard: Shard, progress: &mut Progress) -> Result<Part> {
        let (d, selection) = (subject.dim(), &self.selection);
        let count = self.count(d);
        let samples = shard.count(selection.samples);
        let mut derivatives = Derivatives::new(subject.gpu(), &subject.field, &selection.timesteps, samples, count)?;
        let mut probes: Vec<Probe> = progress.recorded(selection.places(shard), count)?;
        for batch in selection.batches(shard, probes.len() / count, derivatives.batch()) {
            let found = self.batch(subject, &batch, &mut derivatives, progress)?;
            progress.keep(batch.first, batch.samples.len(), &found)?;
            probes.extend(found);
        }
        let rows: Vec<Row> = probes.chunks_exact(count).map(|p| Row::of(p, self.probes.is_none())).collect();
        let picks = selection.picks(shard, self.verified);
        let worst = progress.worst(self.verified, &picks, |&Pick { place, k, sample, share }| {
            let j = (share * count as f64) as usize;
            let (v, Noisy { x, .. }) = (self.tangent(d, sample, k, j), selection.noisy(subject, sample, k)?);
            let twin = by_twin(subject.field.as_ref(), &x, &v, (k, sample))?;
            let got = &probes[place * count + j];
            // A unit vector's own share can be far from the whole's: differences are in units of that vector's |J v|^2.
            let gap = ((got.fro2 - twin.fro2).abs() + (got.trace2 - twin.trace2).abs()) / (2.0 * twin.fro2);
            // |v| |J v| is the most that v.J v can be.
            let trace = (got.trace - twin.trace).abs() / (dot(&v, &v) * twin.fro2).sqrt();
            Ok(gap.max(trace).max((got.nasym() - twin.nasym()).abs()))
        })?;
        let facts = json!({ "probes": count, "exact": self.probes.is_none(), "dimensions": d });
        selection.part(&Asymmetry, subject, shard, &rows, worst, facts)
    }

    /// What the tangents of a batch say: J v of each, then J(J v).
    fn batch(
        &self,
        subject: &Subject,
        batch: &Batch,
        derivatives: &mut Derivatives,
        progress: &mut Progress,
    ) -> Result<Vec<Probe>> {
        let d = subject.dim();
        let count = self.count(d);
        let (x, at) = (self.selection.points(subject, batch)?, batch.at());
        let own = |point: usize, j: usize| self.tangent(d, batch.samples[point], batch.k, j);
        let mut found = vec![Probe::default(); batch.samples.len() * count];
        let mut jv = vec![0f32; batch.samples.len() * count * d];
        derivatives.run(
            &x,
            &at,
            count,
            |point, j, v| v.copy_from_slice(&own(point, j)),
            |point, j, row| {
                let at = point * count + j;
                found[at] = Probe { fro2: dot(row, row), trace: dot(&own(point, j), row), trace2: 0.0 };
                jv[at * d..(at + 1) * d].copy_from_slice(row);
            },
            progress,
        )?;
        derivatives.run(
            &x,
            &at,
            count,
            |point, j, v| v.copy_from_slice(&jv[(point * count + j) * d..][..d]),
            |point, j, row| found[point * count + j].trace2 = dot(&own(point, j), row),
            progress,
        )?;
        Ok(found)
    }
}

/// The same products in f64.
fn by_twin(field: &dyn Field, x: &[f32], v: &[f32], (k, sample): (usize, usize)) -> Result<Probe> {
    let jv: Vec<f64> = field.twin(&Dual::along(x, v), k, sample)?.iter().map(|y| y.d).collect();
    let onward: Vec<Dual> = x.iter().zip(&jv).map(|(&x, &d)| Dual::new(f64::from(x), d)).collect();
    let jjv = field.twin(&onward, k, sample)?;
    let with_v = |of: &mut dyn Iterator<Item = f64>| of.zip(v).map(|(y, &v)| y * f64::from(v)).sum::<f64>();
    Ok(Probe {
        fro2: jv.iter().map(|y| y * y).sum(),
        trace: with_v(&mut jv.iter().copied()),
        trace2: with_v(&mut jjv.iter().map(|y| y.d)),
    })
}

impl Measure for Asymmetry {
    fn info(&self) -> &'static MeasureInfo {
        &INFO
    }

    fn columns(&self) -> Vec<About> {
        rows::abouts(COLUMNS)
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn task(&self, asked: &Settings, _: &Subject) -> Result<Box<dyn Task>> {
        let (selection, probes) = (Selection::asked(asked)?, parse_probes(asked.text("probes")?)?);
        Ok(Box::new(AsymmetryOptions { selection, probes, verified: asked.count("verify")? }))
    }

    fn finish(&self, part: Part) -> Result<Table> {
        rows::table::<Row>(part, COLUMNS, |row, worst| row.arithmetic = worst, &[])
    }

    /// The table, and the range of the pooled nasym.
    fn text(&self, table: &Table) -> Result<String> {
        let mut text = timesteps::text(table, SHOWN)?;
        let (ks, _) = levels(table)?;
        let mut all = (0..ks.len()).map(|t| Ok((ks[t], pooled(table, t)?))).collect::<Result<Vec<_>>>()?;
        all.sort_by(|a, b| a.1.0.total_cmp(&b.1.0));
        if let [(low, from), .., (high, to)] = all[..] {
            let _ = writeln!(
                text,
                "All samples together: nasym from {} ± {} at k = {low} to {} ± {} at k = {high} (± over samples).",
                number(from.0),
                number(from.1),
                number(to.0),
                number(to.1)
            );
        }
        text += &timesteps::verdicts(table)?;
        text += "nasym = |J-J'|²/(4|J|²): 0 for a gradient, 1 for an antisymmetric Jacobian.\n";
        Ok(text)
    }

    /// JSON, one object per timestep.
    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        let mut rows = timesteps::rows(table, SHOWN)?;
        for (t, row) in rows.iter_mut().enumerate() {
            let (nasym, error) = pooled(table, t)?;
            row["pooled"] = json!({ "nasym": nasym, "standard_error": error });
        }
        Ok(rows)
    }

    #[cfg(feature = "cli")]
    fn plots(&self, table: &Table, about: &str) -> Result<crate::run::Plots> {
        let (title, label) = ("Asymmetry of the whole Jacobian", "|J − Jᵀ|² / 4|J|²  (scale-free)");
        Ok(vec![("plots/nasym.svg", timesteps::boxes(table, &SHOWN[0], title, label, about)?)])
    }
}
