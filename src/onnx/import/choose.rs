//! A choice between two tensors: by a mask that is a constant, or by what is above what. Where one is taken, the other counts as zero.
use super::combine::{Given, Kind, given};
use super::host::{Source, Turned, numbers};
use super::{Import, Rule, Seen, Step, Value};
use crate::error::{Error, Result};
use crate::onnx::tensor::{Tensor, broadcast};
use std::sync::Arc;

/// The table.
pub(super) const RULES: &[(&str, Rule)] = &[("Where", choose)];

/// c a + (1 - c) b, with c of 0 and 1.
fn choose(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let name = step.label("");
    let Some(wanted) = given(step, 0)? else {
        let chosen = |import: &mut Import, at: usize, c: &Seen, ending: &str| match given(step, at)? {
            Some(t) => import.with(&step.label(ending), c, &t, Kind::Product, false),
            None => import.of_two(&step.label(ending), step.seen(at)?, c, Kind::Product),
        };
        let c = step.seen(0)?.clone();
        let not = import.affine(&step.label("not"), &c, -1.0, 1.0)?;
        let (a, b) = (chosen(import, 1, &c, "then")?, chosen(import, 2, &not, "else")?);
        return Ok(vec![import.of_two(&name, &a, &b, Kind::Sum([1.0, 1.0]))?]);
    };
    if let Source::Known(t) = &wanted.source {
        // All of one kind: one of both, as it is.
        let whole = |i: usize| {
            step.value(i)
                .ok()
                .filter(|v| matches!(v, Value::Seen(_)) && broadcast(&v.shape(), &t.shape) == Some(v.shape()))
        };
        let bools = t.bools()?;
        for (i, kind) in [(1, true), (2, false)] {
            if let (true, Some(Value::Seen(seen))) = (bools.iter().all(|b| *b == kind), whole(i)) {
                return Ok(vec![seen.clone()]);
            }
        }
    }
    let masked = |import: &mut Import, at: usize, turned: Turned, ending: &str| -> Result<Option<Seen>> {
        let as_numbers = Tensor::float(
            wanted.tensor.shape.clone(),
            numbers(&wanted.tensor).into_iter().map(crate::dual::Dual::constant).collect(),
        );
        match (step.value(at)?, &wanted.source) {
            (Value::Seen(seen), Source::Known(_)) => {
                let values =
                    numbers(&as_numbers).into_iter().map(|v| crate::dual::Dual::constant(turned.of(v))).collect();
                let mask = Arc::new(Tensor::float(wanted.tensor.shape.clone(), values));
                let mask = Given { tensor: mask.clone(), source: Source::Known(mask) };
                import.with(&step.label(ending), seen, &mask, Kind::Product, false).map(Some)
            }
            (Value::Seen(_), Source::Told(_)) => {
                Err(Error::invalid("condition", "depends on the label, which is not supported"))
            }
            _ => Ok(None),
        }
    };
    let (a, b) = (masked(import, 1, Turned::AsItIs, "then")?, masked(import, 2, Turned::Complement, "else")?);
    match (a, b) {
        (Some(a), Some(b)) => Ok(vec![import.of_two(&name, &a, &b, Kind::Sum([1.0, 1.0]))?]),
        (Some(x), None) => filled(import, step, &x, &wanted, 2, Turned::Complement),
        (None, Some(x)) => filled(import, step, &x, &wanted, 1, Turned::AsItIs),
        (None, None) => Err(Error::invalid("inputs", "none depends on x")),
    }
}

/// x, which is 0 where a constant stands, plus that constant there.
fn filled(import: &mut Import, step: &Step, x: &Seen, wanted: &Given, at: usize, turned: Turned) -> Result<Vec<Seen>> {
    let Some(Given { tensor, source: Source::Known(_) }) = given(step, at)? else {
        return Err(Error::invalid(step.name(at), "depends on the label, which is not supported here"));
    };
    let [mask, values] = step.call.together(&wanted.tensor, &tensor)?;
    let there = numbers(&mask).into_iter().zip(numbers(&values));
    let own = there.map(|(m, v)| crate::dual::Dual::constant(if turned.of(m) == 0.0 { 0.0 } else { v })).collect();
    let tensor = Arc::new(Tensor::float(mask.shape, own));
    let added = Given { tensor: tensor.clone(), source: Source::Known(tensor) };
    Ok(vec![import.with(&step.label(""), x, &added, Kind::Sum([1.0, 1.0]), false)?])
}
