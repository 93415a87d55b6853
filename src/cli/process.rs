//! The process that options give to closed forms, and the lines that say what is settled before anything is measured.
//! In: options, a field. Out: a process; text and JSON of every fact and what settled it.
use crate::error::Result;
use crate::field::Field;
use crate::model::{Fact, Process, given_process};
use crate::spec::Spec;
use serde_json::{Value, json};

/// The process of a field that has none of its own.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ProcessArgs {
    /// Process of a closed form or an ONNX file: config.json of a model, scheduler_config.json of diffusers, the folder of either, a file of
    /// the process alone (JSON, TOML), or its kind and keys (docs/FORMATS.md): vp?schedule=linear, ve?sigma_min=0.01&sigma_max=50,
    /// flow?timesteps=100, edm?timesteps=50, fixed?sigma=0.1
    #[arg(long, value_name = "FILE|FOLDER|KIND?key=value&..", group = "given")]
    pub process: Option<Spec>,
    /// Variance-preserving process likewise, by its alphas_cumprod, abar_k = a_k^2 for k = 0, 1, ..: NPY, NPZ
    /// (FILE#array), safetensors, or text
    #[arg(long, value_name = "FILE", group = "given")]
    pub alphas: Option<Spec>,
    /// Variance-exploding process likewise, by its noise levels sigma_k, rising: S0,S1,.. or a file like that of
    /// --alphas
    #[arg(long, value_name = "LIST|FILE", group = "given")]
    pub sigmas: Option<Spec>,
}

impl ProcessArgs {
    /// The process, if one is given.
    pub fn open(&self) -> Result<Option<Process>> {
        given_process(self.process.as_ref(), self.alphas.as_ref(), self.sigmas.as_ref())
    }
}

/// A line for every fact of a field, with what settled it in brackets.
pub(super) fn settled(field: &dyn Field) -> String {
    lines(&field.facts())
}

/// A line for every fact.
pub(super) fn lines(facts: &[Fact]) -> String {
    facts.iter().map(|f| format!("{:<12} {} [{}]\n", f.what, f.value, f.source)).collect()
}

/// The same for programs.
pub(super) fn settled_json(facts: &[Fact]) -> Value {
    facts.iter().map(|f| json!({ "what": f.what, "value": f.value, "source": f.source })).collect()
}
