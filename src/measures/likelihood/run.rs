//! Likelihood of data by the probability-flow ODE (PROTOCOL, "Sampling and likelihood"; arXiv 2011.13456): along
//! `dx/dt = v = -x - s`, `d ln p / dt = -div v = D + div s`, so `ln p_0(x_0) = ln p_T(x_T) - integral of (D + div s) dt`,
//! `p_T = N(0, I)`, for variance-preserving noise; others are brought to it (`flow`), if they end in it. On the table's
//! timesteps, from the first of them, whose noise is taken to be none.
//! bits/dim = `-ln p_0 / (D ln 2)` + the offset of the data's scaling. In: a subject, options. Out: a part, a row per sample.
use super::Likelihood;
use super::columns::Row;
use super::flow::{Ends, Flow, Node, level, start};
use crate::diagnostics::{Derivatives, Divergence, Noisy, Pick, ROWS, Selection, dot, lanes};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::model::{NEARLY_NOISE, Process};
use crate::run::{Measure, Numbers, Part, PartArray, Progress, Ready, Shard, Subject, Task, Whose, worst};
use serde_json::json;
use std::ops::ControlFlow;

/// What to measure.
#[derive(Clone, Debug)]
pub struct LikelihoodOptions {
    /// The grid, an odd number of timesteps so that every second one makes the coarser grid; how many images, from the first;
    /// the key of probes and dequantisation.
    pub selection: Selection,
    /// How div s is found.
    pub divergence: Divergence,
    /// Data are integers 0..=this, scaled to the field's range (255: 8-bit): spread each over its level, and count bits per
    /// level. None: real numbers, whose density is measured as it is.
    pub levels: Option<u32>,
    /// How that is known, in lines for people; may be empty.
    pub notes: String,
    /// Tangents, spread over noisy samples of the grid's timesteps, that the f64 twin computes again: the arithmetic error. 0
    /// for none.
    pub verified: usize,
}

impl Task for LikelihoodOptions {
    fn measure(&self) -> &'static dyn Measure {
        &Likelihood
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        let (field, selection) = (&subject.field, &self.selection);
        field.require_score("likelihood")?;
        field.process().require_prior("likelihood")?;
        let n = selection.timesteps.len();
        if n < 3 {
            return Err(Error::invalid("timesteps", format!("{n} of them, expected at least 3")));
        }
        selection.check(subject, shard)?;
        self.divergence.check()?;
        if n.is_multiple_of(2) {
            let message = format!("{n} of them, expected an odd number from 3 on: every second one is a grid too");
            return Err(Error::invalid("timesteps", message));
        }
        if field.autoencoder().is_some() {
            return Err(Error::invalid(
                "likelihood",
                "is of images; this network works on latents, which are not quantised",
            ));
        }
        selection.timesteps.iter().try_for_each(|&k| field.process().require_signal(k, "the flow's velocity"))?;
        level(self.levels, field.data_range())?;
        let options = json!({
            "divergence": self.divergence.name(), "dequantised": self.levels.is_some(),
            "levels": self.levels.map(|most| u64::from(most) + 1), "verified_tangents": self.verified,
        });
        let cost = (self.lanes(subject.dim()), self.verified);
        let ready = selection.ready(subject, shard, cost, options, move |p| self.part(subject, shard, p))?;
        Ok(Ready { notes: self.notes.clone(), warnings: self.warnings(field.process())?, ..ready })
    }
}

impl LikelihoodOptions {
    /// What a grid leaves out that ends before the process does.
    fn warnings(&self, process: &Process) -> Result<Vec<String>> {
        let Some(&last) = self.selection.timesteps.last() else { return Ok(vec![]) };
        let share = process.data_share(last)?;
        let message = format!(
            "the density at timestep {last}, where the grid ends, is taken to be a Gaussian: there the data are still {share:.2} of \
             the noisy data, expected up to {NEARLY_NOISE}"
        );
        Ok(if share > NEARLY_NOISE { vec![message] } else { vec![] })
    }

    /// Evaluations (lanes) that all samples take: two a step, on the grid and on every second of its timesteps.
    fn lanes(&self, dim: usize) -> u64 {
        let steps = self.selection.timesteps.len() - 1;
        lanes(2 * (steps + steps / 2) as u64, self.selection.samples, self.divergence.tangents(dim))
    }

    fn part(&self, subject: &Subject, shard: Shard, progress: &mut Progress) -> Result<Part> {
        let (d, field, selection) = (subject.dim(), &subject.field, &self.selection);
        let (samples, timesteps) = (shard.count(selection.samples), &selection.timesteps);
        let grid: Vec<Node> = timesteps.iter().map(|&k| Node::of(field.process(), k)).collect::<Result<_>>()?;
        let level = level(self.levels, field.data_range())?;
        let of_sample = |i| start(selection.seed, &subject.images, shard.sample(i), level);
        let x0: Vec<f64> = (0..samples).flat_map(of_sample).collect();

        let count = self.divergence.tangents(d);
        let mut derivatives = Derivatives::new(subject.gpu(), field, timesteps, samples, count)?;
        let coarse: Vec<Node> = grid.iter().copied().step_by(2).collect();
        let flow = Flow { selection, divergence: self.divergence, shard, count, d, x0 };
        let fine = flow.run(&mut derivatives, &grid, progress)?;
        let coarse = flow.run(&mut derivatives, &coarse, progress)?;

        let offset = level.map_or(0.0, |width| -width.log2());
        // Of the flow: dt = tan phi dphi.
        let time = (grid[0].angle.cos() / grid[grid.len() - 1].angle.cos()).ln();
        let ends = |flow: &Ends, sample: usize| {
            let (integral, se) = self.divergence.of_products(&flow.integral[sample * count..(sample + 1) * count]);
            (flow.prior[sample], integral, se)
        };
        let row = |sample| Row::of(ends(&fine, sample), ends(&coarse, sample), d as f64, time, offset);
        let rows: Vec<Row> = (0..samples).map(row).collect();
        let worst = self.worst(subject, shard, &mut derivatives, progress)?;
        let shape = vec![samples, size_of::<Row>() / size_of::<f64>()];
        let values = Numbers::F64(bytemuck::cast_slice(&rows).to_vec());
        Ok(Part {
            measure: &Likelihood,
            shard,
            samples: selection.samples,
            facts: json!({
                "timesteps": timesteps,
                "divergence": self.divergence.name(),
                "offset_bits": offset,
                "dequantised": level.is_some(),
                "levels": self.levels.map(|most| u64::from(most) + 1),
            }),
            arrays: vec![PartArray { name: ROWS.into(), shape, axis: Some(0), values }],
            worst,
            origin: None,
        })
    }

    /// The largest relative difference of a v.J v from the f64 twin's, at noisy samples of the grid's timesteps: the flow
    /// passes where these lie.
    fn worst(
        &self,
        subject: &Subject,
        shard: Shard,
        derivatives: &mut Derivatives,
        progress: &mut Progress,
    ) -> Result<f64> {
        let (d, selection) = (subject.dim(), &self.selection);
        let count = self.divergence.tangents(d);
        let picks = selection.picks(shard, self.verified);
        let tangent =
            |pick: &Pick, j: usize| self.divergence.tangent(d, j, || selection.probe(pick.sample, pick.k, j, d));
        let picked = |pick: &Pick| (pick.share * count as f64) as usize;
        let again = |pick: &Pick| {
            let &Pick { k, sample, .. } = pick;
            let Noisy { x, .. } = selection.noisy(subject, sample, k)?;
            let (v, mut got) = (tangent(pick, picked(pick)), f64::NAN);
            // As much as the flow has at a time, so that it is the flow's arithmetic; not counted among its evaluations.
            let mut uncounted = |_| ControlFlow::Continue(());
            derivatives.run(
                &x,
                &Whose { k, what: "sample", samples: &[sample] },
                count,
                |_, j, v| v.copy_from_slice(&tangent(pick, j)),
                |_, j, jv| {
                    if j == picked(pick) {
                        got = dot(&v, jv);
                    }
                },
                &mut Progress::new(&mut uncounted),
            )?;
            Ok((x, v, got))
        };
        let check = |&Pick { k, sample, .. }: &Pick, (x, v, got): &(Vec<f32>, Vec<f32>, f64)| {
            let twin = subject.field.twin(&Dual::along(x, v), k, sample)?;
            let twin: f64 = twin.iter().zip(v).map(|(y, &v)| y.d * f64::from(v)).sum();
            Ok((got - twin).abs() / twin.abs().max(f64::MIN_POSITIVE))
        };
        let found = progress.checks(subject.field.twins_at_once(), &picks, again, check)?;
        Ok(worst(self.verified, &found))
    }
}
