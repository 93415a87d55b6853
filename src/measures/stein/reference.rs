//! The marginal score of the data, given as a field. In: its name, what is measured. Out: the field; why it may be of another
//! system than the data and the field that is measured.
use crate::error::Result;
use crate::field::{self, EXACT, Field, ScoreScale};
use crate::model::Said;
use crate::run::Subject;
use crate::spec::Spec;
use serde_json::Value;
use std::sync::Arc;

/// The reference; a closed form whose parameters name no process has the field's own.
pub(super) fn open(spec: &Spec, subject: &Subject) -> Result<Arc<dyn Field>> {
    let (shape, scale) = (Some(subject.field.shape()), ScoreScale::Definition);
    if !spec.is_closed_form() || field::names_process(spec)? {
        return field::open(spec, shape, scale);
    }
    let own = subject.field.process().clone().said("as the field that is measured has it");
    field::open_said(spec, scale, &Said { shape, process: Some(own), ..Said::default() })
}

/// Why the reference may be of another system than the field and its data.
pub(super) fn strangers(spec: &Spec, subject: &Subject) -> Vec<String> {
    let Ok(Some((name, _))) = spec.named("field:") else { return vec![] };
    if !EXACT.iter().any(|e| e.0 == name) {
        let no_score = ["rotor", "tilted"].contains(&name.as_str());
        return if no_score { vec![format!("--reference {spec} is the score of no data")] } else { vec![] };
    }
    let mut all = vec![];
    if let Some(data) = &subject.data {
        let drawn = data.named("data:").ok().flatten().map(|(drawn, _)| drawn);
        if drawn.as_ref() != Some(&name) {
            all.push(format!("--reference {spec} is the score of data:{name}, --data is {}", data.file_name()));
        }
    }
    let facts = subject.field.describe();
    let trained = facts.pointer("/config/provenance/data").and_then(Value::as_str);
    if let Some(trained) = trained.filter(|t| !t.to_lowercase().contains(&name)) {
        all.push(format!("--reference {spec} is the score of data:{name}, the network was trained on: {trained}"));
    }
    all
}
