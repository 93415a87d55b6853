//! Attention as one operator: softmax(Q K' s + mask) V, by heads. Of its outputs the first; keys and values of earlier calls are
//! not supported.
use super::einsum::matmul;
use super::reduce::softmax;
use super::{Operator, mapped};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::call::{Call, size};
use crate::onnx::tensor::{Data, Tensor};

/// The table.
pub const OPERATORS: &[Operator] = &[Operator::call(
    "Attention",
    &["is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap", "softmax_precision"],
    attention,
)];

/// Queries, keys and values by heads: `[batch, heads, tokens, width]`.
fn heads(call: &Call, i: usize, attribute: &str) -> Result<Tensor> {
    let x = call.input(i)?;
    match x.shape[..] {
        [_, _, _, _] => Ok(x.clone()),
        [batch, tokens, all] => {
            let heads = size(attribute, call.required(attribute)?)?;
            if heads == 0 || !all.is_multiple_of(heads) {
                return Err(Error::invalid(attribute, format!("{heads} heads of {all} numbers")));
            }
            Ok(x.reshaped([batch, tokens, heads, all / heads]).permuted(&[0, 2, 1, 3]))
        }
        _ => Err(Error::invalid("inputs", format!("{:?}, expected three axes or four", x.shape))),
    }
}

/// Each head so often that there is one for every head of queries.
fn repeated(call: &Call, x: Tensor, heads: usize) -> Result<Tensor> {
    let &[batch, own, tokens, width] = &x.shape[..] else { return Ok(x) };
    if own == heads {
        return Ok(x);
    }
    if own == 0 || !heads.is_multiple_of(own) {
        return Err(Error::invalid("heads", format!("{heads} of queries, {own} of keys or values")));
    }
    let times = heads / own;
    call.budget.numbers(&[batch, heads, tokens, width])?;
    Ok(x.reshaped([batch, own, 1, tokens, width])
        .stretched(&[batch, own, times, tokens, width])
        .reshaped([batch, heads, tokens, width]))
}

/// What is added to logits of so many rows and columns: the mask, and minus infinity for what may not be seen.
fn bias(call: &Call, [rows, columns]: [usize; 2]) -> Result<Tensor> {
    let shut = Dual::constant(f64::NEG_INFINITY);
    let causal = call.flag("is_causal", false)?;
    let all = call.budget.numbers(&[rows, columns])?;
    let ahead = |i: usize| if causal && i % columns > i / columns { shut } else { Dual::default() };
    let mut bias = Tensor::float([rows, columns], (0..all).map(ahead).collect());
    if let Some(mask) = call.optional(3) {
        let mask = match &mask.data {
            Data::Bool(open) => {
                let values = open.iter().map(|&open| if open { Dual::default() } else { shut }).collect();
                Tensor::float(mask.shape.clone(), values)
            }
            _ => mask.clone(),
        };
        let [b, mask] = call.together(&bias, &mask)?;
        bias = Tensor::float(b.shape.clone(), b.floats()?.iter().zip(mask.floats()?).map(|(&b, &m)| b + m).collect());
    }
    Ok(bias)
}

fn attention(call: &Call) -> Result<Vec<Tensor>> {
    if call.outputs() > 1 || (4..call.inputs.len()).any(|i| call.optional(i).is_some()) {
        return Err(Error::invalid(
            "inputs",
            "keys and values of earlier calls, and outputs besides the first, are not supported",
        ));
    }
    let q = heads(call, 0, "q_num_heads")?;
    let h = q.shape[1];
    let k = repeated(call, heads(call, 1, "kv_num_heads")?, h)?;
    let v = repeated(call, heads(call, 2, "kv_num_heads")?, h)?;
    let default = 1.0 / (q.shape[3] as f64).sqrt();
    let scale = match call.float("scale", 0.0)? {
        0.0 => default,
        given => given,
    };
    let mut logits = mapped(&matmul(call.budget, &q, &k.permuted(&[0, 1, 3, 2]))?, |x| (x * scale, scale))?;
    let cap = call.float("softcap", 0.0)?;
    if cap > 0.0 {
        logits = mapped(&logits, |x| (cap * (x / cap).tanh(), 1.0 - (x / cap).tanh().powi(2)))?;
    }
    let bias = bias(call, [logits.shape[2], logits.shape[3]])?;
    let [logits, bias] = call.together(&logits, &bias)?;
    let shut = |b: &Dual| b.v == f64::NEG_INFINITY;
    let biased = logits.floats()?.iter().zip(bias.floats()?).map(|(&x, b)| if shut(b) { *b } else { x + *b });
    let mut weights = softmax(&Tensor::float(logits.shape.clone(), biased.collect()), 3)?;
    // Who may see nothing sees zeros.
    let columns = logits.shape[3].max(1);
    if let Data::Float(values) = &mut weights.data {
        let rows = values.chunks_exact_mut(columns).zip(bias.floats()?.chunks_exact(columns));
        rows.filter(|(_, bias)| bias.iter().all(shut)).for_each(|(row, _)| row.fill(Dual::default()));
    }
    let y = matmul(call.budget, &weights, &v)?;
    match call.input(0)?.shape[..] {
        [batch, tokens, _] => {
            let width = v.shape[3];
            Ok(vec![y.permuted(&[0, 2, 1, 3]).reshaped([batch, tokens, h * width])])
        }
        _ => Ok(vec![y]),
    }
}
