//! Functions of each number, whose tensor may lie however it likes.
use super::combine::Kind;
use super::{Import, Rule, Seen, Step};
use crate::error::{Error, Result};
use crate::ops::pointwise::Pointwise;
use crate::ops::silu::Silu;

/// The table.
#[rustfmt::skip]
pub(super) const RULES: &[(&str, Rule)] = &[
    ("Relu",        |i, s| i.each(s, Pointwise::Relu)),
    ("Sigmoid",     |i, s| i.each(s, Pointwise::Sigmoid)),
    ("Tanh",        |i, s| i.each(s, Pointwise::Tanh)),
    ("Exp",         |i, s| i.each(s, Pointwise::Exp)),
    ("Log",         |i, s| i.each(s, Pointwise::Log)),
    ("Sqrt",        |i, s| i.each(s, Pointwise::Sqrt)),
    ("Reciprocal",  |i, s| i.each(s, Pointwise::Reciprocal)),
    ("Softplus",    |i, s| i.each(s, Pointwise::Softplus)),
    ("Abs",         |i, s| i.each(s, Pointwise::Abs)),
    ("Erf",         |i, s| i.each(s, Pointwise::Erf)),
    ("Mish",        |i, s| i.each(s, Pointwise::Mish)),
    ("HardSwish",   |i, s| i.each(s, Pointwise::HardSwish)),
    ("LeakyRelu",   |i, s| i.each(s, Pointwise::LeakyRelu(s.call.float("alpha", 0.01)? as f32))),
    ("Elu",         |i, s| i.each(s, Pointwise::Elu([s.call.float("alpha", 1.0)? as f32, 1.0]))),
    ("Selu",        |i, s| i.each(s, Pointwise::Elu([s.call.float("alpha", 1.673_263_2)? as f32, s.call.float("gamma", 1.050_701)? as f32]))),
    ("HardSigmoid", |i, s| i.each(s, Pointwise::HardSigmoid([s.call.float("alpha", 0.2)? as f32, s.call.float("beta", 0.5)? as f32]))),
    ("Sin",         |i, s| i.each(s, Pointwise::Sin)),
    ("Cos",         |i, s| i.each(s, Pointwise::Cos)),
    ("Tan",         tangent),
    ("Sinh",        |i, s| i.hyperbolic(s, -0.5)),
    ("Cosh",        |i, s| i.hyperbolic(s, 0.5)),
    ("Softsign",    softsign),
    ("Celu",        celu),
    ("ThresholdedRelu", thresholded),
    ("Gelu",        gelu),
    ("Swish",       swish),
    ("Clip",        clip),
    ("Neg",         |i, s| { let x = s.seen(0)?.clone(); Ok(vec![i.affine(&s.label(""), &x, -1.0, 0.0)?]) }),
    ("Identity",    |_, s| Ok(vec![s.seen(0)?.clone()])),
    ("Dropout",     dropout),
    ("Cast",        cast),
    ("CastLike",    |_, s| Ok(vec![s.seen(0)?.clone()])),
];

impl Import<'_> {
    fn each(&mut self, step: &Step, op: Pointwise) -> Result<Vec<Seen>> {
        let x = step.seen(0)?.clone();
        Ok(vec![self.function(&step.label(""), &x, op)?])
    }

    /// A function of each number of a tensor.
    pub(super) fn function(&mut self, name: &str, x: &Seen, op: Pointwise) -> Result<Seen> {
        let x = self.whole(name, x)?;
        let node = self.push(name.to_string(), op, &[x.node])?;
        Ok(Seen { node, ..x })
    }

    /// gain x + shift.
    pub(super) fn affine(&mut self, name: &str, x: &Seen, gain: f64, shift: f64) -> Result<Seen> {
        let x = self.whole(name, x)?;
        let node = self.scaled_by(name, x.node, gain, shift)?;
        Ok(Seen { node, ..x })
    }

    /// x / (1 + e^-x).
    pub(super) fn silu(&mut self, name: &str, x: &Seen) -> Result<Seen> {
        let x = self.whole(name, x)?;
        let node = self.push(name.to_string(), Silu, &[x.node])?;
        Ok(Seen { node, ..x })
    }
}

/// sin x / cos x.
fn tangent(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let x = step.seen(0)?.clone();
    let sine = import.function(&step.label("sine"), &x, Pointwise::Sin)?;
    let cosine = import.function(&step.label("cosine"), &x, Pointwise::Cos)?;
    Ok(vec![import.of_two(&step.label(""), &sine, &cosine, Kind::Quotient)?])
}

impl Import<'_> {
    /// e^x / 2 plus e^-x times `share`.
    fn hyperbolic(&mut self, step: &Step, share: f64) -> Result<Vec<Seen>> {
        let x = step.seen(0)?.clone();
        let up = self.function(&step.label("up"), &x, Pointwise::Exp)?;
        let down = self.function(&step.label("down"), &up, Pointwise::Reciprocal)?;
        Ok(vec![self.of_two(&step.label(""), &up, &down, Kind::Sum([0.5, share]))?])
    }
}

/// x / (1 + |x|).
fn softsign(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let x = step.seen(0)?.clone();
    let size = import.function(&step.label("size"), &x, Pointwise::Abs)?;
    let above = import.affine(&step.label("above"), &size, 1.0, 1.0)?;
    Ok(vec![import.of_two(&step.label(""), &x, &above, Kind::Quotient)?])
}

/// x, or a (e^(x / a) - 1) below 0: a times the function with a = 1 of x / a.
fn celu(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, a) = (step.seen(0)?.clone(), step.call.float("alpha", 1.0)?);
    if a == 0.0 {
        return Err(Error::invalid("alpha", "0, expected another number"));
    }
    let inner = import.affine(&step.label("inner"), &x, 1.0 / a, 0.0)?;
    let curved = import.function(&step.label("curved"), &inner, Pointwise::Elu([1.0, 1.0]))?;
    Ok(vec![import.affine(&step.label(""), &curved, a, 0.0)?])
}

/// x above a, else 0.
fn thresholded(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, a) = (step.seen(0)?.clone(), step.call.float("alpha", 1.0)?);
    let gap = import.affine(&step.label("gap"), &x, 1.0, -a)?;
    let above = import.function(&step.label("above"), &gap, Pointwise::Step)?;
    Ok(vec![import.of_two(&step.label(""), &x, &above, Kind::Product)?])
}

fn gelu(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    match step.call.one_of("approximate", "none", &["none", "tanh"])?.as_str() {
        "none" => import.each(step, Pointwise::Gelu),
        _ => import.each(step, Pointwise::GeluTanh),
    }
}

fn swish(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let x = step.seen(0)?.clone();
    match step.call.float("alpha", 1.0)? {
        1.0 => Ok(vec![import.silu(&step.label(""), &x)?]),
        // x s(a x) = silu(a x) / a
        a if a != 0.0 => {
            let inner = import.affine(&step.label("inner"), &x, a, 0.0)?;
            let curved = import.silu(&step.label("silu"), &inner)?;
            Ok(vec![import.affine(&step.label(""), &curved, 1.0 / a, 0.0)?])
        }
        _ => Ok(vec![import.affine(&step.label(""), &x, 0.5, 0.0)?]),
    }
}

fn clip(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let bound = |i: usize, name: &str, none: f32| -> Result<f32> {
        match step.inputs.get(i).is_some_and(Option::is_some) {
            true => Ok(step.known(i)?.one()? as f32),
            false => Ok(step.call.float(name, none)? as f32),
        }
    };
    let bounds = [bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?];
    import.each(step, Pointwise::Clip(bounds.map(|b| b.clamp(f32::MIN, f32::MAX))))
}

fn dropout(_: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    if step.inputs.get(2).is_some_and(Option::is_some) && step.known(2)?.bools()?.contains(&true) {
        return Err(Error::invalid("training_mode", "is on: export after model.eval()"));
    }
    Ok(vec![step.seen(0)?.clone()])
}

/// Numbers of x stay as they are: of another floating-point type they would only lose digits.
fn cast(_: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let to = i32::try_from(step.call.required("to")?).unwrap_or_default();
    match crate::onnx::Element::of(to) {
        Ok(element) if element.is_float() => Ok(vec![step.seen(0)?.clone()]),
        Ok(element) => Err(Error::invalid(
            "to",
            format!("{}: what depends on x has no derivative as whole numbers", element.name()),
        )),
        Err(e) => Err(Error::invalid("to", e)),
    }
}
