//! What is said of a network beyond its files, from keywords. In: a dictionary that has no key which was not given. Out: `Said`.
use crate::errors::{Told, raise};
use crate::process::{Process, spec};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;
use vorticity::field::{ScoreScale, WeightFormat};
use vorticity::model::{Given, Prediction, Said};
use vorticity::shape::Shape;

/// How eps-predictions become scores.
pub fn scale(py: Python, said: &Bound<'_, PyDict>) -> PyResult<ScoreScale> {
    match text(said, "score_scale")?.as_deref() {
        None | Some("definition") => Ok(ScoreScale::Definition),
        Some("notebook") => Ok(ScoreScale::Notebook),
        Some(other) => {
            Err(raise(py, "InvalidError", format!("score_scale: '{other}' is not one of definition, notebook")))
        }
    }
}

fn text(said: &Bound<'_, PyDict>, key: &str) -> PyResult<Option<String>> {
    said.get_item(key)?.map(|value| value.extract()).transpose()
}

/// (low, high).
fn range_of(py: Python, range: &Bound<'_, PyAny>) -> PyResult<[f64; 2]> {
    match range.extract::<(f64, f64)>() {
        Ok((low, high)) if low.is_finite() && high.is_finite() && low < high => Ok([low, high]),
        _ => {
            let found = range.repr().map_or_else(|_| "a value".into(), |text| text.to_string());
            Err(raise(py, "InvalidError", format!("data_range: {found}, expected (low, high), the lower first")))
        }
    }
}

/// What is said of a network beyond its files; `said` has no key that was not given.
pub fn read(py: Python, said: &Bound<'_, PyDict>) -> PyResult<Said> {
    let given = |key: &str| -> PyResult<BTreeMap<String, Given>> {
        let mut all = BTreeMap::new();
        let Some(named) = said.get_item(key)? else { return Ok(all) };
        for (name, value) in named.cast_into::<PyDict>()?.iter() {
            let value = match value.extract::<f64>() {
                Ok(number) => Given::Number(number),
                Err(_) => match value.extract::<Vec<f64>>() {
                    Ok(numbers) => Given::Numbers(numbers),
                    Err(_) => Given::parse(&spec(&value)?),
                },
            };
            all.insert(name.extract()?, value);
        }
        Ok(all)
    };
    let process = said.get_item("process")?.map(|process| match process.cast::<Process>() {
        Ok(process) => Ok(process.get().process.clone()),
        Err(_) => Err(raise(py, "InvalidError", "process: expected a Process")),
    });
    let (shape, prediction) = (text(said, "shape")?, text(said, "prediction")?);
    let weights = text(said, "weights")?.unwrap_or_else(|| "f32".into());
    let range = said.get_item("data_range")?.map(|range| range_of(py, &range)).transpose()?;
    Ok(Said {
        shape: shape.as_deref().map(Shape::parse).transpose().told(py)?,
        weights: WeightFormat::parse(&weights).told(py)?,
        x: text(said, "x")?,
        label: text(said, "label")?,
        output: text(said, "output")?,
        channels: said.get_item("channels")?.map(|n| n.extract()).transpose()?,
        process: process.transpose()?,
        prediction: prediction.as_deref().map(Prediction::parse).transpose().told(py)?,
        data_range: range,
        conditions: given("conditions")?,
        null: given("null")?,
        guidance: said.get_item("guidance")?.map(|g| g.extract()).transpose()?,
    })
}
