//! What a user says of a network beyond its own files: the size of a sample, how weights are held, what an ONNX file cannot say,
//! conditions. In: options. Out: plain data that `Model::open_said` takes; nothing is said by default.
use super::condition::Given;
use super::prediction::Prediction;
use super::process::Process;
use crate::error::{Error, Result};
use crate::ops::weight_format::WeightFormat;
use crate::shape::Shape;
use std::collections::BTreeMap;

/// What is said of a network.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// `[C, H, W]` of a sample, for a network that leaves it open; others know theirs.
    pub shape: Option<Shape>,
    /// How the device holds the weights.
    pub weights: WeightFormat,
    /// Which input of an ONNX file is x.
    pub x: Option<String>,
    /// Which input of an ONNX file is told the label.
    pub label: Option<String>,
    /// Which output of an ONNX file is meant.
    pub output: Option<String>,
    /// How many of its first channels are.
    pub channels: Option<usize>,
    /// The noising process; of a network whose files say it, the same.
    pub process: Option<Process>,
    /// What the network puts out; of a network whose files say it, the same.
    pub prediction: Option<Prediction>,
    /// What 0 and 255 of 8-bit images map to; of a network whose files say it, the same.
    pub data_range: Option<[f64; 2]>,
    /// Conditions by name; these are taken before those of the network's own files.
    pub conditions: BTreeMap<String, Given>,
    /// The conditions without which guidance compares; those that are not named stay as they are.
    pub null: BTreeMap<String, Given>,
    /// g of s_null + g (s_cond - s_null).
    pub guidance: Option<f64>,
}

impl Said {
    /// What is said by these keys alone.
    fn keys(&self) -> impl Iterator<Item = &'static str> {
        let of_onnx = [
            ("x", self.x.is_some()),
            ("label", self.label.is_some()),
            ("output", self.output.is_some()),
            ("channels", self.channels.is_some()),
        ];
        of_onnx.into_iter().filter(|(_, given)| *given).map(|(key, _)| key)
    }

    /// Refuses what only ONNX files are asked; `what` is the network that is none.
    pub(super) fn require_none_of_onnx(&self, what: &str) -> Result<()> {
        self.keys().next().map_or(Ok(()), |key| Err(Error::invalid(key, format!("is for ONNX files; {what} is none"))))
    }

    /// Refuses what is said of networks only, for a closed form.
    ///
    /// # Errors
    /// The first such key that is given.
    pub fn require_no_network(&self) -> Result<()> {
        if self.weights != WeightFormat::F32 {
            let message = format!("a closed form has no weights to hold as {}", self.weights.name());
            return Err(Error::invalid("weights", message));
        }
        let more = [
            ("prediction", self.prediction.is_some()),
            ("data range", self.data_range.is_some()),
            ("condition", !self.conditions.is_empty()),
            ("null", !self.null.is_empty()),
            ("guidance", self.guidance.is_some()),
        ];
        match self.keys().chain(more.into_iter().filter(|(_, given)| *given).map(|(key, _)| key)).next() {
            None => Ok(()),
            Some(key) => Err(Error::invalid(key, "is for networks; this is a closed form")),
        }
    }
}
