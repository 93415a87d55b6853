//! Attention as one operator: products of queries and keys, masks, softmax, sums of values, by heads.
use super::{Import, Rule, Seen, Step};
use crate::error::{Error, Result};
use crate::onnx::tensor::Tensor;

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
    if step.call.float("softcap", 0.0)? != 0.0 {
        return Err(Error::invalid("softcap", "is not supported"));
    }
    let heads = |i: usize, attribute: &str| -> Result<Seen> {
        let x = step.seen(i)?;
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
    let (q, k, v) = (heads(0, "q_num_heads")?, heads(1, "kv_num_heads")?, heads(2, "kv_num_heads")?);
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
    weights = import.masked(step, weights, [sq[2], sk[2]])?;
    let weights = import.softmax(&step.label("softmax"), &weights, &[4])?;
    let y = import.of_both(&name, (&weights, &logits), (&v, &['b', 'h', 't', 'e']), &['b', 'h', 'g', 's', 'e'], 1.0)?;
    let width = v.view.shape()[3];
    let fail = || Error::invalid("result", "cannot be seen");
    let view = match step.seen(0)?.view.axes.len() {
        3 => y.view.permuted(&[0, 3, 1, 2, 4]).reshaped(&[sq[0], sq[2], sq[1] * width]).ok_or_else(fail)?,
        _ => y.view.reshaped(&[sq[0], sq[1], sq[2], width]).ok_or_else(fail)?,
    };
    Ok(vec![Seen { node: y.node, view }])
}

/// Far below every logit, whose power is then 0.
const SHUT: f64 = -1e30;

impl Import<'_> {
    /// What may not be seen is shut out: by a mask that is a constant, and what lies ahead.
    fn masked(&mut self, step: &Step, logits: Seen, [rows, columns]: [usize; 2]) -> Result<Seen> {
        let mut logits = logits;
        let dual = crate::dual::Dual::constant;
        if step.inputs.get(3).is_some_and(Option::is_some) {
            let mask = step.known(3)?;
            let open: Vec<f64> = match &mask.data {
                crate::onnx::Data::Bool(open) => open.iter().map(|&b| if b { 0.0 } else { SHUT }).collect(),
                _ => super::host::numbers(mask).into_iter().map(|v| v.max(SHUT)).collect(),
            };
            let rank = mask.shape.len();
            let mut shape = mask.shape.clone();
            if rank > 2 && shape[rank - 3] > 1 {
                return Err(Error::invalid(step.name(3), "one mask a head is not supported"));
            }
            shape.resize(shape.len().max(2), 1);
            let last = [shape[rank.max(2) - 2], shape[rank.max(2) - 1]];
            let tensor = Tensor::float(last, open.into_iter().map(dual).collect());
            logits = self.plus_constant(&step.label("mask"), &logits, &tensor, 1.0)?;
        }
        if step.call.flag("is_causal", false)? {
            let ahead =
                (0..rows * columns).map(|i| dual(if i % columns <= i / columns { 0.0 } else { SHUT })).collect();
            logits = self.plus_constant(&step.label("causal"), &logits, &Tensor::float([rows, columns], ahead), 1.0)?;
        }
        Ok(logits)
    }
}
