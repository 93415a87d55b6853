//! The points that measures of derivatives look at: x_t = a x_0 + sigma eps of the first samples at every timestep,
//! where all paths start too. In: a subject, a seed. Out: points and their noise, made in f64 on the host; and
//! what all such measures have in common around them: settings, a measurement that is ready, a part.
use crate::data::Images;
use crate::error::{Error, Result};
use crate::paths::philox::{Purpose, Stream};
use crate::paths::{self, Anchor};
use crate::run::{
    Cost, Measure, Measured, Numbers, Part, PartArray, Progress, Ready, SAMPLES, SEED, Settings, Shard, Subject,
    TIMESTEPS, Whose,
};
use crate::shape::Shape;
use bytemuck::Pod;
use serde_json::{Value, json};

/// The array of a part that has what is known at each place of the table.
pub(crate) const ROWS: &str = "rows";

/// Where a measure of derivatives looks.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Strictly increasing.
    pub timesteps: Vec<usize>,
    /// The first this many images.
    pub samples: usize,
    /// Key of all randomness.
    pub seed: u64,
}

/// About `count` points spread over all of so many places and all parts of them: a place, and a share of its way.
pub(crate) fn spread(places: usize, count: usize) -> Vec<(usize, f64)> {
    let pick = |j: usize| {
        let nth = (2 * j + 1) as f64 / (2 * count) as f64;
        // The golden ratio's multiples visit every part of a place, whatever the stride over the places.
        ((nth * places as f64) as usize, (j as f64 * 0.618_033_988_749_894_9).fract())
    };
    (0..count).map(pick).collect()
}

/// Refuses what does not fit the data or the field's shape.
pub(crate) fn check(images: &Images, shape: Shape, samples: usize, timesteps: &[usize]) -> Result<()> {
    if images.shape != shape {
        let found = images.shape;
        return Err(Error::invalid("data", format!("images are {found}, the field takes {shape}")));
    }
    if samples == 0 || samples > images.count {
        return Err(Error::invalid("samples", format!("{samples}, expected 1..={}", images.count)));
    }
    if timesteps.is_empty() || !timesteps.is_sorted_by(|a, b| a < b) {
        return Err(Error::invalid("timesteps", "expected at least one, strictly increasing"));
    }
    Ok(())
}

/// Evaluations of the f64 twin that a run may have: the list of them is held in memory.
const MOST_CHECKS: usize = 1 << 20;

/// Evaluations of `fields` fields at so many places with so many tangents each, a sample's value counted once however many
/// tangents fit at a time. What no number holds is refused later, by the device.
pub(crate) fn lanes(fields: u64, places: usize, tangents: usize) -> u64 {
    (tangents as u64).saturating_add(1).saturating_mul(places as u64).saturating_mul(fields)
}

/// Bytes of matrices, or of pictures, that a run may hold.
const MATRICES: u64 = 4 << 30;

/// Refuses more matrices of n x n f32 than fit.
pub(crate) fn check_matrices(count: usize, n: usize) -> Result<()> {
    let bytes = 4.0 * count as f64 * (n as f64).powi(2);
    if bytes <= MATRICES as f64 {
        return Ok(());
    }
    let most = MATRICES as f64 / 1e9;
    let found = format!("{count} of {n} x {n} are {:.1} GB, at most {most:.1}", bytes / 1e9);
    Err(Error::invalid("matrices", format!("{found}: take fewer samples, timesteps or components")))
}

/// Refuses more pictures of d numbers than fit.
pub(crate) fn check_pictures(count: usize, d: usize) -> Result<()> {
    let bytes = 4.0 * count as f64 * d as f64;
    if bytes <= MATRICES as f64 {
        return Ok(());
    }
    let found = format!("{count} of {d} numbers are {:.1} GB, at most {:.1}", bytes / 1e9, MATRICES as f64 / 1e9);
    Err(Error::invalid("pictures", format!("{found}: take fewer samples or timesteps")))
}

/// x_t and the noise that made it.
pub(crate) struct Noisy {
    pub x: Vec<f32>,
    pub eps: Vec<f64>,
}

impl Selection {
    /// Where the settings that all such measures have look.
    pub(crate) fn asked(asked: &Settings) -> Result<Self> {
        let (samples, seed) = (asked.count(SAMPLES.name)?, asked.count(SEED.name)? as u64);
        Ok(Selection { timesteps: asked.timesteps(TIMESTEPS.name)?, samples, seed })
    }

    /// A measurement of all that is selected, ready to run: `lanes` are the evaluations of all samples, `options` what the
    /// manifest says of them.
    pub(crate) fn ready<'a>(
        &self,
        subject: &'a Subject,
        shard: Shard,
        (lanes, checks): (u64, usize),
        options: Value,
        run: impl FnOnce(&mut Progress) -> Result<Part> + Send + 'a,
    ) -> Result<Ready<'a>> {
        shard.check(self.samples)?;
        // A sample without a condition is found now, not on the way.
        (0..self.samples).try_for_each(|sample| subject.field.condition(sample).map(drop))?;
        if checks > MOST_CHECKS {
            return Err(Error::invalid("verify", format!("{checks} checks in f64, expected at most {MOST_CHECKS}")));
        }
        let own = shard.count(self.samples);
        let evaluations = lanes / self.samples as u64 * own as u64;
        let cost = Cost { evaluations, checks: checks.div_ceil(shard.of()), ..Cost::default() };
        let run = move |progress: &mut Progress| {
            let part = run(progress)?;
            Ok(Measured {
                part: Part { origin: progress.origin.take(), ..part },
                evaluations: progress.done,
                devices: None,
            })
        };
        let shape = subject.field.shape();
        Ok(Ready {
            facts: json!({ "seed": self.seed, "options": options }),
            decides: json!({ "timesteps": self.timesteps, "samples": self.samples }),
            text: format!(
                "work         {own} samples of {shape}, {evaluations} evaluations, a tangent or cotangent counted as one\n"
            ),
            ..Ready::new(shard, self.samples, cost, run)
        })
    }

    /// `ready` of a measurement that may end before it has taken as many evaluations.
    pub(crate) fn ready_at_most<'a>(
        &self,
        subject: &'a Subject,
        shard: Shard,
        (lanes, checks): (u64, usize),
        options: Value,
        run: impl FnOnce(&mut Progress) -> Result<Part> + Send + 'a,
    ) -> Result<Ready<'a>> {
        let ready = self.ready(subject, shard, (lanes, checks), options, run)?;
        let (cost, shape) = (Cost { at_most: true, ..ready.cost }, subject.field.shape());
        let (own, most) = (shard.count(self.samples), cost.evaluations);
        let text = format!(
            "work         {own} samples of {shape}, at most {most} evaluations, a tangent or cotangent counted as one\n"
        );
        Ok(Ready { cost, text, ..ready })
    }

    pub(crate) fn check(&self, subject: &Subject, shard: Shard) -> Result<()> {
        let field = &subject.field;
        check(&subject.images, field.shape(), self.samples, &self.timesteps)?;
        shard.check(self.samples)?;
        self.timesteps.iter().try_for_each(|&k| field.process().noise(k).map(drop))
    }

    /// x_t of one sample.
    pub(crate) fn noisy(&self, subject: &Subject, sample: usize, k: usize) -> Result<Noisy> {
        let Subject { field, images, .. } = subject;
        let (a, sigma) = field.process().noise(k)?;
        let d = images.shape.len();
        let anchor = Anchor {
            seed: self.seed,
            sample: sample as u32,
            k: k as u32,
            a,
            sigma,
            bridge_scale: field.process().bridge_scale(k),
            x0: &images.values[sample * d..(sample + 1) * d],
            segments: 2,
        };
        let x = paths::start(&anchor).into_iter().map(|v| v as f32).collect();
        Ok(Noisy { x, eps: paths::eps(&anchor, 0) })
    }

    /// Random tangent number `probe`, components +1 or -1.
    pub(crate) fn probe(&self, sample: usize, k: usize, probe: usize, dim: usize) -> Vec<f32> {
        let (seed, draw) = (self.seed, probe as u32);
        Stream { seed, purpose: Purpose::Probe, draw, sample: sample as u32, k: k as u32 }.signs(dim)
    }

    /// `count` different components of `dim`, chosen at random, the same at every timestep.
    pub(crate) fn components(&self, sample: usize, dim: usize, count: usize) -> Vec<usize> {
        let stream = Stream { seed: self.seed, purpose: Purpose::Components, draw: 0, sample: sample as u32, k: 0 };
        stream.permutation(dim, count).into_iter().rev().take(count).map(|i| i as usize).collect()
    }

    /// Points in the order of a table's places, from one of them, at most `size` of one timestep at a time.
    pub(crate) fn batches(&self, shard: Shard, from: usize, size: usize) -> impl Iterator<Item = Batch> {
        let n = shard.count(self.samples);
        let starts = move |t: usize| (if t == from / n { from % n } else { 0 }..n).step_by(size);
        let batch = move |t: usize, first: usize| Batch {
            k: self.timesteps[t],
            first: t * n + first,
            samples: (first..(first + size).min(n)).map(|i| shard.sample(i)).collect(),
        };
        (from / n..self.timesteps.len()).flat_map(move |t| starts(t).map(move |first| batch(t, first)))
    }

    /// Places of a table of the shard's samples.
    pub(crate) fn places(&self, shard: Shard) -> usize {
        self.timesteps.len() * shard.count(self.samples)
    }

    /// About `count` picks spread over the whole run, those of the shard: place in its table, (timestep, sample), and a
    /// share of whatever there is at that place.
    pub(crate) fn picks(&self, shard: Shard, count: usize) -> Vec<Pick> {
        let n = self.samples;
        let pick = |(place, share): (usize, f64)| {
            let local = shard.place(place % n)?;
            let k = self.timesteps[place / n];
            Some(Pick { place: place / n * shard.count(n) + local, k, sample: place % n, share })
        };
        spread(self.timesteps.len() * n, count).into_iter().filter_map(pick).collect()
    }

    /// x_t of the samples of a batch, one after the other.
    pub(crate) fn points(&self, subject: &Subject, batch: &Batch) -> Result<Vec<f32>> {
        let mut x = Vec::with_capacity(batch.samples.len() * subject.dim());
        for &sample in &batch.samples {
            x.extend(self.noisy(subject, sample, batch.k)?.x);
        }
        Ok(x)
    }

    /// What a shard measured: `rows` of plain f64 over [timestep, sample], one or as many of each place, facts of its own, a JSON
    /// object.
    pub(crate) fn part<Row: Pod>(
        &self,
        measure: &'static dyn Measure,
        subject: &Subject,
        shard: Shard,
        rows: &[Row],
        worst: f64,
        facts: Value,
    ) -> Result<Part> {
        let sigma =
            self.timesteps.iter().map(|&k| Ok(subject.field.process().noise(k)?.1)).collect::<Result<Vec<f64>>>()?;
        let each = size_of_val(rows) / size_of::<f64>() / self.places(shard).max(1);
        let shape = vec![self.timesteps.len(), shard.count(self.samples), each];
        let values = Numbers::F64(bytemuck::cast_slice(rows).to_vec());
        Ok(Part {
            measure,
            shard,
            samples: self.samples,
            facts: json!({ "timesteps": self.timesteps, "sigma": sigma, "table": facts }),
            arrays: vec![PartArray { name: ROWS.into(), shape, axis: Some(1), values }],
            worst,
            origin: None,
        })
    }
}

/// Some samples at one timestep.
pub(crate) struct Batch {
    pub k: usize,
    /// Place of the first of them in the shard's table.
    pub first: usize,
    /// Their numbers in the run.
    pub samples: Vec<usize>,
}

impl Batch {
    /// Its points.
    pub fn at(&self) -> Whose<'_> {
        Whose { k: self.k, what: "sample", samples: &self.samples }
    }
}

/// Something to be computed again.
pub(crate) struct Pick {
    /// In the shard's table.
    pub place: usize,
    pub k: usize,
    /// Its number in the run.
    pub sample: usize,
    /// Of whatever there is at that place.
    pub share: f64,
}
