//! A field that the host computes: closures of somebody's own, such as a network of another framework. The engine makes the points and
//! does everything else. In: functions on batches of points. Out: a `Field` with a host's step in place of kernels; without
//! derivatives of its own these are central differences, without a function in f64 nothing is compared with it.
use super::differences::{Real, jvp, vjp};
use super::functions::{Functions, Points, as_many};
use super::score::{Scored, score_step};
use super::{Field, FieldLaunch};
use crate::data::check_range;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::model::{Fact, Prediction, Process, facts};
use crate::paths::Lane;
use crate::paths::normal::normals;
use crate::paths::philox::{Purpose, Stream};
use crate::program::{HostStep, Role};
use crate::shape::Shape;
use serde_json::json;
use std::sync::{Arc, OnceLock};

/// What is said of a field of closures.
#[derive(Clone, Debug)]
pub struct About {
    /// In manifests: whoever made the closures knows what is behind it.
    pub name: String,
    /// `[C, H, W]` of a point.
    pub shape: Shape,
    /// Noise levels by timestep.
    pub process: Process,
    /// What the function gives.
    pub prediction: Prediction,
    /// What 0 and 255 of 8-bit images are to it.
    pub data_range: [f64; 2],
    /// Most points of a call.
    pub batch: usize,
}

/// A field of closures.
pub struct ClosureField {
    about: About,
    single: Arc<Functions<f32>>,
    double: Option<Functions<f64>>,
    /// What it gives at a point of its own, once that was asked for.
    probe: OnceLock<Option<[f64; 3]>>,
}

impl ClosureField {
    /// Of functions in f32 and, for the second opinion, the same in f64.
    ///
    /// # Errors
    /// A prediction that the process has no score for, or that needs to scale its input; no range of data; a batch of 0.
    pub fn new(about: About, single: Functions<f32>, double: Option<Functions<f64>>) -> Result<Self> {
        about.prediction.require(&about.process)?;
        check_range(about.data_range)?;
        if let Prediction::EdmF { .. } = about.prediction {
            let message = "edm_f of a closure: let it return the denoised point D(x; sigma), and say denoised";
            return Err(Error::invalid("prediction", message));
        }
        if about.batch == 0 {
            return Err(Error::invalid("batch", "0, expected at least 1"));
        }
        Ok(Self { about, single: Arc::new(single), double, probe: OnceLock::new() })
    }

    /// Whether two closures are the same nobody can see but by what they give: at a noisy point of the middle timestep, the root mean
    /// square, the mean and the product with a random vector, to four digits, so that other devices and libraries agree. None where
    /// the function fails.
    fn probe(&self) -> Option<[f64; 3]> {
        *self.probe.get_or_init(|| {
            let (k, d) = (self.about.process.timesteps() / 2, self.about.shape.len());
            let (a, sigma) = self.about.process.noise(k).ok()?;
            let draw = |draw| normals(&Stream { seed: 0, purpose: Purpose::Sample, draw, sample: 0, k: k as u32 }, d);
            let x: Vec<f32> = draw(0).iter().map(|z| (a.hypot(sigma) * z) as f32).collect();
            let y = (self.single.values)(&Points { x: &x, ks: &[k], sigmas: &[sigma] }).ok()?;
            let mean = |of: &dyn Fn(f64, f64) -> f64| {
                let all = y.iter().zip(draw(1));
                all.map(|(&y, u)| of(y.into(), u)).sum::<f64>() / d as f64
            };
            let size = mean(&|y, _| y * y).sqrt();
            let rounded = |v: f64| format!("{v:.3e}").parse().unwrap_or(f64::NAN);
            // What cancels is no more precise than what it is made of.
            let of_size = |v: f64| (v / size * 1e3).round() / 1e3;
            Some([rounded(size), of_size(mean(&|y, _| y)), of_size(mean(&|y, u| y * u))])
        })
    }

    fn double(&self) -> Result<&Functions<f64>> {
        self.double.as_ref().ok_or_else(|| {
            let message = "has no values in f64: nothing can be compared with them";
            Error::invalid(format!("field {}", self.about.name), message)
        })
    }
}

/// The lanes of a run as functions see them: whole samples of a primal, T tangents and K cotangents.
struct Lanes<'a> {
    about: &'a About,
    lanes: &'a [Lane],
    /// `[lane][D rounded up to 4]`
    x: &'a [f32],
    tangents: usize,
    cotangents: usize,
}

impl Lanes<'_> {
    fn row(&self, lane: usize) -> &[f32] {
        &self.x[lane * self.about.shape.flat_stride()..][..self.about.shape.len()]
    }

    /// What `of` makes of pairs of lanes (a primal, itself or one of its directions), at most a batch at a time.
    fn each(
        &self,
        which: impl Fn(usize) -> std::ops::Range<usize>,
        out: &mut [f32],
        of: impl Fn(&Points<f32>, &[f32]) -> Result<Vec<f32>>,
    ) -> Result<()> {
        let (d, stride) = (self.about.shape.len(), self.about.shape.flat_stride());
        let group = 1 + self.tangents + self.cotangents;
        let pairs = (0..self.lanes.len()).step_by(group).flat_map(|p| which(p).map(move |lane| (p, lane)));
        let pairs: Vec<(usize, usize)> = pairs.collect();
        for pairs in pairs.chunks(self.about.batch) {
            let rows = |of: fn(&(usize, usize)) -> usize| -> Vec<f32> {
                pairs.iter().flat_map(|pair| self.row(of(pair)).iter().copied()).collect()
            };
            let (x, v) = (rows(|pair| pair.0), rows(|pair| pair.1));
            let ks: Vec<usize> = pairs.iter().map(|pair| self.lanes[pair.0].k as usize).collect();
            let sigmas = ks.iter().map(|&k| Ok(self.about.process.noise(k)?.1)).collect::<Result<Vec<_>>>()?;
            let made = of(&Points { x: &x, ks: &ks, sigmas: &sigmas }, &v)?;
            as_many(&self.about.name, made.len(), pairs.len() * d)?;
            for (pair, made) in pairs.iter().zip(made.chunks_exact(d)) {
                out[pair.1 * stride..][..d].copy_from_slice(made);
            }
        }
        Ok(())
    }

    /// The function's values and products of all lanes, `[lane][D rounded up to 4]`.
    fn run(&self, functions: &Functions<f32>) -> Result<Vec<f32>> {
        let (t, k) = (self.tangents, self.cotangents);
        let mut out = vec![0f32; self.x.len()];
        self.each(|p| p..p + 1, &mut out, |at, _| (functions.values)(at))?;
        self.each(|p| p + 1..p + 1 + t, &mut out, |at, v| jvp(functions, at, v, self.about.batch))?;
        self.each(
            |p| p + 1 + t..p + 1 + t + k,
            &mut out,
            |at, u| match &functions.vjp {
                Some(own) => own(at, u),
                None => Err(Error::invalid(format!("field {}", self.about.name), "has no vjp")),
            },
        )?;
        Ok(out)
    }
}

impl Field for ClosureField {
    fn shape(&self) -> Shape {
        self.about.shape
    }

    fn process(&self) -> &Process {
        &self.about.process
    }

    fn data_range(&self) -> [f64; 2] {
        self.about.data_range
    }

    fn coefficients(&self, k: usize) -> Result<(f64, f64)> {
        self.about.prediction.score_coefficients(&self.about.process, k)
    }

    fn require_score(&self, what: &str) -> Result<()> {
        self.about.prediction.require_score(what)
    }

    fn launch(&self, cx: FieldLaunch) -> Result<()> {
        let group = cx.program.group();
        let cotangents = cx.program.cotangents() as usize;
        let tangents = group as usize - 1 - cotangents;
        let raw = cx.program.buffer("closure output", 4 * self.about.shape.flat_stride() as u64, Role::Scratch);
        cx.program.limit_lanes(self.about.batch as u64 * u64::from(group));
        let (about, functions) = (self.about.clone(), self.single.clone());
        cx.program.host(HostStep {
            label: format!("field {}", self.about.name),
            reads: vec![cx.lanes, cx.x],
            writes: raw,
            work: Arc::new(move |given| {
                let (lanes, x): (Vec<Lane>, Vec<f32>) =
                    (bytemuck::pod_collect_to_vec(given[0]), bytemuck::pod_collect_to_vec(given[1]));
                let made = Lanes { about: &about, lanes: &lanes, x: &x, tangents, cotangents }.run(&functions)?;
                Ok(bytemuck::cast_slice(&made).to_vec())
            }),
        });
        cx.program.push(score_step(self.about.shape, Scored { lanes: cx.lanes, x: cx.x, raw, s: cx.s }));
        Ok(())
    }

    /// Its own, or central differences.
    fn has_tangents(&self) -> bool {
        true
    }

    fn has_own_tangents(&self) -> bool {
        self.single.jvp.is_some()
    }

    fn has_adjoint(&self) -> bool {
        self.single.vjp.is_some()
    }

    fn has_twin(&self) -> bool {
        self.double.is_some()
    }

    fn raw_coefficients(&self, k: usize) -> Result<Option<(f64, f64)>> {
        let own = !matches!(self.about.prediction, Prediction::Score);
        own.then(|| self.coefficients(k)).transpose()
    }

    fn twin(&self, x: &[Dual], k: usize, _: usize) -> Result<Vec<Dual>> {
        let (functions, (alpha, beta), sigma) = (self.double()?, self.coefficients(k)?, self.process().noise(k)?.1);
        let [point, v]: [Vec<f64>; 2] = [x.iter().map(|x| x.v).collect(), x.iter().map(|x| x.d).collect()];
        let at = Points { x: &point, ks: &[k], sigmas: &[sigma] };
        let values = (functions.values)(&at)?;
        let along = match v.iter().any(|&v| v != 0.0) {
            true => jvp(functions, &at, &v, self.about.batch)?,
            false => v,
        };
        as_many(&self.about.name, values.len().min(along.len()), x.len())?;
        Ok((0..x.len()).map(|i| x[i] * alpha + Dual::new(values[i], along[i]) * beta).collect())
    }

    fn twin_vjp(&self, x: &[f64], u: &[f64], k: usize, _: usize) -> Result<Vec<f64>> {
        let (functions, (alpha, beta), sigma) = (self.double()?, self.coefficients(k)?, self.process().noise(k)?.1);
        let at = Points { x, ks: &[k], sigmas: &[sigma] };
        let raw = vjp(functions, &at, u, self.about.batch)?;
        as_many(&self.about.name, raw.len(), x.len())?;
        Ok(raw.iter().zip(u).map(|(r, u)| alpha * u + beta * r).collect())
    }

    fn facts(&self) -> Vec<Fact> {
        let mut facts = facts::of_process(self.process());
        facts.push(facts::of_range(self.about.data_range, "as the program that embeds the engine says"));
        facts
    }

    fn describe(&self) -> serde_json::Value {
        let own = |there: bool, other: &'static str| if there { "its own" } else { other };
        let double = self.double.as_ref();
        json!({
            "kind": "closure", "name": self.about.name, "shape": self.about.shape.to_string(),
            "prediction": self.about.prediction, "process": self.about.process.config,
            "data_range": self.about.data_range, "sources": facts::sources(&self.facts()),
            "evaluated": "by a closure: nothing is known here of how its values were computed",
            "probe": self.probe(),
            "tangents": own(self.single.jvp.is_some(), f32::DIFFERENCES),
            "cotangents": own(self.single.vjp.is_some(), "none"),
            "f64": double.map(|double| json!({
                "tangents": own(double.jvp.is_some(), f64::DIFFERENCES),
                "cotangents": own(double.vjp.is_some(), f64::DIFFERENCES),
            })),
        })
    }
}
