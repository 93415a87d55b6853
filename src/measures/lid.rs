//! Local intrinsic dimension (FLIPD, arXiv 2406.03537): `lid = D + sigma^2 (tr J + |s|^2)` at the clean sample, x = a x_0 without
//! noise. For N(0, C) with C of rank d it tends to d as sigma -> 0. In: a subject, options. Out: the run's table; text, JSON rows.
use super::rows::{self, Column};
use crate::diagnostics::{Batch, Derivatives, Divergence, PROBES, Pick, Selection, dot, lanes};
use crate::dual::Dual;
use crate::error::Result;
use crate::run::{
    About, Applied, Claim, Figure, Kind, MeanOf, Measure, MeasureInfo, Parameter, Part, Progress, Ready, Rule, SAMPLE,
    SAMPLES, SEED, Settings, Shard, Subject, TIMESTEP, TIMESTEPS, Table, Taken, Task,
};
use crate::summary::timesteps::{self, Shown, samples};
use crate::summary::{stats, verdict};
use serde_json::{Value, json};

/// The measure.
pub struct Lid;

/// What is known of one sample at one timestep.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Row {
    /// Value and standard error.
    trace: [f64; 2],
    /// |s|^2
    square: f64,
    /// |J|^2, of which the trace's arithmetic error is a share.
    fro2: f64,
    sigma: f64,
    dimensions: f64,
    arithmetic: f64,
    /// Of the vectors of this place that were repeated.
    checked: Checked,
}

/// What the f64 twin found: max |v.J v - f64| / (|v| |J v|), and max sigma |s - f64|. NaN where nothing was repeated.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Checked {
    trace: f64,
    score: f64,
}

impl Checked {
    const NOTHING: Checked = Checked { trace: f64::NAN, score: f64::NAN };

    fn max(self, other: Checked) -> Checked {
        Checked { trace: self.trace.max(other.trace), score: self.score.max(other.score) }
    }
}

impl Row {
    fn lid(&self) -> f64 {
        self.dimensions + self.sigma * self.sigma * (self.trace[0] + self.square)
    }

    fn error(&self) -> f64 {
        self.sigma * self.sigma * self.trace[1]
    }

    /// Takes what the f64 twin found at some places to hold for this one: v.J v is off by a share of |v| |J v|, so the trace by that
    /// share of sqrt(D) |J|; sigma s by g, so its square by 2 sigma |s| g + g^2.
    fn settle(&mut self, worst: Checked) {
        let trace = self.sigma * self.sigma * worst.trace * (self.dimensions * self.fro2).sqrt();
        let score = 2.0 * self.sigma * self.square.sqrt() * worst.score + worst.score * worst.score;
        self.arithmetic = trace + score;
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
const COLUMNS: &[Column<Row>] = &[
    (About::new("lid",        "D + sigma^2 (tr J + |s|^2)", "1",         "local intrinsic dimension at the clean sample"),       Row::lid),
    (About::new("lid_se",     "sigma^2 times the standard error of tr J", "1", "error; 0 where the trace is exact"),            Row::error),
    (About::new("trace",      "tr J",                       "nat/x^2",   "divergence of the score there"),                       |r| r.trace[0]),
    (About::new("square",     "|s|^2",                      "nat^2/x^2", "squared size of the score there"),                     |r| r.square),
    (About::new("arithmetic", "sigma^2 sqrt(D) |J| max |v.J v - f64| / (|v| |J v|) + 2 sigma |s| g + g^2, g = max sigma |s - f64|", "1", "error: tangents recomputed in f64"), |r| r.arithmetic),
];

/// Which errors apply to what.
const RULES: &[Rule] = &[Rule {
    statistics: &["lid"],
    errors: &[
        Applied::always("lid_se", |at| at.get("lid_se")),
        Applied::always("arithmetic", |at| at.get("arithmetic")),
    ],
}];

static INFO: MeasureInfo = MeasureInfo {
    name: "lid",
    help: "Estimate the local intrinsic dimension of the data at clean samples: D + sigma^2 (tr J + |s|^2) (FLIPD).",
    title: "Local intrinsic dimension",
    prose: "How many directions the data have around a clean sample, at the scale of the noise σ: D + σ²(tr J + |s|²). Of data on \
            a surface of dimension d it tends to d as σ → 0.",
    source: "FLIPD, arXiv 2406.03537",
    axes: &[TIMESTEP, SAMPLE],
    marked: "lid",
    headline: "lid",
    claim: Claim::new("the local dimension is known"),
    rules: RULES,
    mean: Some(MeanOf {
        name: "mean lid",
        formula: "E[D + sigma^2 (tr J + |s|^2)]",
        unit: "1",
        column: "lid",
        of: mean,
        scaled: false,
        caption: "Bars: three standard errors over the samples.",
    }),
    compared: &[("lid", Taken::Median), ("lid", Taken::Mean)],
    shown: &[("lid", "lid"), ("trace", "tr J"), ("square", "|s|²")],
    figures: &[Figure::new("lid", "lid by sample", "D + σ²(tr J + |s|²)")],
    matrices: None,
    pictures: None,
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
    Shown { heading: "lid",     column: "lid",        quartiles: true },
    Shown { heading: "probes",  column: "lid_se",     quartiles: false },
    Shown { heading: "tr J",    column: "trace",      quartiles: false },
    Shown { heading: "|s|^2",   column: "square",     quartiles: false },
    Shown { heading: "arithm.", column: "arithmetic", quartiles: false },
];

/// Mean over the samples where it is finite, and its standard error, which the probes' is part of.
fn mean(table: &Table, timestep: usize) -> Result<(f64, f64)> {
    let values = samples(table, "lid", timestep)?.iter().copied().filter(|v| v.is_finite());
    Ok(stats::mean(&values.collect::<Vec<f64>>()))
}

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES,
    SEED,
    TIMESTEPS.or("1..302:50"),
    Parameter {
        help: "Random tangents for the trace (Hutchinson), or `all` for the exact one [default: all up to 256 dimensions, else 16]",
        ..PROBES
    },
    Parameter::new(
        "verify",
        Kind::Count,
        "Tangents, spread over the run, to repeat in f64 on the host, for the arithmetic error",
    )
    .or("4")
    .checking(),
];

/// What to measure.
#[derive(Clone, Debug)]
pub struct LidOptions {
    /// Where; no noise is added there.
    pub selection: Selection,
    /// How tr J is found.
    pub divergence: Divergence,
    /// Tangents, spread over the run, that the f64 twin computes again.
    pub verified: usize,
}

impl Task for LidOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Lid
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        self.selection.check(subject, shard)?;
        subject.field.require_score("lid")?;
        self.divergence.check()?;
        let places = self.selection.timesteps.len() * self.selection.samples;
        let lanes = lanes(1, places, self.divergence.tangents(subject.dim()));
        let options = json!({ "divergence": self.divergence.name(), "verified_tangents": self.verified });
        let run = move |p: &mut Progress| self.part(subject, shard, p);
        self.selection.ready(subject, shard, (lanes, self.verified), options, run)
    }
}

/// Of a vector: v.J v and |J v|^2.
const PRODUCTS: usize = 2;

impl LidOptions {
    fn tangent(&self, dim: usize, sample: usize, k: usize, j: usize) -> Vec<f32> {
        self.divergence.tangent(dim, j, || self.selection.probe(sample, k, j, dim))
    }

    /// a x_0 of a sample.
    fn clean(subject: &Subject, sample: usize, k: usize) -> Result<Vec<f32>> {
        let (a, _) = subject.field.process().noise(k)?;
        let d = subject.dim();
        let own = &subject.images.values[sample * d..(sample + 1) * d];
        Ok(own.iter().map(|&v| (a * f64::from(v)) as f32).collect())
    }

    fn part(&self, subject: &Subject, shard: Shard, progress: &mut Progress) -> Result<Part> {
        let (d, selection) = (subject.dim(), &self.selection);
        let count = self.divergence.tangents(d);
        let samples = shard.count(selection.samples);
        let mut derivatives = Derivatives::new(subject.gpu(), &subject.field, &selection.timesteps, samples, count)?;
        // Of every place: s, and the products of every vector.
        let each = d + PRODUCTS * count;
        let mut all: Vec<f64> = progress.recorded(selection.places(shard), each)?;
        for batch in selection.batches(shard, all.len() / each, derivatives.batch()) {
            self.batch(subject, &batch, &mut derivatives, &mut all, progress)?;
        }
        let mut rows = vec![];
        for (place, found) in all.chunks_exact(each).enumerate() {
            let sigma = subject.field.process().noise(selection.timesteps[place / samples])?.1;
            let (s, products) = found.split_at(d);
            let every = |i: usize| products.iter().skip(i).step_by(PRODUCTS).copied();
            let trace = self.divergence.of_products(&every(0).collect::<Vec<_>>()).into();
            let share = if self.divergence == Divergence::Exact { 1.0 } else { count as f64 };
            rows.push(Row {
                trace,
                square: s.iter().map(|s| s * s).sum(),
                fro2: every(1).sum::<f64>() / share,
                sigma,
                dimensions: d as f64,
                arithmetic: f64::NAN,
                checked: Checked::NOTHING,
            });
        }
        let picks = selection.picks(shard, self.verified);
        let check = |&Pick { place, k, sample, share }: &Pick, _: &()| {
            let j = (share * count as f64) as usize;
            let (v, x) = (self.tangent(d, sample, k, j), Self::clean(subject, sample, k)?);
            let twin = subject.field.twin(&Dual::along(&x, &v), k, sample)?;
            let (s, products) = all[place * each..(place + 1) * each].split_at(d);
            let along: f64 = twin.iter().zip(&v).map(|(y, &v)| y.d * f64::from(v)).sum();
            let size = twin.iter().map(|y| y.d * y.d).sum::<f64>() * dot(&v, &v);
            let off: f64 = twin.iter().zip(s).map(|(y, s)| (y.v - s) * (y.v - s)).sum();
            Ok(Checked {
                trace: (products[PRODUCTS * j] - along).abs() / size.sqrt().max(f64::MIN_POSITIVE),
                score: rows[place].sigma * off.sqrt(),
            })
        };
        let checked = progress.checks(subject.field.twins_at_once(), &picks, |_| Ok(()), check)?;
        for (pick, found) in picks.iter().zip(checked) {
            rows[pick.place].checked = rows[pick.place].checked.max(found);
        }
        let facts = json!({ "divergence": self.divergence.name(), "dimensions": d });
        selection.part(&Lid, subject, shard, &rows, f64::NAN, facts)
    }

    /// Of every sample of a batch: s, and the products of every vector, recorded and appended to `all`.
    fn batch(
        &self,
        subject: &Subject,
        batch: &Batch,
        derivatives: &mut Derivatives,
        all: &mut Vec<f64>,
        progress: &mut Progress,
    ) -> Result<()> {
        let (d, k, own) = (subject.dim(), batch.k, &batch.samples);
        let count = self.divergence.tangents(d);
        let lanes = derivatives.lanes(count);
        let x = own.iter().map(|&sample| Self::clean(subject, sample, k)).collect::<Result<Vec<_>>>()?.concat();
        derivatives.reduce(
            (&x, &batch.at(), count),
            &vec![[0f64; PRODUCTS]; count],
            |point, j, v| v.copy_from_slice(&self.tangent(d, own[point], k, j)),
            |products, point, j, jv| {
                let v = self.tangent(d, own[point], k, j);
                products[j] = [dot(&v, jv), dot(jv, jv)];
            },
            |progress, point, products, s| {
                let found: Vec<f64> = s.iter().map(|&s| f64::from(s)).chain(products.concat()).collect();
                progress.keep_one(batch.first + point, lanes, &found)?;
                all.extend(found);
                Ok(())
            },
            progress,
        )
    }
}

impl Measure for Lid {
    fn info(&self) -> &'static MeasureInfo {
        &INFO
    }

    fn columns(&self) -> Vec<About> {
        rows::abouts(COLUMNS)
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn task(&self, asked: &Settings, subject: &Subject) -> Result<Box<dyn Task>> {
        Ok(Box::new(LidOptions {
            selection: Selection::asked(asked)?,
            divergence: Divergence::asked(asked.text_if(PROBES.name), subject.dim())?,
            verified: asked.count("verify")?,
        }))
    }

    fn finish(&self, part: Part) -> Result<Table> {
        let settle = |rows: &mut [Row]| {
            let worst = rows.iter().map(|row| row.checked).fold(Checked::NOTHING, Checked::max);
            rows.iter_mut().for_each(|row| row.settle(worst));
        };
        rows::table_of(part, COLUMNS, settle, &[])
    }

    fn text(&self, table: &Table) -> Result<String> {
        let text = timesteps::text(table, SHOWN)? + &verdict::text(table)?;
        let said = "lid = D + sigma²(tr J + |s|²) at a x_0: the dimensions that the data have there, seen at the scale of sigma.\n";
        Ok(text + said)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        let mut rows = timesteps::rows(table, SHOWN)?;
        for (t, row) in rows.iter_mut().enumerate() {
            let (mean, error) = mean(table, t)?;
            row["mean_lid"] = json!({ "value": mean, "standard_error": error });
        }
        Ok(rows)
    }
}
