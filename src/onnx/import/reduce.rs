//! Sums, means, lengths and maxima along axes: of a pixel's channels, or of rows and columns.
use super::combine::Kind;
use super::lay::on_pixels;
use super::{Import, Rule, Seen, Step};
use crate::error::{Error, Result};
use crate::onnx::ops::reduce::axes;
use crate::onnx::tensor::axis;
use crate::onnx::view::{Laid, View};
use crate::ops::filter::Taps;
use crate::ops::pointwise::Pointwise;
use crate::ops::reduce::{Made, Reduce};
use crate::shape::Shape;

/// The table.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("ReduceSum", |i, s| i.reduced(s, What::Sum)),
    ("ReduceMean", |i, s| i.reduced(s, What::Mean)),
    ("ReduceSumSquare", |i, s| i.reduced(s, What::Squares)),
    ("ReduceL1", |i, s| i.reduced(s, What::Sizes)),
    ("ReduceL2", |i, s| i.reduced(s, What::Length)),
    ("ReduceMax", |i, s| i.reduced(s, What::Most)),
    ("ReduceMin", |i, s| i.reduced(s, What::Least)),
    ("ReduceLogSum", |i, s| i.reduced(s, What::LogSum)),
    ("ReduceLogSumExp", |i, s| i.reduced(s, What::LogSumExp)),
    ("LogSoftmax", log_softmax),
    ("CumSum", running),
    ("GlobalAveragePool", |i, s| i.global(s, What::Mean)),
    ("GlobalMaxPool", |i, s| i.global(s, What::Most)),
];

/// What is made of the numbers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum What {
    Sum,
    Mean,
    Squares,
    Sizes,
    Length,
    Most,
    Least,
    LogSum,
    LogSumExp,
}

impl Import<'_> {
    fn reduced(&mut self, step: &Step, what: What) -> Result<Vec<Seen>> {
        let x = step.seen(0)?.clone();
        // Axes are read as for a tensor of the host.
        if step.inputs.get(1).is_some_and(Option::is_some) {
            step.known(1)?;
        }
        let rank = x.view.axes.len();
        let Some(axes) = axes(&step.call, rank)? else { return Ok(vec![x]) };
        let keep = step.call.flag("keepdims", true)?;
        Ok(vec![self.over(&step.label(""), &x, &axes, keep, what)?])
    }

    fn global(&mut self, step: &Step, what: What) -> Result<Vec<Seen>> {
        let x = step.seen(0)?.clone();
        let rank = x.view.axes.len();
        if rank < 3 {
            return Err(Error::invalid("input", format!("{:?}, expected three axes or more", x.view.shape())));
        }
        Ok(vec![self.over(&step.label(""), &x, &(2..rank).collect::<Vec<_>>(), true, what)?])
    }

    pub(super) fn over(&mut self, name: &str, x: &Seen, axes: &[usize], keep: bool, what: What) -> Result<Seen> {
        let n: usize = axes.iter().map(|&i| x.view.shape()[i]).product();
        match what {
            What::Squares => {
                let length = self.over(&format!("{name}.length"), x, axes, keep, What::Length)?;
                return self.of_two(name, &length, &length, Kind::Product);
            }
            What::Sizes => {
                let sizes = self.function(&format!("{name}.sizes"), x, Pointwise::Abs)?;
                return self.over(name, &sizes, axes, keep, What::Sum);
            }
            What::Least => {
                let turned = self.affine(&format!("{name}.negated"), x, -1.0, 0.0)?;
                let most = self.over(&format!("{name}.most"), &turned, axes, keep, What::Most)?;
                return self.affine(name, &most, -1.0, 0.0);
            }
            What::LogSum => {
                let sum = self.over(&format!("{name}.sum"), x, axes, keep, What::Sum)?;
                return self.function(name, &sum, Pointwise::Log);
            }
            What::LogSumExp => {
                let [most, _, log] = self.powers(name, x, axes)?;
                let y = self.of_two(name, &log, &most, Kind::Sum([1.0, 1.0]))?;
                return Ok(without(y, axes, keep));
            }
            _ => {}
        }
        let scale = if what == What::Mean { 1.0 / n as f64 } else { 1.0 };
        let sums = matches!(what, What::Sum | What::Mean);
        if let (true, Laid::Copied { .. }) = (sums, x.view.laid(axes, None))
            && let Some(y) = self.filtered(name, x, axes, scale)?
        {
            return Ok(without(y, axes, keep));
        }
        let x = self.laid(name, x, axes, None, None)?;
        let made = match what {
            What::Length => Made::Length,
            What::Most => Made::Most,
            _ => Made::Sum(scale as f32),
        };
        let node = self.push(name.to_string(), Reduce { heads: 1, made }, &[x.node])?;
        let mut kept = vec![vec![]; x.view.axes.len()];
        for i in (0..kept.len()).filter(|i| !axes.contains(i)) {
            kept[i] = on_pixels(&x.view, i, 1)?;
        }
        let view = View { of: Shape { c: 1, ..x.view.of }, first: 0, axes: kept };
        Ok(without(Seen { node, view }, axes, keep))
    }

    /// The largest number along axes, how far all lie below it, and the logarithm of the sum of these powers.
    fn powers(&mut self, name: &str, x: &Seen, axes: &[usize]) -> Result<[Seen; 3]> {
        let part = |part: &str| format!("{name}.{part}");
        let most = self.over(&part("most"), x, axes, true, What::Most)?;
        let lower = self.of_two(&part("lower"), x, &most, Kind::Sum([1.0, -1.0]))?;
        let powers = self.function(&part("powers"), &lower, Pointwise::Exp)?;
        let log = self.over(&part("log"), &powers, axes, true, What::LogSum)?;
        Ok([most, lower, log])
    }

    /// Sums over rows, columns or both of an image; none if that is not what the axes are.
    fn filtered(&mut self, name: &str, x: &Seen, axes: &[usize], scale: f64) -> Result<Option<Seen>> {
        let rank = x.view.axes.len();
        if !(3..=4).contains(&rank) || axes.iter().any(|&i| i < 2) || x.view.shape()[0] != 1 {
            return Ok(None);
        }
        let (image, [h, w]) = self.image(name, x)?;
        let sum = |n: usize, on: bool, scale: f64| match on {
            true => Taps::new(&[(0..n).map(|i| (i, scale)).collect()]),
            false => Taps::identity(n),
        };
        let (rows, columns) = (rank == 4 && axes.contains(&2), axes.contains(&(rank - 1)));
        let share = |on: bool| if on { scale } else { 1.0 };
        // The mean's factor goes with the columns, or with the rows where these stay.
        let node = self.filter(name, image.node, sum(h, rows, share(!columns)), sum(w, columns, scale))?;
        self.as_file(node, rank).map(Some)
    }
}

/// Without the axes that are gone, or with one number along each.
fn without(y: Seen, axes: &[usize], keep: bool) -> Seen {
    if keep {
        return y;
    }
    let kept = y.view.axes.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, a)| a.clone()).collect();
    Seen { view: View { axes: kept, ..y.view }, node: y.node }
}

/// x less the logarithm of the sum of all e^x.
fn log_softmax(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name, rank) = (step.seen(0)?.clone(), step.label(""), step.seen(0)?.view.axes.len());
    let axes: Vec<usize> = match step.call.opset {
        13.. => vec![step.call.axis("axis", -1, rank)?],
        _ => (step.call.axis("axis", 1, rank)?..rank).collect(),
    };
    let [_, lower, log] = import.powers(&name, &x, &axes)?;
    Ok(vec![import.of_two(&name, &lower, &log, Kind::Sum([1.0, -1.0]))?])
}

/// The longest axis that running sums are made along: their weights are a square of it.
const LONGEST: usize = 1024;

/// Sums along an axis of all numbers so far: a linear layer whose weights are a triangle of ones.
fn running(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let x = step.seen(0)?.clone();
    let rank = x.view.axes.len();
    let along = axis(step.known(1)?.whole()?, rank)?;
    let (exclusive, reverse) = (step.call.flag("exclusive", false)?, step.call.flag("reverse", false)?);
    let n = x.view.shape()[along];
    if n > LONGEST {
        return Err(Error::invalid(
            "input",
            format!("{n} numbers along axis {along}, at most {LONGEST} are supported"),
        ));
    }
    let counts = |i: usize, o: usize| (i == o && !exclusive) || if reverse { i > o } else { i < o };
    let weight: Vec<f32> = (0..n * n).map(|at| if counts(at / n, at % n) { 1.0 } else { 0.0 }).collect();
    let y = import.linear(&step.label(""), &x, &[along], &weight, n)?;
    let place = |i: usize| if i == along { rank - 1 } else { i - usize::from(i > along) };
    Ok(vec![Seen { view: y.view.permuted(&(0..rank).map(place).collect::<Vec<_>>()), node: y.node }])
}
