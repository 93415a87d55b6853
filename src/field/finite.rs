//! Points where a field is not finite, looked into once more: where it begins, in words. In: a field, a point, perhaps a
//! tangent. Out: a sentence; whatever goes wrong on the way is part of it, for the run that asks has its results already.
use super::{Field, evaluator, tangent_evaluator};
use crate::error::Result;
use crate::evaluate::Room;
use crate::gpu::Gpu;
use crate::trace::{Origin, origin};
use std::sync::Arc;

/// Where a field that was not finite at `x` (`[D]`) and timestep k, or whose derivative along `tangent` (`[D]`, or empty) was
/// not, stops being finite, under the condition of a sample; `place` says which point that is.
pub fn first_not_finite(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    x: &[f32],
    tangent: &[f32],
    (k, sample): (usize, usize),
    place: &str,
) -> String {
    match look(gpu, field, x, tangent, (k, sample)) {
        Ok(Some(Origin { node, op, value, derivative })) => {
            let what = if value.is_nan() { "NaN" } else { "infinity" };
            let of = if derivative { "the derivative of " } else { "" };
            format!("{what} first appeared in {of}`{node}` ({op}) at {place}")
        }
        Ok(None) => format!("evaluated again the field is finite at {place}: a fault of the device, not of the field"),
        Err(error) => format!("the field is not finite at {place}; where that begins is not known: {error}"),
    }
}

/// The node, or the field itself where its network is finite or where it has none.
fn look(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    x: &[f32],
    tangent: &[f32],
    (k, sample): (usize, usize),
) -> Result<Option<Origin>> {
    if let Some(graph) = field.graph()
        && let Some(found) = origin(gpu, graph, x, tangent, (k, field.condition(sample)?))?
    {
        return Ok(Some(found));
    }
    let (values, derivatives) = match tangent {
        [] => (evaluator(gpu, field, &[k], 1)?.evaluate_of(x, &[k], &[sample])?, vec![]),
        _ => tangent_evaluator(gpu, field, &[k], Room { samples: 1, tangents: 1, cotangents: 0 })?.jvp_of(
            x,
            tangent,
            &[k],
            &[sample],
        )?,
    };
    let name = field.describe()["name"].as_str().map_or("the score of the network's output".into(), String::from);
    let first = |numbers: &[f32], derivative| {
        let value = *numbers.iter().find(|v| !v.is_finite())?;
        Some(Origin { node: name.clone(), op: "field", value, derivative })
    };
    Ok(first(&values, false).or_else(|| first(&derivatives, true)))
}
