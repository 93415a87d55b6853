//! What a network was trained to put out, and how that becomes a score, s = alpha x + beta output (PROTOCOL, "Fields" and "More
//! processes"). In: a prediction as `config.json` or an option names it, a process. Out: alpha, beta, and what the network's
//! input is multiplied by.
use super::process::{Noising, Process};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::ops::affine::Affine;
use crate::rows::Rows;
use crate::rows::functions::Listed;
use crate::spec::Spec;
use serde::{Deserialize, Serialize};

/// What the network was trained to put out.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Prediction {
    /// The noise: s = -eps / sigma.
    Eps,
    /// The score itself.
    Score,
    /// v = a eps - sigma x_0 (VP): s = -x - (a / sigma) v.
    V,
    /// The clean sample: s = (a x_0 - x) / sigma^2.
    X0,
    /// The denoised D, an estimate of the clean sample: s = (a D - x) / sigma^2.
    Denoised,
    /// The bare F of EDM (arXiv 2206.00364): D = c_skip x + c_out F(c_in x), c_skip = sd^2 / (sigma^2 + sd^2), c_out = sigma sd c_in,
    /// c_in = (sigma^2 + sd^2)^(-1/2), so s = -c_in^2 x + (c_out / sigma^2) F, which keeps its digits at small sigma.
    EdmF {
        /// sd, the data's standard deviation that the network was made for.
        sigma_data: f64,
    },
    /// The velocity of `flow`, v = eps - x_0 where t = 1 is noise: s = -(x + (1 - t) v) / t; where t = 1 is data, its opposite.
    FlowVelocity,
    /// The output itself, which is no score and no mean: what is measured is the map.
    Map,
}

/// Every prediction, for options; a parameter is to be filled in.
const ALL: [Prediction; 8] = [
    Prediction::Eps,
    Prediction::Score,
    Prediction::V,
    Prediction::X0,
    Prediction::Denoised,
    Prediction::EdmF { sigma_data: f64::NAN },
    Prediction::FlowVelocity,
    Prediction::Map,
];

impl Prediction {
    /// As `config.json` has it.
    pub fn name(self) -> &'static str {
        match self {
            Prediction::Eps => "eps",
            Prediction::Score => "score",
            Prediction::V => "v",
            Prediction::X0 => "x0",
            Prediction::Denoised => "denoised",
            Prediction::EdmF { .. } => "edm_f",
            Prediction::FlowVelocity => "flow_velocity",
            Prediction::Map => "map",
        }
    }

    /// In words, for people.
    pub fn describe(self) -> String {
        match self {
            Prediction::Eps => "eps, the noise".into(),
            Prediction::Score => "score".into(),
            Prediction::V => "v = a eps - sigma x_0".into(),
            Prediction::X0 => "x0, the clean sample".into(),
            Prediction::Denoised => "D, the denoised sample".into(),
            Prediction::EdmF { sigma_data } => {
                format!("F of EDM, D = c_skip x + c_out F(c_in x), sigma_data {sigma_data}")
            }
            Prediction::FlowVelocity => "the velocity of a flow".into(),
            Prediction::Map => "the output itself, which is no score".into(),
        }
    }

    /// The prediction that an option names: `eps`, `edm_f?sigma_data=0.5`.
    ///
    /// # Errors
    /// A name that is none, a parameter that is missing, unknown or no number.
    pub fn parse(text: &str) -> Result<Self> {
        let unknown = |name: &str| {
            let known = ALL.map(Prediction::name);
            Error::invalid("prediction", format!("'{name}' is not one of {}", known.join(", ")))
        };
        let (name, mut params) = Spec::from(text).named("")?.ok_or_else(|| unknown(text))?;
        let found = ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| unknown(&name))?;
        let found = match (found, params.take("sigma_data")?) {
            (Prediction::EdmF { .. }, Some(sigma_data)) => Prediction::EdmF { sigma_data },
            (Prediction::EdmF { .. }, None) => {
                let message = "edm_f needs sigma_data=.., the data's standard deviation that the network was made for";
                return Err(Error::invalid("prediction", message));
            }
            (_, Some::<f64>(_)) => {
                return Err(Error::invalid("prediction", format!("sigma_data is a parameter of edm_f, not of {name}")));
            }
            (other, None) => other,
        };
        params.finish(&name)?;
        Ok(found)
    }

    /// Refuses a process that it is not defined for.
    pub fn require(self, process: &Process) -> Result<()> {
        let what = format!("prediction {}", self.name());
        match self {
            Prediction::V => process.require_vp(&what),
            Prediction::FlowVelocity => process.require(Noising::Straight, &what),
            Prediction::EdmF { sigma_data } if sigma_data > 0.0 && (sigma_data as f32).is_normal() => {
                process.require(Noising::Exploding, &what)
            }
            Prediction::EdmF { sigma_data } => {
                Err(Error::invalid(what, format!("sigma_data is {sigma_data}, expected a number above 0")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a network that has no score; `what` wants one.
    pub fn require_score(self, what: &str) -> Result<()> {
        match self {
            Prediction::Map => {
                let message = "needs a score; this network puts out a map that is none (prediction map), of which curl, jacobian, \
                               asymmetry, map, planes and spectrum are measured";
                Err(Error::invalid(what, message))
            }
            _ => Ok(()),
        }
    }

    /// (alpha, beta) with score = alpha x + beta output at timestep k; of a map the output itself, (0, 1).
    pub fn score_coefficients(self, process: &Process, k: usize) -> Result<(f64, f64)> {
        let (a, sigma) = process.noise(k)?;
        let square = sigma * sigma;
        Ok(match self {
            Prediction::Eps => (0.0, -1.0 / sigma),
            Prediction::Score | Prediction::Map => (0.0, 1.0),
            Prediction::V => (-1.0, -a / sigma),
            Prediction::X0 | Prediction::Denoised => (-1.0 / square, a / square),
            Prediction::EdmF { sigma_data } => {
                let c_in = self.input_scale(a, sigma);
                (-c_in * c_in, sigma_data * c_in / sigma)
            }
            Prediction::FlowVelocity => (-1.0 / sigma, -process.velocity_sign() * a / sigma),
        })
    }

    /// What the network's input is multiplied by at a noise level: c_in of `edm_f`, else 1.
    pub fn input_scale(self, _a: f64, sigma: f64) -> f64 {
        match self {
            Prediction::EdmF { sigma_data } => 1.0 / sigma.hypot(sigma_data),
            _ => 1.0,
        }
    }

    /// From now on the network multiplies its input as `input_scale` has it: tangents follow of themselves. Its labels are those
    /// of the process.
    pub fn scale_input(self, graph: &mut Graph, process: &Process) -> Result<()> {
        let Prediction::EdmF { .. } = self else { return Ok(()) };
        let labels = (0..process.timesteps()).map(|k| graph.label(k)).collect::<Result<Vec<_>>>()?;
        let scale = |k: usize| process.noise(k).map(|(a, sigma)| self.input_scale(a, sigma));
        let values = (0..process.timesteps()).map(scale).collect::<Result<Vec<_>>>()?;
        let row = graph.rows.apply(Listed::new(labels.into_iter().zip(values)), &[Rows::LABEL])?;
        let table = Some(graph.rows.push("c_in", row)?);
        let [input, _] = graph.ends()?;
        graph.push_behind(input, "c_in x", Affine { gain: 1.0, table, shift: 0.0 })
    }
}
