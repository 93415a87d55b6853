//! Arithmetic of two tensors, of which one may be a constant or depend on the label alone, and either may be stretched. A constant per
//! channel becomes a gain or a shift; SiLU, gains behind norms and scales of sums are found here.
use super::host::{Source, Turned, numbers};
use super::lay::{Run, refined, tables};
use super::scale::Factor;
use super::{Import, Rule, Seen, Step, Value, viewed};
use crate::error::{Error, Result};
use crate::graph::NodeId;
use crate::onnx::tensor::{Tensor, broadcast, strides};
use crate::onnx::view::{Atom, View};
use crate::ops::add::Add;
use crate::ops::combine::Combine;
use crate::ops::pointwise::Pointwise;
use crate::ops::told::Told;
use crate::shape::Shape;
use std::sync::Arc;

/// The table.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("Add", |i, s| i.two(s, Kind::Sum([1.0, 1.0]))),
    ("Sub", |i, s| i.two(s, Kind::Sum([1.0, -1.0]))),
    ("Mul", |i, s| i.two(s, Kind::Product)),
    ("Div", |i, s| i.two(s, Kind::Quotient)),
    ("Max", |i, s| i.many(s, Kind::Larger)),
    ("Min", |i, s| i.many(s, Kind::Smaller)),
    ("Sum", |i, s| i.many(s, Kind::Sum([1.0, 1.0]))),
    ("Mean", mean),
    ("Pow", power),
    ("PRelu", prelu),
    ("Greater", |i, s| i.above(s, 1.0)),
    ("GreaterOrEqual", |i, s| i.above(s, 1.0)),
    ("Less", |i, s| i.above(s, -1.0)),
    ("LessOrEqual", |i, s| i.above(s, -1.0)),
];

/// What is made of two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Product,
    Quotient,
    Larger,
    Smaller,
    Sum([f64; 2]),
}

impl Kind {
    fn op(self) -> Combine {
        match self {
            Self::Product => Combine::Product,
            Self::Quotient => Combine::Quotient,
            Self::Larger => Combine::Larger,
            Self::Smaller => Combine::Smaller,
            Self::Sum(scales) => Combine::Sum(scales),
        }
    }

    fn swapped(self) -> Option<Self> {
        match self {
            Self::Quotient => None,
            Self::Sum([s, t]) => Some(Self::Sum([t, s])),
            other => Some(other),
        }
    }
}

/// A tensor that does not depend on x, and where it comes from.
pub(super) struct Given {
    pub tensor: Arc<Tensor>,
    pub source: Source,
}

/// What stands for infinity in sums, which device code need not know: softmax makes zero of its negative.
const INFINITE: f64 = 1e30;

/// A constant in which some number is infinite, with finite ones instead; none of others.
fn finite(given: &Given) -> Option<Given> {
    let Source::Known(t) = &given.source else { return None };
    let values = numbers(t);
    values.iter().any(|v| v.is_infinite()).then(|| {
        let values = values.into_iter().map(|v| if v.is_infinite() { v.signum() * INFINITE } else { v });
        let tensor = Arc::new(Tensor::float(t.shape.clone(), values.map(crate::dual::Dual::constant).collect()));
        Given { tensor: tensor.clone(), source: Source::Known(tensor) }
    })
}

pub(super) fn given(step: &Step, i: usize) -> Result<Option<Given>> {
    Ok(match step.value(i)? {
        Value::Known(t) => Some(Given { tensor: t.clone(), source: Source::Known(t.clone()) }),
        Value::Told(t) => Some(Given { tensor: t.clone(), source: Source::Told(step.names[i].to_string()) }),
        Value::Seen(_) => None,
    })
}

impl Import<'_> {
    fn two(&mut self, step: &Step, kind: Kind) -> Result<Vec<Seen>> {
        let made = self.pair(step, 0, 1, kind)?;
        Ok(vec![made])
    }

    fn many(&mut self, step: &Step, kind: Kind) -> Result<Vec<Seen>> {
        match step.inputs.len() {
            1 => return Ok(vec![step.seen(0)?.clone()]),
            2 => return self.two(step, kind),
            _ => {}
        }
        // One after the other, the first that depends on x first.
        let all = (0..step.inputs.len()).map(|i| Ok((i, given(step, i)?))).collect::<Result<Vec<_>>>()?;
        let first = all.iter().find(|(_, given)| given.is_none()).map_or(0, |(i, _)| *i);
        let mut made = step.seen(first)?.clone();
        for (i, given) in all.into_iter().filter(|(i, _)| *i != first) {
            let name = step.label(if i + 1 == step.inputs.len() { "" } else { "part" });
            made = match given {
                Some(t) => self.with(&name, &made, &t, kind, false)?,
                None => self.of_two(&name, &made, step.seen(i)?, kind)?,
            };
        }
        Ok(vec![made])
    }

    fn pair(&mut self, step: &Step, i: usize, j: usize, kind: Kind) -> Result<Seen> {
        let name = step.label("");
        match (given(step, i)?, given(step, j)?) {
            (None, None) => self.of_two(&name, step.seen(i)?, step.seen(j)?, kind),
            (None, Some(b)) => self.with(&name, step.seen(i)?, &b, kind, false),
            (Some(a), None) => self.with(&name, step.seen(j)?, &a, kind, true),
            (Some(_), Some(_)) => Err(Error::invalid("inputs", "none depends on x")),
        }
    }

    /// Two tensors that depend on x.
    pub(super) fn of_two(&mut self, name: &str, a: &Seen, b: &Seen, kind: Kind) -> Result<Seen> {
        if let Some(found) = self.found(name, a, b, kind)? {
            return Ok(found);
        }
        let (sa, sb) = (a.view.shape(), b.view.shape());
        let shape = broadcast(&sa, &sb)
            .ok_or_else(|| Error::invalid("inputs", format!("shapes {sa:?} and {sb:?} cannot be broadcast")))?;
        viewed(&shape)?;
        let numbers = |s: &[usize]| s.iter().product::<usize>();
        // The larger one first, if the order does not matter.
        if let Some(swapped) = kind.swapped().filter(|_| numbers(&sb) > numbers(&sa)) {
            return self.of_two(name, b, a, swapped);
        }
        let stretched = |seen: &Seen| -> Result<Seen> {
            let view = seen.view.stretched(&shape).ok_or_else(|| Error::invalid("inputs", "cannot be stretched"))?;
            Ok(Seen { view, ..seen.clone() })
        };
        let (a, b) = (self.whole(name, &stretched(a)?)?, stretched(b)?);
        let b = match refined(&a.view, &b.view) {
            Some(_) => b,
            None => self.whole(name, &b)?,
        };
        let runs = refined(&a.view, &b.view)
            .ok_or_else(|| Error::invalid("inputs", "their axes are split in ways that do not fit"))?;
        if let Some(z) = self.narrow(name, &a.view, &b, &runs)? {
            let node = self.push(name.to_string(), kind.op(), &[a.node, z])?;
            return Ok(Seen { node, view: a.view });
        }
        let b = self.alike(name, &a.view, &b)?;
        let node = match kind {
            Kind::Sum([s, t]) => {
                let ((a, g), (b, h)) = (self.unscaled(a.node), self.unscaled(b.node));
                self.push(name.to_string(), Add { scales: [s * g, t * h] }, &[a, b])?
            }
            other => self.push(name.to_string(), other.op(), &[a.node, b.node])?,
        };
        Ok(Seen { node, view: a.view })
    }

    /// The one channel, or the one pixel, that stands for all of them; none if there is none such.
    fn narrow(&mut self, name: &str, a: &View, b: &Seen, runs: &[Run]) -> Result<Option<NodeId>> {
        let c = a.of.c as isize;
        let still = |pixel: bool| runs.iter().filter(|r| (r.stride >= c) == pixel).all(|r| r.other == 0);
        let (of_pixel, of_channel) = (still(false) && a.of.c > 1, still(true) && a.of.pixels() > 1);
        if !of_pixel && !of_channel {
            return Ok(None);
        }
        let of = match (of_pixel, of_channel) {
            (true, true) => Shape::new(1, 1, 1),
            (true, false) => Shape { c: 1, ..a.of },
            _ => Shape::new(a.of.c, 1, 1),
        };
        self.table(&[a.of.pixels() + a.of.c])?;
        let (pixels, channels) = tables(a.of, runs);
        let (pixels, channels) = (pixels[..of.pixels()].to_vec(), channels[..of.c].to_vec());
        let own = b.view.of;
        let in_place = own == of
            && b.view.first == 0
            && pixels.iter().enumerate().all(|(i, p)| *p == (i * own.c) as i64)
            && channels.iter().enumerate().all(|(i, p)| *p == i as i64);
        if in_place {
            return Ok(Some(b.node));
        }
        let gather = super::lay::gather(of, b.view.first as i64, pixels, channels)?;
        Ok(Some(self.push(format!("{name}.beside"), gather, &[b.node])?))
    }

    /// A tensor that depends on x, and one that does not; `first`: that one is the first of both.
    pub(super) fn with(&mut self, name: &str, x: &Seen, given: &Given, kind: Kind, first: bool) -> Result<Seen> {
        let shut = matches!(kind, Kind::Sum(_)).then(|| finite(given)).flatten();
        let given = shut.as_ref().unwrap_or(given);
        let (sx, sg) = (x.view.shape(), &given.tensor.shape);
        let shape = broadcast(&sx, sg)
            .ok_or_else(|| Error::invalid("inputs", format!("shapes {sx:?} and {sg:?} cannot be broadcast")))?;
        viewed(&shape)?;
        let view = x.view.stretched(&shape).ok_or_else(|| Error::invalid("inputs", "cannot be stretched"))?;
        let x = self.whole(name, &Seen { view, node: x.node })?;
        if let (true, Source::Known(t)) = (given.tensor.len() == 1, &given.source) {
            let v = numbers(t)[0];
            if let Some(made) = self.by_number(name, &x, v, kind, first)? {
                return Ok(made);
            }
        }
        let other = Seen { node: x.node, view: self.as_view(&given.tensor, &shape)? };
        let runs = refined(&x.view, &other.view)
            .ok_or_else(|| Error::invalid("inputs", "their axes are split in ways that do not fit"))?;
        self.table(&[x.view.of.pixels() + x.view.of.c])?;
        let (pixels, channels) = tables(x.view.of, &runs);
        let c = x.view.of.c as isize;
        let by_channel = runs.iter().all(|r| r.stride < c || r.other == 0);
        if by_channel {
            let places: Vec<usize> = channels.iter().map(|&p| p as usize).collect();
            if let Some(node) = self.by_channel(name, x.node, given, &places, (kind, first))? {
                return Ok(Seen { node, view: x.view });
            }
        }
        let z = self.told(name, x.view.of, &runs, given, (&pixels, &channels))?;
        let (a, b, z_first) = (x.node, z.0, first);
        let node = match (kind, z_first, z.1) {
            (Kind::Sum(scales), false, true) => self.push(name.to_string(), Add { scales }, &[a, b])?,
            (Kind::Sum([s, t]), true, true) => self.push(name.to_string(), Add { scales: [t, s] }, &[a, b])?,
            (Kind::Quotient, true, _) => {
                let inverse = self.push(format!("{name}.inverse"), Pointwise::Reciprocal, &[a])?;
                self.push(name.to_string(), Combine::Product, &[inverse, b])?
            }
            (kind, true, _) => {
                let swapped = kind.swapped().unwrap_or(kind);
                self.push(name.to_string(), swapped.op(), &[a, b])?
            }
            (kind, false, _) => self.push(name.to_string(), kind.op(), &[a, b])?,
        };
        Ok(Seen { node, view: x.view })
    }

    /// The view of a tensor of the host, stretched, as if it lay in C order.
    fn as_view(&self, tensor: &Tensor, shape: &[usize]) -> Result<View> {
        let steps = strides(&tensor.shape);
        let axes = tensor.shape.iter().zip(&steps);
        let axes = axes.map(|(&size, &stride)| if size > 1 { vec![Atom { size, stride }] } else { vec![] }).collect();
        let view = View { of: Shape::new(tensor.len().max(1), 1, 1), first: 0, axes };
        view.stretched(shape)
            .ok_or_else(|| Error::invalid("inputs", format!("{:?} cannot be stretched to {shape:?}", tensor.shape)))
    }

    /// One number: a scale, a shift, a bound.
    fn by_number(&mut self, name: &str, x: &Seen, v: f64, kind: Kind, first: bool) -> Result<Option<Seen>> {
        let affine = |gain: f64, shift: f64| Some((gain, shift));
        let made = match (kind, first) {
            (Kind::Product, _) => affine(v, 0.0),
            (Kind::Quotient, false) => affine(1.0 / v, 0.0),
            (Kind::Sum([s, t]), false) => affine(s, t * v),
            (Kind::Sum([s, t]), true) => affine(t, s * v),
            _ => None,
        };
        if let Some((gain, shift)) = made {
            let node = self.scaled_by(name, x.node, gain, shift)?;
            return Ok(Some(Seen { node, ..x.clone() }));
        }
        Ok(match kind {
            Kind::Larger => Some(self.function(name, x, Pointwise::Clip([v as f32, f32::MAX]))?),
            Kind::Smaller => Some(self.function(name, x, Pointwise::Clip([f32::MIN, v as f32]))?),
            Kind::Quotient => {
                let inverse = self.function(&format!("{name}.inverse"), x, Pointwise::Reciprocal)?;
                let node = self.scaled_by(name, inverse.node, v, 0.0)?;
                Some(Seen { node, ..x.clone() })
            }
            _ => None,
        })
    }

    /// A gain or a shift for every channel; none if that is not what it is.
    fn by_channel(
        &mut self,
        name: &str,
        x: NodeId,
        given: &Given,
        places: &[usize],
        (kind, first): (Kind, bool),
    ) -> Result<Option<NodeId>> {
        let mut factor = |turned: Turned| match &given.source {
            Source::Known(t) => {
                let values = numbers(t);
                Factor::Fixed(places.iter().map(|&p| turned.of(values[p])).collect())
            }
            source => Factor::Row(self.host.row(name.to_string(), source.clone(), places.to_vec(), turned)),
        };
        let all = |v| Factor::all(v, places.len());
        let (gain, shift) = match (kind, first) {
            (Kind::Product, _) => (factor(Turned::AsItIs), all(0.0)),
            (Kind::Quotient, false) => (factor(Turned::Inverted), all(0.0)),
            (Kind::Sum([1.0, 1.0]), _) => (all(1.0), factor(Turned::AsItIs)),
            (Kind::Sum([1.0, -1.0]), false) => (all(1.0), factor(Turned::Negated)),
            (Kind::Sum([1.0, -1.0]), true) => (all(-1.0), factor(Turned::AsItIs)),
            _ => return Ok(None),
        };
        self.scaled(name, x, gain, shift).map(Some)
    }

    /// A tensor of numbers that do not depend on x, where those of `of` lie; and whether it is as large.
    fn told(
        &mut self,
        name: &str,
        of: Shape,
        runs: &[Run],
        given: &Given,
        (pixels, channels): (&[i64], &[i64]),
    ) -> Result<(NodeId, bool)> {
        let c = of.c as isize;
        let by_pixel = of.c > 1 && runs.iter().all(|r| r.stride >= c || r.other == 0);
        let shape = if by_pixel { Shape { c: 1, ..of } } else { of };
        let channels = &channels[..shape.c];
        let node = self.told_at(&format!("{name}.told"), shape, given, pixels, channels)?;
        Ok((node, !by_pixel))
    }

    /// A tensor of this shape, of numbers at these places of one that does not depend on x.
    fn told_at(&mut self, name: &str, shape: Shape, given: &Given, pixels: &[i64], channels: &[i64]) -> Result<NodeId> {
        self.table(&[pixels.len(), channels.len()])?;
        let places = pixels.iter().flat_map(|p| channels.iter().map(move |q| (p + q) as usize)).collect();
        let table = self.host.row(name.to_string(), given.source.clone(), places, Turned::AsItIs);
        self.push(name.to_string(), Told { shape, table, steps: [shape.c, 1] }, &[])
    }

    /// What does not depend on x, as a tensor that is seen so.
    pub(super) fn told_as(&mut self, name: &str, target: &View, given: &Given) -> Result<NodeId> {
        let other = self.as_view(&given.tensor, &target.shape())?;
        let runs = refined(target, &other)
            .ok_or_else(|| Error::invalid("inputs", "their axes are split in ways that do not fit"))?;
        self.table(&[target.of.pixels() + target.of.c])?;
        let (pixels, channels) = tables(target.of, &runs);
        self.told_at(name, target.of, given, &pixels, &channels)
    }

    /// 1 where the first is above the second (or, with -1, below it), else 0.
    fn above(&mut self, step: &Step, sign: f64) -> Result<Vec<Seen>> {
        let gap = self.pair(step, 0, 1, Kind::Sum([sign, -sign]))?;
        Ok(vec![self.function(&step.label("step"), &gap, Pointwise::Step)?])
    }
}

fn mean(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let n = step.inputs.len();
    let sum = import.many(step, Kind::Sum([1.0, 1.0]))?;
    Ok(vec![import.affine(&step.label("mean"), &sum[0], 1.0 / n as f64, 0.0)?])
}

/// x^p for whole numbers p and halves of them.
fn power(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, exponents) = (step.seen(0)?.clone(), step.known(1)?);
    let all = numbers(exponents);
    let one = all.first().copied().filter(|p| all.iter().all(|q| q == p) && (2.0 * p).fract() == 0.0);
    let fits = broadcast(&x.view.shape(), &exponents.shape) == Some(x.view.shape());
    let Some(p) = one.filter(|p| fits && p.abs() <= MOST_POWER) else {
        let shown = &all[..all.len().min(4)];
        let message = format!("{shown:?}, expected one number, whole or half of a whole one, of at most {MOST_POWER}");
        return Err(Error::invalid("exponent", message));
    };
    let (name, size) = (step.label(""), p.abs());
    let whole = match size.trunc() as usize {
        0 => None,
        n => Some(import.whole_power(&step.label("whole"), &x, n)?),
    };
    let root = (size.fract() != 0.0).then(|| import.function(&step.label("root"), &x, Pointwise::Sqrt)).transpose()?;
    let y = match (whole, root) {
        (Some(y), None) | (None, Some(y)) => y,
        (Some(y), Some(root)) => import.of_two(&step.label("both"), &y, &root, Kind::Product)?,
        (None, None) => return Ok(vec![import.affine(&name, &x, 0.0, 1.0)?]),
    };
    Ok(vec![if p < 0.0 { import.function(&name, &y, Pointwise::Reciprocal)? } else { y }])
}

/// Powers beyond this one are refused: rounding grows with them.
const MOST_POWER: f64 = 32.0;

/// max(x, 0) + a min(x, 0).
fn prelu(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let slope = given(step, 1)?.ok_or_else(|| Error::invalid("slope", "depends on x, which is not supported"))?;
    let below = import.function(&step.label("below"), &x, Pointwise::Clip([f32::MIN, 0.0]))?;
    let sloped = import.with(&step.label("sloped"), &below, &slope, Kind::Product, false)?;
    let above = import.function(&step.label("above"), &x, Pointwise::Relu)?;
    Ok(vec![import.of_two(&name, &above, &sloped, Kind::Sum([1.0, 1.0]))?])
}

impl Import<'_> {
    /// x^n, n >= 1, by squares.
    fn whole_power(&mut self, name: &str, x: &Seen, n: usize) -> Result<Seen> {
        if n == 1 {
            return Ok(x.clone());
        }
        let half = self.whole_power(name, x, n / 2)?;
        let square = self.of_two(&format!("{name}{}", n / 2 * 2), &half, &half, Kind::Product)?;
        if n.is_multiple_of(2) { Ok(square) } else { self.of_two(&format!("{name}{n}"), &square, x, Kind::Product) }
    }

    /// x plus `times` a constant.
    pub(super) fn plus_constant(&mut self, name: &str, x: &Seen, constant: &Tensor, times: f64) -> Result<Seen> {
        let values = numbers(constant).into_iter().map(|v| crate::dual::Dual::constant(times * v)).collect();
        let tensor = Arc::new(Tensor::float(constant.shape.clone(), values));
        self.with(
            name,
            x,
            &Given { tensor: tensor.clone(), source: Source::Known(tensor) },
            Kind::Sum([1.0, 1.0]),
            false,
        )
    }

    /// x times a constant.
    pub(super) fn times_constant(&mut self, name: &str, x: &Seen, constant: &Tensor) -> Result<Seen> {
        let tensor = Arc::new(constant.clone());
        self.with(name, x, &Given { tensor: tensor.clone(), source: Source::Known(tensor) }, Kind::Product, false)
    }
}
