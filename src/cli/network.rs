//! What verbs are told of a network, or of a closed form, beyond its own files: shape, weights' format, process, what an ONNX file
//! cannot say, conditions. In: options. Out: `Said`, which `model` and `field` take.
use super::common::HeldArgs;
use super::process::ProcessArgs;
use crate::error::{Error, Result};
use crate::model::{Given, Model, Prediction, Said};
use crate::session::as_given;
use crate::shape::Shape;
use crate::spec::Spec;
use std::collections::BTreeMap;
use std::path::Path;

/// What is said of a network.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct NetworkArgs {
    /// Shape CxHxW of a closed form, or of a network that leaves it open; that of the data if not given
    #[arg(long)]
    pub shape: Option<String>,
    /// Noise levels.
    #[command(flatten)]
    pub process: ProcessArgs,
    /// f32 or f16.
    #[command(flatten)]
    pub held: HeldArgs,
    /// What an ONNX file cannot say.
    #[command(flatten)]
    pub onnx: OnnxArgs,
    /// A condition of the network: a number, numbers with commas, or a file (NPY, NPZ and safetensors as FILE#tensor) with one
    /// value for the run, or one for each sample in the order of the data
    #[arg(long = "condition", value_name = "NAME=VALUE|FILE#TENSOR")]
    pub conditions: Vec<Spec>,
    /// Guidance: s_null + G (s_cond - s_null), two evaluations of the network for each
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// The condition that guidance compares with, as --condition names it
    #[arg(long, value_name = "NAME=VALUE|FILE#TENSOR")]
    pub null: Vec<Spec>,
}

/// What an ONNX file cannot say.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct OnnxArgs {
    /// Of an ONNX file, the input that is x; if not given, and FILE.toml beside FILE.onnx does not say it, it is guessed where that is plain
    #[arg(long, value_name = "NAME")]
    pub x: Option<String>,
    /// Of an ONNX file, the input that is told the noise level, likewise
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// Of an ONNX file, the output that is meant, likewise; --out says what is written
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// How many of the output's first channels are the prediction: those of x, where a network also puts out a variance
    #[arg(long, value_name = "COUNT")]
    pub channels: Option<usize>,
    /// What the network puts out: eps, score, v, x0, denoised, edm_f, flow_velocity or map (`prediction` in docs/FORMATS.md); never guessed
    #[arg(long, value_name = "WHAT")]
    pub prediction: Option<String>,
    /// What 0 and 255 of 8-bit images are to the network [default: -1,1]
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true)]
    pub data_range: Option<String>,
}

impl NetworkArgs {
    /// The shape that is given.
    pub(super) fn shape(&self) -> Result<Option<Shape>> {
        self.shape.as_deref().map(Shape::parse).transpose()
    }

    /// The network of a model, as itself.
    pub(super) fn open(&self, model: &Path) -> Result<Model> {
        let said = self.said()?;
        let model = Model::open_said(model, &said)?;
        as_given(said.shape, model.shape())?;
        Ok(model)
    }

    /// All of it.
    pub(super) fn said(&self) -> Result<Said> {
        let OnnxArgs { x, label, output, channels, prediction, data_range } = self.onnx.clone();
        Ok(Said {
            shape: self.shape()?,
            weights: self.held.weights,
            process: self.process.open()?,
            prediction: prediction.as_deref().map(Prediction::parse).transpose()?,
            data_range: data_range.as_deref().map(range).transpose()?,
            conditions: given("--condition", &self.conditions)?,
            null: given("--null", &self.null)?,
            guidance: self.guidance,
            x,
            label,
            output,
            channels,
        })
    }
}

/// `LOW,HIGH`.
fn range(text: &str) -> Result<[f64; 2]> {
    let wrong = || Error::invalid("--data-range", format!("'{text}', expected two numbers LOW,HIGH, the lower first"));
    let (low, high) = text.split_once(',').ok_or_else(wrong)?;
    match (low.trim().parse::<f64>(), high.trim().parse::<f64>()) {
        (Ok(low), Ok(high)) if low.is_finite() && high.is_finite() && low < high => Ok([low, high]),
        _ => Err(wrong()),
    }
}

/// `NAME=VALUE`, several.
fn given(option: &str, all: &[Spec]) -> Result<BTreeMap<String, Given>> {
    let mut given = BTreeMap::new();
    for spec in all {
        let text = spec.to_string();
        let Some((name, value)) = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty())
        else {
            return Err(Error::invalid(option, format!("'{text}', expected NAME=VALUE or NAME=FILE#tensor")));
        };
        if given.insert(name.to_string(), Given::parse(&Spec::from(value))).is_some() {
            return Err(Error::invalid(option, format!("'{name}' is given twice")));
        }
    }
    Ok(given)
}
