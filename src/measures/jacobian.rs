//! The full Jacobian J_ab = d s_a / d x_b of a field in few dimensions, by columns or by rows. In: a subject, where to look. Out: the
//! run's table, with the matrices in it; text and JSON rows.
use super::curl::of_ratio;
use super::rows::{self, Column};
use crate::diagnostics::{
    Derivatives, Noisy, Pick, SIDES, Selection, Sides, check_matrices, finite, lanes, largest, unit,
};
use crate::dual::Dual;
use crate::error::Result;
use crate::run::{
    About, Applied, Claim, Figure, Kind, Matrices, Measure, MeasureInfo, Numbers, Parameter, Part, PartArray, Progress,
    Ready, Rule, SAMPLE, SAMPLES, SEED, Settings, Shard, Subject, TIMESTEP, TIMESTEPS, Table, Taken, Task, worst,
};
use crate::summary::timesteps::{self, Shown};
use crate::summary::verdict;
use serde_json::{Value, json};

/// The measure.
pub struct Jacobian;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Row {
    nasym: f64,
    fro2: f64,
    trace: f64,
    trace2: f64,
    asymmetry: f64,
    /// max |J|, the unit of the arithmetic error.
    largest: f64,
    arithmetic: f64,
}

impl Row {
    /// Of a matrix; NaN where it is not finite.
    fn of(block: &[f32], d: usize) -> Self {
        let at = |a: usize, b: usize| f64::from(block[a * d + b]);
        if !finite(block) {
            let nan = f64::NAN;
            return Row {
                nasym: nan,
                fro2: nan,
                trace: nan,
                trace2: nan,
                asymmetry: nan,
                largest: nan,
                arithmetic: nan,
            };
        }
        let largest = block.iter().fold(f64::MIN_POSITIVE, |most, &v| f64::from(v.abs()).max(most));
        let mut row =
            Row { nasym: 0.0, fro2: 0.0, trace: 0.0, trace2: 0.0, asymmetry: 0.0, largest, arithmetic: f64::NAN };
        let mut asymmetric = 0.0;
        for a in 0..d {
            row.trace += at(a, a);
            for b in 0..d {
                let gap = at(a, b) - at(b, a);
                row.fro2 += at(a, b) * at(a, b);
                row.trace2 += at(a, b) * at(b, a);
                row.asymmetry = row.asymmetry.max(gap.abs());
                asymmetric += gap * gap;
            }
        }
        row.nasym = asymmetric / (4.0 * row.fro2);
        row
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
const COLUMNS: &[Column<Row>] = &[
    (About::new("nasym",         "|J - J'|^2 / (4 |J|^2)", "1",         "0 for a gradient, 1 for an antisymmetric Jacobian"), |r| r.nasym),
    (About::new("fro2",          "|J|^2, Frobenius",       "nat^2/x^4", "squared size of the Jacobian"),                      |r| r.fro2),
    (About::new("trace",         "tr J",                   "nat/x^2",   "divergence of the field"),                           |r| r.trace),
    (About::new("trace2",        "tr J^2",                 "nat^2/x^4", "equals fro2 for a symmetric Jacobian"),              |r| r.trace2),
    (About::new("asymmetry_max", "max |J_ab - J_ba|",      "nat/x^2",   "largest difference of two entries"),                 |r| r.asymmetry),
    (About::new("arithmetic",    "max |J| max |J_ab - f64| / max |J|", "nat/x^2", "error of an entry: columns recomputed in f64"), |r| r.arithmetic),
];

/// Which errors apply to what. `arithmetic` is that of an entry.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { statistics: &["asymmetry_max"], errors: &[Applied::always("arithmetic", |at| 2.0 * at.get("arithmetic"))] },
    Rule { statistics: &["nasym"], errors: &[Applied::always("arithmetic", |at| {
        of_ratio(at.get("nasym"), 2.0 * at.get("arithmetic") * at.fact("dimensions"), at.get("fro2").sqrt())
    })] },
    Rule { statistics: &["fro2", "trace2"], errors: &[Applied::always("arithmetic", |at| {
        2.0 * at.get("arithmetic") * at.fact("dimensions") * at.get("fro2").sqrt()
    })] },
    Rule { statistics: &["trace"], errors: &[
        Applied::always("arithmetic", |at| at.get("arithmetic") * at.fact("dimensions")),
    ] },
];

static INFO: MeasureInfo = MeasureInfo {
    name: "jacobian",
    help: "Write the score's full Jacobian, D x D, at noisy samples: for few dimensions.",
    title: "Full Jacobians",
    prose: "All of J_ab = ∂s_a/∂x_b at noisy samples, in few dimensions. It is symmetric for a gradient.",
    source: "a gradient's Jacobian is symmetric (Schwarz)",
    axes: &[TIMESTEP, SAMPLE],
    marked: "fro2",
    headline: "asymmetry_max",
    claim: Claim::new("the Jacobian is asymmetric"),
    rules: RULES,
    mean: None,
    compared: &[
        ("asymmetry_max", Taken::Median),
        ("nasym", Taken::Median),
        ("fro2", Taken::Median),
        ("trace", Taken::Median),
    ],
    shown: &[("asymmetry_max", "max |J_ab − J_ba|"), ("nasym", "|J − J′|²/4|J|²"), ("fro2", "|J|²"), ("trace", "tr J")],
    figures: &[
        Figure::new("asymmetry_max", "Largest difference of two entries", "max |J_ab − J_ba|  (nat/x²)"),
        Figure::new("nasym", "Share of the antisymmetric part", "|J − J′|² / 4|J|²"),
    ],
    matrices: Some(Matrices { difference: "asymmetry_max", components: false }),
    pictures: None,
};

/// What the table shows.
#[rustfmt::skip]
const SHOWN: &[Shown] = &[
    Shown { heading: "nasym",       column: "nasym",         quartiles: true },
    Shown { heading: "|J|^2",       column: "fro2",          quartiles: false },
    Shown { heading: "tr J",        column: "trace",         quartiles: false },
    Shown { heading: "tr J^2",      column: "trace2",        quartiles: false },
    Shown { heading: "max dJ",      column: "asymmetry_max", quartiles: false },
    Shown { heading: "arithm.",     column: "arithmetic",    quartiles: false },
];

/// What it can be asked.
const PARAMETERS: &[Parameter] = &[
    SAMPLES,
    SEED,
    TIMESTEPS.or("1..1000:100"),
    SIDES,
    Parameter::new(
        "verify",
        Kind::Count,
        "Columns, spread over the run, to repeat in f64 on the host, for the arithmetic error",
    )
    .or("4")
    .checking(),
];

/// What to measure.
#[derive(Clone, Debug)]
pub struct JacobianOptions {
    /// Where.
    pub selection: Selection,
    /// By which side; `Sides::of` says what suits a field.
    pub sides: Sides,
    /// Columns, spread over the run, that the f64 twin computes again.
    pub verified: usize,
}

/// The whole Jacobian by columns, at ten timesteps of 256 samples.
impl Default for JacobianOptions {
    fn default() -> Self {
        let selection = Selection { timesteps: (1..1000).step_by(100).collect(), samples: 256, seed: 0 };
        Self { selection, sides: Sides::Columns, verified: 4 }
    }
}

impl Task for JacobianOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Jacobian
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        let selection = &self.selection;
        selection.check(subject, shard)?;
        self.sides.require(subject.field.as_ref())?;
        check_matrices(selection.places(shard), subject.dim())?;
        let lanes = lanes(1, selection.timesteps.len() * selection.samples, subject.dim());
        let options = json!({ "verified_columns": self.verified, "sides": self.sides.name() });
        selection.ready(subject, shard, (lanes, self.verified), options, move |p| self.part(subject, shard, p))
    }
}

impl JacobianOptions {
    fn part(&self, subject: &Subject, shard: Shard, progress: &mut Progress) -> Result<Part> {
        let (d, selection) = (subject.dim(), &self.selection);
        let samples = shard.count(selection.samples);
        let (ks, sides) = (&selection.timesteps, self.sides);
        let mut derivatives = Derivatives::of_sides(subject.gpu(), &subject.field, ks, (samples, d), sides)?;
        let lanes = derivatives.lanes(d);
        let mut all: Vec<f32> = progress.recorded(selection.places(shard), d * d)?;
        for batch in selection.batches(shard, all.len() / (d * d), derivatives.batch()) {
            derivatives.reduce(
                (&selection.points(subject, &batch)?, &batch.at(), d),
                &vec![0f32; d * d],
                |_, j, v| v[j] = 1.0,
                |block, _, j, product| {
                    for (i, &v) in product.iter().enumerate() {
                        let [a, b] = sides.entry(i, j);
                        block[a * d + b] = v;
                    }
                },
                |progress, point, block, _| {
                    progress.keep_one(batch.first + point, lanes, &block)?;
                    all.extend(block);
                    Ok(())
                },
                progress,
            )?;
        }
        let rows: Vec<Row> = all.chunks_exact(d * d).map(|block| Row::of(block, d)).collect();
        let picks = selection.picks(shard, self.verified);
        let check = |&Pick { place, k, sample, share }: &Pick, _: &()| {
            let j = (share * d as f64) as usize;
            let Noisy { x, .. } = selection.noisy(subject, sample, k)?;
            let block = &all[place * d * d..(place + 1) * d * d];
            let twin = subject.field.twin(&Dual::along(&x, &unit(d, j)), k, sample)?;
            let gap = |(a, twin): (usize, &Dual)| (f64::from(block[a * d + j]) - twin.d).abs() / rows[place].largest;
            Ok(largest(twin.iter().enumerate().map(gap)))
        };
        let found = progress.checks(subject.field.twins_at_once(), &picks, |_| Ok(()), check)?;
        let worst = worst(self.verified, &found);
        let mut part = selection.part(&Jacobian, subject, shard, &rows, worst, json!({ "dimensions": d }))?;
        let shape = vec![selection.timesteps.len(), samples, d, d];
        part.arrays.push(PartArray { name: "jacobian".into(), shape, axis: Some(1), values: Numbers::F32(all) });
        Ok(part)
    }
}

impl Measure for Jacobian {
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
        let sides = Sides::asked(asked.text(SIDES.name)?, subject.field.as_ref());
        Ok(Box::new(JacobianOptions { selection: Selection::asked(asked)?, sides, verified: asked.count("verify")? }))
    }

    fn finish(&self, part: Part) -> Result<Table> {
        rows::table::<Row>(part, COLUMNS, |row, worst| row.arithmetic = worst * row.largest, &["jacobian"])
    }

    fn text(&self, table: &Table) -> Result<String> {
        let text = timesteps::text(table, SHOWN)? + &verdict::text(table)?;
        let said =
            "nasym = |J-J'|²/(4|J|²): 0 for a gradient, 1 for an antisymmetric Jacobian; max dJ: largest |Jab-Jba|.\n";
        Ok(text + said)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Value>> {
        timesteps::rows(table, SHOWN)
    }
}
