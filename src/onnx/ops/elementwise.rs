//! Functions of each number, and of two tensors that are stretched to one shape: arithmetic, activations, comparisons.
use super::{Operator, mapped};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::call::Call;
use crate::onnx::tensor::{Data, Tensor, broadcast};
use std::f64::consts::{FRAC_2_SQRT_PI, PI};

const fn call(
    name: &'static str,
    attributes: &'static [&'static str],
    rule: fn(&Call) -> Result<Vec<Tensor>>,
) -> Operator {
    Operator::call(name, attributes, rule)
}

/// The table.
#[rustfmt::skip]
pub const OPERATORS: &[Operator] = &[
    Operator::each("Sqrt", |x| (x.sqrt(), 0.5 / x.sqrt())),
    Operator::each("Log", |x| (x.ln(), 1.0 / x)),
    Operator::each("Exp", |x| (x.exp(), x.exp())),
    Operator::each("Sin", |x| (x.sin(), x.cos())),
    Operator::each("Cos", |x| (x.cos(), -x.sin())),
    Operator::each("Tan", |x| (x.tan(), 1.0 + x.tan().powi(2))),
    Operator::each("Asin", |x| (x.asin(), 1.0 / (1.0 - x * x).sqrt())),
    Operator::each("Acos", |x| (x.acos(), -1.0 / (1.0 - x * x).sqrt())),
    Operator::each("Atan", |x| (x.atan(), 1.0 / (1.0 + x * x))),
    Operator::each("Sinh", |x| (x.sinh(), x.cosh())),
    Operator::each("Cosh", |x| (x.cosh(), x.sinh())),
    Operator::each("Asinh", |x| (x.asinh(), 1.0 / (1.0 + x * x).sqrt())),
    Operator::each("Acosh", |x| (x.acosh(), 1.0 / (x * x - 1.0).sqrt())),
    Operator::each("Atanh", |x| (x.atanh(), 1.0 / (1.0 - x * x))),
    Operator::each("Tanh", |x| (x.tanh(), 1.0 - x.tanh().powi(2))),
    Operator::each("Sigmoid", |x| { let s = sigmoid(x); (s, s * sigmoid(-x)) }),
    Operator::each("Relu", |x| (if x <= 0.0 { 0.0 } else { x }, f64::from(x > 0.0))),
    Operator::each("Erf", |x| (libm::erf(x), FRAC_2_SQRT_PI * (-x * x).exp())),
    Operator::each("Reciprocal", |x| (1.0 / x, -1.0 / (x * x))),
    Operator::each("Softplus", |x| (x.max(0.0) + (-x.abs()).exp().ln_1p(), sigmoid(x))),
    Operator::each("Softsign", |x| (x / (1.0 + x.abs()), 1.0 / (1.0 + x.abs()).powi(2))),
    Operator::each("HardSwish", |x| {
        let slope = if x <= -3.0 { 0.0 } else if x >= 3.0 { 1.0 } else { (2.0 * x + 3.0) / 6.0 };
        (x * ((x + 3.0) / 6.0).clamp(0.0, 1.0), slope)
    }),
    Operator::each("Mish", |x| { let y = Dual::new(x, 1.0).mish(); (y.v, y.d) }),
    Operator::each("Floor", |x| (x.floor(), 0.0)),
    Operator::each("Ceil", |x| (x.ceil(), 0.0)),
    Operator::each("Round", |x| (x.round_ties_even(), 0.0)),
    call("Sign", &[], |c| signed(c, |x| (sign(x), 0.0), |n| n.signum())),
    call("Abs", &[], |c| signed(c, |x| (x.abs(), sign(x)), i64::wrapping_abs)),
    call("Neg", &[], |c| signed(c, |x| (-x, -1.0), i64::wrapping_neg)),
    call("LeakyRelu", &["alpha"], |c| { let a = c.float("alpha", 0.01)?; one(c, |x| if x <= 0.0 { (a * x, a) } else { (x, 1.0) }) }),
    call("ThresholdedRelu", &["alpha"], |c| { let a = c.float("alpha", 1.0)?; one(c, |x| if x > a { (x, 1.0) } else { (0.0, 0.0) }) }),
    call("Elu", &["alpha"], |c| { let a = c.float("alpha", 1.0)?; one(c, |x| if x <= 0.0 { (a * x.exp_m1(), a * x.exp()) } else { (x, 1.0) }) }),
    call("Celu", &["alpha"], |c| { let a = c.float("alpha", 1.0)?; one(c, |x| if x < 0.0 { (a * (x / a).exp_m1(), (x / a).exp()) } else { (x, 1.0) }) }),
    call("Selu", &["alpha", "gamma"], selu),
    call("HardSigmoid", &["alpha", "beta"], hard_sigmoid),
    call("Gelu", &["approximate"], gelu),
    call("Swish", &["alpha"], |c| { let a = c.float("alpha", 1.0)?; one(c, |x| { let s = sigmoid(a * x); (x * s, s + a * x * s * sigmoid(-a * x)) }) }),
    call("Clip", &["min", "max"], clip),
    call("PRelu", &[], |c| pairs(c, |x, a| if x.v <= 0.0 { x * a } else { x }, None)),
    call("Add", &[], |c| pairs(c, |a, b| a + b, Some(i64::checked_add))),
    call("Sub", &[], |c| pairs(c, |a, b| a - b, Some(i64::checked_sub))),
    call("Mul", &[], |c| pairs(c, |a, b| a * b, Some(i64::checked_mul))),
    call("Div", &[], |c| pairs(c, |a, b| a / b, Some(i64::checked_div))),
    call("Mod", &["fmod"], modulo),
    call("Pow", &[], power),
    call("Max", &[], |c| many(c, |a, b| if b.v > a.v || b.v.is_nan() { b } else { a }, i64::max)),
    call("Min", &[], |c| many(c, |a, b| if b.v < a.v || b.v.is_nan() { b } else { a }, i64::min)),
    call("Sum", &[], |c| many(c, |a, b| a + b, i64::wrapping_add)),
    call("Mean", &[], |c| { let n = 1.0 / c.inputs.len() as f64; let sum = many(c, |a, b| a + b, i64::wrapping_add)?; Ok(vec![mapped(&sum[0], |x| (x * n, n))?]) }),
    call("Equal", &[], |c| compare(c, |a, b| a == b, |a, b| a == b)),
    call("Greater", &[], |c| compare(c, |a, b| a > b, |a, b| a > b)),
    call("GreaterOrEqual", &[], |c| compare(c, |a, b| a >= b, |a, b| a >= b)),
    call("Less", &[], |c| compare(c, |a, b| a < b, |a, b| a < b)),
    call("LessOrEqual", &[], |c| compare(c, |a, b| a <= b, |a, b| a <= b)),
    call("And", &[], |c| logical(c, |a, b| a && b)),
    call("Or", &[], |c| logical(c, |a, b| a || b)),
    call("Xor", &[], |c| logical(c, |a, b| a != b)),
    call("Not", &[], |c| Ok(vec![Tensor::bool(c.input(0)?.shape.clone(), c.input(0)?.bools()?.iter().map(|b| !b).collect())])),
    call("IsNaN", &[], |c| Ok(vec![Tensor::bool(c.input(0)?.shape.clone(), c.input(0)?.floats()?.iter().map(|x| x.v.is_nan()).collect())])),
    call("Identity", &[], |c| Ok(vec![c.input(0)?.clone()])),
    call("Dropout", &["ratio", "seed"], dropout),
    call("Cast", &["to", "saturate", "round_mode"], |c| cast(c.input(0)?, c.required("to")?)),
    call("CastLike", &["saturate", "round_mode"], |c| cast(c.input(0)?, match c.input(1)?.data { Data::Float(_) => 1, Data::Int(_) => 7, Data::Bool(_) => 9 })),
    call("DequantizeLinear", &["axis", "block_size"], dequantize),
];

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// 0 at 0.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// A function of each number of the one input.
fn one(call: &Call, f: impl Fn(f64) -> (f64, f64)) -> Result<Vec<Tensor>> {
    Ok(vec![mapped(call.input(0)?, f)?])
}

/// The same, of integers too.
fn signed(call: &Call, f: fn(f64) -> (f64, f64), of_ints: fn(i64) -> i64) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    match &x.data {
        Data::Int(v) => Ok(vec![Tensor::int(x.shape.clone(), v.iter().map(|&n| of_ints(n)).collect())]),
        _ => one(call, f),
    }
}

fn selu(call: &Call) -> Result<Vec<Tensor>> {
    let (a, g) = (call.float("alpha", 1.673_263_2)?, call.float("gamma", 1.050_701)?);
    one(call, |x| if x > 0.0 { (g * x, g) } else { (g * a * x.exp_m1(), g * a * x.exp()) })
}

fn hard_sigmoid(call: &Call) -> Result<Vec<Tensor>> {
    let (a, b) = (call.float("alpha", 0.2)?, call.float("beta", 0.5)?);
    one(call, |x| {
        let y = a * x + b;
        (y.clamp(0.0, 1.0), if (0.0..=1.0).contains(&y) { a } else { 0.0 })
    })
}

/// x P(x), or x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 (arXiv 1606.08415).
fn gelu(call: &Call) -> Result<Vec<Tensor>> {
    if call.one_of("approximate", "none", &["none", "tanh"])? == "none" {
        return one(call, |x| {
            let y = Dual::new(x, 1.0).gelu();
            (y.v, y.d)
        });
    }
    let c = (2.0 / PI).sqrt();
    one(call, |x| {
        let (t, slope) = ((c * (x + 0.044_715 * x.powi(3))).tanh(), c * (1.0 + 3.0 * 0.044_715 * x * x));
        (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
    })
}

/// Its slope at a bound is 1, as PyTorch has it.
fn clip(call: &Call) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    if let Data::Int(v) = &x.data {
        let bound = |i: usize, none: i64| match call.optional(i) {
            Some(given) => given.whole(),
            None => Ok(none),
        };
        let (least, most) = (bound(1, i64::MIN)?, bound(2, i64::MAX)?);
        return Ok(vec![Tensor::int(x.shape.clone(), v.iter().map(|&n| n.max(least).min(most)).collect())]);
    }
    let bound = |i: usize, name: &str, none: f32| match call.optional(i) {
        Some(given) => given.moving(),
        None => call.float(name, none).map(Dual::constant),
    };
    let (least, most) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
    let clipped = |&x: &Dual| match x {
        x if most.v < x.v.max(least.v) => most,
        x if x.v < least.v => least,
        x => x,
    };
    Ok(vec![Tensor::float(x.shape.clone(), x.floats()?.iter().map(clipped).collect())])
}

/// A function of two numbers; of integers too, if it has such a rule.
fn pairs(call: &Call, f: fn(Dual, Dual) -> Dual, of_ints: Option<fn(i64, i64) -> Option<i64>>) -> Result<Vec<Tensor>> {
    let [a, b] = call.together(call.input(0)?, call.input(1)?)?;
    let data = match (&a.data, &b.data, of_ints) {
        (Data::Int(a), Data::Int(b), Some(f)) => {
            let wrong = |a: i64, b: i64| Error::invalid("inputs", format!("{a} and {b} have no result among integers"));
            Data::Int(a.iter().zip(b).map(|(&a, &b)| f(a, b).ok_or_else(|| wrong(a, b))).collect::<Result<_>>()?)
        }
        _ => Data::Float(a.floats()?.iter().zip(b.floats()?).map(|(&a, &b)| f(a, b)).collect()),
    };
    Ok(vec![Tensor { shape: a.shape, data }])
}

/// A function of as many tensors as there are, two at a time.
fn many(call: &Call, f: fn(Dual, Dual) -> Dual, of_ints: fn(i64, i64) -> i64) -> Result<Vec<Tensor>> {
    let mut result = call.input(0)?.clone();
    for i in 1..call.inputs.len() {
        let [a, b] = call.together(&result, call.input(i)?)?;
        let data = match (&a.data, &b.data) {
            (Data::Int(a), Data::Int(b)) => Data::Int(a.iter().zip(b).map(|(&a, &b)| of_ints(a, b)).collect()),
            _ => Data::Float(a.floats()?.iter().zip(b.floats()?).map(|(&a, &b)| f(a, b)).collect()),
        };
        result = Tensor { shape: a.shape, data };
    }
    Ok(vec![result])
}

/// Python's remainder, or C's where `fmod` says so.
fn modulo(call: &Call) -> Result<Vec<Tensor>> {
    let truncated = call.flag("fmod", false)?;
    let [a, b] = call.together(call.input(0)?, call.input(1)?)?;
    let data = match (&a.data, &b.data) {
        (Data::Int(a), Data::Int(b)) => {
            if b.contains(&0) {
                return Err(Error::invalid("inputs", "the remainder of a division by 0"));
            }
            let of = |(&a, &b): (&i64, &i64)| {
                let rest = a.wrapping_rem(b);
                if truncated || rest == 0 || (rest < 0) == (b < 0) { rest } else { rest + b }
            };
            Data::Int(a.iter().zip(b).map(of).collect())
        }
        _ => {
            // The remainder has the sign of a, or of b.
            let of = |(a, b): (&Dual, &Dual)| {
                let (rest, times) = (a.v % b.v, (a.v / b.v).trunc());
                match truncated || rest == 0.0 || (rest < 0.0) == (b.v < 0.0) {
                    true => {
                        Dual::new(if truncated || rest != 0.0 { rest } else { rest.copysign(b.v) }, a.d - times * b.d)
                    }
                    false if b.v.is_infinite() => Dual::new(b.v, b.d),
                    false => Dual::new(rest + b.v, a.d - (times - 1.0) * b.d),
                }
            };
            Data::Float(a.floats()?.iter().zip(b.floats()?).map(of).collect())
        }
    };
    Ok(vec![Tensor { shape: a.shape, data }])
}

/// x^p; its derivative by p only where p moves.
fn power(call: &Call) -> Result<Vec<Tensor>> {
    let [a, b] = call.together(call.input(0)?, call.input(1)?)?;
    let exponents: Vec<Dual> = match &b.data {
        Data::Int(v) => v.iter().map(|&n| Dual::constant(n as f64)).collect(),
        _ => b.floats()?.to_vec(),
    };
    if let Data::Int(bases) = &a.data {
        let powers = bases.iter().zip(&exponents).map(|(&x, p)| (x as f64).powf(p.v) as i64).collect();
        return Ok(vec![Tensor::int(a.shape, powers)]);
    }
    let of = |(x, p): (&Dual, &Dual)| {
        let v = x.v.powf(p.v);
        let by_x = if x.d == 0.0 { 0.0 } else { x.d * p.v * x.v.powf(p.v - 1.0) };
        Dual::new(v, by_x + if p.d == 0.0 || v == 0.0 { 0.0 } else { p.d * v * x.v.ln() })
    };
    let values = a.floats()?.iter().zip(&exponents).map(of).collect();
    Ok(vec![Tensor::float(a.shape, values)])
}

fn compare(call: &Call, floats: fn(f64, f64) -> bool, ints: fn(i64, i64) -> bool) -> Result<Vec<Tensor>> {
    let [a, b] = call.together(call.input(0)?, call.input(1)?)?;
    let values = match (&a.data, &b.data) {
        (Data::Int(a), Data::Int(b)) => a.iter().zip(b).map(|(&a, &b)| ints(a, b)).collect(),
        (Data::Bool(a), Data::Bool(b)) => a.iter().zip(b).map(|(&a, &b)| ints(a.into(), b.into())).collect(),
        _ => a.floats()?.iter().zip(b.floats()?).map(|(a, b)| floats(a.v, b.v)).collect(),
    };
    Ok(vec![Tensor::bool(a.shape, values)])
}

fn logical(call: &Call, f: fn(bool, bool) -> bool) -> Result<Vec<Tensor>> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let shape = broadcast(&a.shape, &b.shape);
    let [a, b] = call.together(a, b)?;
    let values = a.bools()?.iter().zip(b.bools()?).map(|(&a, &b)| f(a, b)).collect();
    Ok(vec![Tensor::bool(shape.unwrap_or(a.shape), values)])
}

/// The identity: a network is asked in evaluation mode.
fn dropout(call: &Call) -> Result<Vec<Tensor>> {
    if let Some(training) = call.optional(2)
        && training.bools()?.contains(&true)
    {
        return Err(Error::invalid("training_mode", "is on: export after model.eval()"));
    }
    let x = call.input(0)?;
    let mask = Tensor::bool(x.shape.clone(), vec![true; x.len()]);
    Ok([x.clone(), mask].into_iter().take(call.outputs().max(1)).collect())
}

/// Numbers of another type. Every floating-point type is f64 here, whose digits are kept.
pub fn cast(x: &Tensor, to: i64) -> Result<Vec<Tensor>> {
    let element = i32::try_from(to).map_err(|e| e.to_string()).and_then(crate::onnx::stored::Element::of);
    let element = element.map_err(|e| Error::invalid("to", e))?;
    let data = match (&x.data, element) {
        (Data::Float(v), e) if e.is_float() => Data::Float(v.clone()),
        (Data::Int(v), e) if e.is_float() => Data::Float(v.iter().map(|&n| Dual::constant(n as f64)).collect()),
        (Data::Bool(v), e) if e.is_float() => Data::Float(v.iter().map(|&b| Dual::constant(b.into())).collect()),
        (Data::Float(v), crate::onnx::stored::Element::Bool) => Data::Bool(v.iter().map(|x| x.v != 0.0).collect()),
        (Data::Int(v), crate::onnx::stored::Element::Bool) => Data::Bool(v.iter().map(|&n| n != 0).collect()),
        (Data::Bool(v), crate::onnx::stored::Element::Bool) => Data::Bool(v.clone()),
        (Data::Float(v), _) => Data::Int(v.iter().map(|x| x.v as i64).collect()),
        (Data::Int(v), _) => Data::Int(v.clone()),
        (Data::Bool(v), _) => Data::Int(v.iter().map(|&b| b.into()).collect()),
    };
    Ok(vec![Tensor { shape: x.shape.clone(), data }])
}

/// (x - zero point) scale, per tensor or along an axis.
fn dequantize(call: &Call) -> Result<Vec<Tensor>> {
    call.only("block_size", 0)?;
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let along = |t: &Tensor| -> Result<Tensor> {
        if t.len() == 1 {
            return Ok(t.reshaped(vec![1; x.shape.len()]));
        }
        let axis = call.axis("axis", 1, x.shape.len())?;
        let mut shape = vec![1; x.shape.len()];
        shape[axis] = t.len();
        Ok(t.reshaped(shape))
    };
    let [x, scale] = call.together(x, &along(scale)?)?;
    let zero = match call.optional(2) {
        Some(zero) => call.together(&along(zero)?, &x)?[0].ints()?.to_vec(),
        None => vec![0; x.len()],
    };
    let value = |((&n, &zero), scale): ((&i64, &i64), &Dual)| *scale * (n as f64 - zero as f64);
    let values = x.ints()?.iter().zip(&zero).zip(scale.floats()?).map(value).collect();
    Ok(vec![Tensor::float(x.shape, values)])
}
