//! Attention as one operator: products of queries and keys, masks, softmax, sums of values, by heads.
use super::{Import, Rule, Seen, Step};
use crate::error::{Error, Result};
use crate::onnx::tensor::{Data, Tensor};
use crate::ops::pointwise::Pointwise;

/// The table.
pub(super) const RULES: &[(&str, Rule)] = &[("Attention", attention)];

/// softmax(Q K' s + mask) V by heads.
fn attention(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    if step.call.outputs() > 1 || (4..step.inputs.len()).any(|i| step.inputs[i].is_some()) {
        return Err(Error::invalid(
            "inputs",
            "keys and values of earlier calls, and outputs besides the first, are not supported",
        ));
    }
    let cap = step.call.float("softcap", 0.0)?;
    let inputs = [0, 1, 2].map(|i| step.value(i).and_then(|value| import.given_as(step, i, value)));
    let [q, k, v] = inputs;
    let (q, k, v) = (q?, k?, v?);
    let in_rank = q.view.axes.len();
    let heads = |x: &Seen, attribute: &str| -> Result<Seen> {
        let shape = x.view.shape();
        match shape[..] {
            [_, _, _, _] => Ok(x.clone()),
            [n, tokens, all] => {
                let heads = crate::onnx::call::size(attribute, step.call.required(attribute)?)?;
                let view = (heads > 0 && all.is_multiple_of(heads))
                    .then(|| x.view.reshaped(&[n, tokens, heads, all / heads]))
                    .flatten();
                let view = view.ok_or_else(|| Error::invalid(attribute, format!("{heads} heads of {all} numbers")))?;
                Ok(Seen { node: x.node, view: view.permuted(&[0, 2, 1, 3]) })
            }
            _ => Err(Error::invalid("inputs", format!("{shape:?}, expected three axes or four"))),
        }
    };
    let (q, k, v) = (heads(&q, "q_num_heads")?, heads(&k, "kv_num_heads")?, heads(&v, "kv_num_heads")?);
    let (sq, sk) = (q.view.shape(), k.view.shape());
    if sk[1] == 0 || !sq[1].is_multiple_of(sk[1]) {
        return Err(Error::invalid("heads", format!("{} of queries, {} of keys", sq[1], sk[1])));
    }
    // Several heads of queries may share one of keys.
    let shared = q.view.reshaped(&[sq[0], sk[1], sq[1] / sk[1], sq[2], sq[3]]);
    let q = Seen { view: shared.ok_or_else(|| Error::invalid("heads", "cannot be shared"))?, ..q };
    let scale = match step.call.float("scale", 0.0)? {
        0.0 => 1.0 / (sq[3] as f64).sqrt(),
        given => given,
    };
    let name = step.label("");
    let logits = ['b', 'h', 'g', 's', 't'];
    let mut weights = import.of_both(
        &step.label("logits"),
        (&q, &['b', 'h', 'g', 's', 'd']),
        (&k, &['b', 'h', 't', 'd']),
        &logits,
        scale,
    )?;
    if cap > 0.0 {
        let inner = import.affine(&step.label("inner"), &weights, 1.0 / cap, 0.0)?;
        let capped = import.function(&step.label("capped"), &inner, Pointwise::Tanh)?;
        weights = import.affine(&step.label("cap"), &capped, cap, 0.0)?;
    }
    weights = import.masked(step, weights)?;
    let weights = import.softmax(&step.label("softmax"), &weights, &[4])?;
    let y = import.of_both(&name, (&weights, &logits), (&v, &['b', 'h', 't', 'e']), &['b', 'h', 'g', 's', 'e'], 1.0)?;
    let width = v.view.shape()[3];
    let fail = || Error::invalid("result", "cannot be seen");
    let view = match in_rank {
        3 => y.view.permuted(&[0, 3, 1, 2, 4]).reshaped(&[sq[0], sq[2], sq[1] * width]).ok_or_else(fail)?,
        _ => y.view.reshaped(&[sq[0], sq[1], sq[2], width]).ok_or_else(fail)?,
    };
    Ok(vec![Seen { node: y.node, view }])
}

/// Far below every logit, whose power is then 0.
const SHUT: f64 = -1e30;

impl Import<'_> {
    /// What may not be seen is shut out: by a mask that is a constant, and what lies ahead. Logits are `[batch, heads of keys,
    /// queries of each, rows, columns]`.
    fn masked(&mut self, step: &Step, logits: Seen) -> Result<Seen> {
        let shape = logits.view.shape();
        let (rows, columns) = (shape[3], shape[4]);
        let dual = crate::dual::Dual::constant;
        let causal = step.call.flag("is_causal", false)?;
        let ahead = (0..rows * columns).map(|i| dual(if causal && i % columns > i / columns { SHUT } else { 0.0 }));
        let mut bias = Tensor::float([1, 1, 1, rows, columns], ahead.collect());
        if step.inputs.get(3).is_some_and(Option::is_some) {
            let mask = step.known(3)?;
            let open: Vec<f64> = match &mask.data {
                Data::Bool(open) => open.iter().map(|&b| if b { 0.0 } else { SHUT }).collect(),
                _ => super::host::numbers(mask).into_iter().map(|v| v.max(SHUT)).collect(),
            };
            let mut sizes = vec![1; 4usize.saturating_sub(mask.shape.len())];
            sizes.extend(&mask.shape);
            let heads = match sizes[..] {
                [_, 1, _, _] => [1, 1],
                [_, all, _, _] if all == shape[1] * shape[2] => [shape[1], shape[2]],
                _ => return Err(Error::invalid(step.name(3), format!("a mask {:?} for {shape:?}", mask.shape))),
            };
            let mask =
                Tensor::float([sizes[0], heads[0], heads[1], sizes[2], sizes[3]], open.into_iter().map(dual).collect());
            let [own, mask] = step.call.together(&bias, &mask)?;
            let both = own.floats()?.iter().zip(mask.floats()?).map(|(a, b)| dual((a.v + b.v).max(SHUT)));
            bias = Tensor::float(own.shape.clone(), both.collect());
        }
        if bias.floats()?.chunks_exact(columns.max(1)).any(|row| row.iter().all(|b| b.v == SHUT)) {
            return Err(Error::invalid("mask", "a query that may see no key is not supported"));
        }
        if bias.floats()?.iter().all(|b| b.v == 0.0) {
            return Ok(logits);
        }
        self.plus_constant(&step.label("mask"), &logits, &bias, 1.0)
    }
}
