//! A network as a field: its raw output turned into the score, s = alpha x + beta output, per lane.
use super::score::{Scored, score_step};
use super::{Field, FieldLaunch};
use crate::dual::Dual;
use crate::error::Result;
use crate::graph::Graph;
use crate::model::{AutoencoderModel, Fact, Model, Posterior, Prediction, Process, facts};
use crate::ops::weight_format::Rounding;
use crate::passes::adjoint::adjoint;
use crate::passes::{Ports, lower};
use crate::program::Role;
use crate::shape::Shape;
use crate::twin;
use serde_json::json;
use std::sync::OnceLock;

/// How eps-predictions become scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScoreScale {
    /// -eps / sigma: the definition.
    #[default]
    Definition,
    /// -eps / sigma^2, as the paper's notebooks have it; for comparing with them.
    Notebook,
}

/// Bytes that evaluations of the twin may take together, where they go on at once.
const TWINS: usize = 2 << 30;

/// A trained network, seen as its score.
pub struct NetworkField {
    model: Model,
    scale: ScoreScale,
    /// Made when it is first asked for: it holds the weights once more, transposed.
    adjoint: OnceLock<Graph>,
}

impl NetworkField {
    /// The score of `model`.
    pub fn new(model: Model, scale: ScoreScale) -> Self {
        Self { model, scale, adjoint: OnceLock::new() }
    }

    /// The network and its transpose: x, u -> raw output, J'u.
    fn adjoint(&self) -> Result<&Graph> {
        if let Some(made) = self.adjoint.get() {
            return Ok(made);
        }
        let made = adjoint(&self.model.graph)?;
        Ok(self.adjoint.get_or_init(|| made))
    }
}

impl Field for NetworkField {
    fn shape(&self) -> Shape {
        self.model.shape()
    }

    fn process(&self) -> &Process {
        &self.model.process
    }

    fn data_range(&self) -> [f64; 2] {
        self.model.autoencoder.as_ref().map_or(self.model.config.data_range, |a| a.config.data_range)
    }

    fn clean_range(&self) -> [f64; 2] {
        self.model.config.data_range
    }

    fn autoencoder(&self) -> Option<&AutoencoderModel> {
        self.model.autoencoder.as_ref()
    }

    fn posterior(&self) -> Posterior {
        self.model.config.posterior.unwrap_or_default()
    }

    fn coefficients(&self, k: usize) -> Result<(f64, f64)> {
        let process = &self.model.process;
        let (alpha, beta) = self.model.config.prediction.score_coefficients(process, k)?;
        match (self.scale, self.model.config.prediction) {
            (ScoreScale::Notebook, Prediction::Eps) => {
                process.require_vp("score scale notebook")?;
                Ok((alpha, beta / process.noise(k)?.1))
            }
            _ => Ok((alpha, beta)),
        }
    }

    fn require_score(&self, what: &str) -> Result<()> {
        self.model.config.prediction.require_score(what)
    }

    fn launch(&self, cx: FieldLaunch) -> Result<()> {
        let flat = self.shape().flat_stride();
        let raw = cx.program.buffer("network output", 4 * flat as u64, Role::Scratch);
        let ports = Ports::one(cx.x, raw, cx.lanes);
        lower(&self.model.graph, cx.timesteps, &ports, cx.program)?;
        cx.program.push(score_step(self.shape(), Scored { lanes: cx.lanes, x: cx.x, raw, s: cx.s }));
        Ok(())
    }

    fn graph(&self) -> Option<&Graph> {
        Some(&self.model.graph)
    }

    fn rounding(&self) -> Option<Rounding> {
        self.model.rounding
    }

    fn has_tangents(&self) -> bool {
        true
    }

    fn has_adjoint(&self) -> bool {
        true
    }

    fn raw_coefficients(&self, k: usize) -> Result<Option<(f64, f64)>> {
        self.coefficients(k).map(Some)
    }

    fn twin(&self, x: &[Dual], k: usize, sample: usize) -> Result<Vec<Dual>> {
        let (alpha, beta) = self.coefficients(k)?;
        let raw = self.model.twin(x, k, self.condition(sample)?)?;
        Ok(raw.iter().zip(x).map(|(&r, &x)| x * alpha + r * beta).collect())
    }

    fn twin_vjp(&self, x: &[f64], u: &[f64], k: usize, sample: usize) -> Result<Vec<f64>> {
        let (alpha, beta) = self.coefficients(k)?;
        let [point, cotangent] = [x, u].map(|row| row.iter().map(|&v| Dual::constant(v)).collect::<Vec<_>>());
        let made = twin::outputs(self.adjoint()?, &[&point, &cotangent], k, self.condition(sample)?)?;
        let raw = made.last().map_or(&[][..], |raw| raw);
        Ok(raw.iter().zip(u).map(|(r, &u)| u * alpha + r.v * beta).collect())
    }

    fn twins_at_once(&self) -> usize {
        (TWINS / twin::bytes(&self.model.graph).max(1)).max(1)
    }

    fn conditions(&self) -> usize {
        self.model.graph.rows.conditions()
    }

    fn condition(&self, sample: usize) -> Result<usize> {
        self.model.conditions.number(sample)
    }

    fn facts(&self) -> Vec<Fact> {
        self.model.facts.clone()
    }

    fn describe(&self) -> serde_json::Value {
        let autoencoder = self.model.autoencoder.as_ref();
        let mut facts = json!({
            "kind": "network",
            "config": self.model.config,
            "sources": facts::sources(&self.model.facts),
            "weights_sha256": self.model.sha256,
            "parameters": self.model.parameters,
            "autoencoder": autoencoder.map(|a| json!({ "config": a.config, "weights_sha256": a.sha256 })),
            "score_scale": match self.scale {
                ScoreScale::Definition => "definition",
                ScoreScale::Notebook => "notebook",
            },
        });
        // Where files of conditions lie on this machine is nobody's business; what they hold is.
        for (key, conditions) in [("conditions", Some(&self.model.conditions)), ("null", self.model.null.as_ref())] {
            if let Some(conditions) = conditions.filter(|c| !c.values.is_empty()) {
                facts["config"][key] = conditions.json();
            }
        }
        if let Some(g) = self.model.guidance {
            facts["config"]["guidance"] = g.into();
        }
        if let Some(rounding) = self.model.rounding {
            facts["weights_held"] = rounding.json();
        }
        facts
    }
}
