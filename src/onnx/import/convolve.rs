//! Convolutions: of one pixel as linear layers, of a channel alone as filters where their weights allow it, groups as weights that are
//! zero between them, kernels that are not square or dilated as larger ones with zeros.
use super::{Import, Rule, Seen, Step};
use crate::error::{Error, Result};
use crate::onnx::ops::conv::{Weights, Window, extents, kernel_shape, pads, spread, two, weights, window};
use crate::onnx::view::{Atom, View};
use crate::ops::conv::{Conv, Padding};
use crate::ops::depthwise::Depthwise;
use crate::ops::filter::{Filter, Taps};
use crate::ops::resample::Resample;
use crate::shape::Shape;
use std::sync::Arc;

/// The table.
pub(super) const RULES: &[(&str, Rule)] = &[("Conv", conv), ("ConvTranspose", transposed)];

/// Square kernels `[out, in, side, side]` with their padding, as `Conv` has them.
struct Square {
    side: usize,
    stride: usize,
    padding: Padding,
    weight: Arc<[f32]>,
}

/// Kernels `[out, in / group, ..]` as square ones of all channels, zero elsewhere.
fn square(w: &[f32], window: &Window, group: usize, inputs: usize, outputs: usize) -> Square {
    let [eh, ew] = [window.extent(0), window.extent(1)];
    let side = eh.max(ew);
    let taps = window.kernel[0] * window.kernel[1];
    let (all_in, all_out) = (group * inputs, group * outputs);
    let mut weight = vec![0f32; all_out * all_in * side * side];
    for o in 0..all_out {
        for i in 0..inputs {
            for t in 0..taps {
                let (u, v) = (t / window.kernel[1] * window.dilations[0], t % window.kernel[1] * window.dilations[1]);
                let c = o / outputs * inputs + i;
                weight[((o * all_in + c) * side + u) * side + v] = w[(o * inputs + i) * taps + t];
            }
        }
    }
    let [rows, columns] = window.pads;
    // What the square is larger by is zeros, which may stand beyond the image.
    let padding = Padding { rows: [rows[0], rows[1] + side - eh], columns: [columns[0], columns[1] + side - ew] };
    Square { side, stride: window.strides[0], padding, weight: weight.into() }
}

/// Rows and columns whose products the kernel is, exactly.
fn separated(kernel: &[f32], [h, w]: [usize; 2]) -> Option<[Vec<f64>; 2]> {
    let there = || kernel.iter().enumerate().filter(|k| *k.1 != 0.0);
    let size = |k: &(usize, &f32)| k.1.abs();
    let of = |a: &(usize, &f32), b: &(usize, &f32)| size(a).total_cmp(&size(b));
    // Of whole multiples of the least the ratios are exact; and of powers of two those to the largest.
    let pivots = [there().min_by(of)?.0, there().max_by(of)?.0];
    pivots.into_iter().find_map(|at| {
        let (r, q, pivot) = (at / w, at % w, f64::from(kernel[at]));
        // A power of two, so that both parts are as exact as the weights.
        let share = pivot.abs().sqrt().log2().round().exp2();
        let rows: Vec<f64> = (0..h).map(|i| f64::from(kernel[i * w + q]) / share).collect();
        let columns: Vec<f64> = (0..w).map(|j| f64::from(kernel[r * w + j]) * share / pivot).collect();
        let product = |i: usize| f64::from(rows[i / w] as f32) * f64::from(columns[i % w] as f32);
        (0..h * w).all(|i| product(i) == f64::from(kernel[i])).then_some([rows, columns])
    })
}

/// The filter that every channel has, if all have the same, and it is one of rows and columns.
fn common_filter(w: &[f32], kernel: [usize; 2]) -> Option<[Vec<f64>; 2]> {
    let taps = kernel[0] * kernel[1];
    let same = w.chunks_exact(taps).all(|k| k == &w[..taps]);
    if same { separated(&w[..taps], kernel) } else { None }
}

impl Import<'_> {
    /// x as an image, `[.., C, H, W]` or `[.., C, W]`.
    pub(super) fn image(&mut self, name: &str, x: &Seen) -> Result<(Seen, [usize; 2])> {
        let shape = x.view.shape();
        let sides = two(&shape[2..], 1)?;
        let order: Vec<usize> = [0].into_iter().chain(2..shape.len()).collect();
        if shape[0] != 1 {
            return Err(Error::invalid("input", format!("{shape:?}: a batch of {}, expected 1", shape[0])));
        }
        let laid = self.laid(name, x, &[1], Some(&order), Some((sides[0], sides[1])))?;
        Ok((laid, sides))
    }

    /// An image of the graph as the file's tensor of this rank.
    pub(super) fn as_file(&self, node: crate::graph::NodeId, rank: usize) -> Result<Seen> {
        let of = self.graph.shape(node);
        let shape = match rank {
            3 => vec![1, of.c, of.w],
            _ => vec![1, of.c, of.h, of.w],
        };
        let view = View::of(of, &shape, false).ok_or_else(|| Error::invalid("result", "cannot be seen"))?;
        Ok(Seen { node, view })
    }
}

/// The bias, or none.
fn bias(step: &Step, channels: usize) -> Result<Arc<[f32]>> {
    if !step.inputs.get(2).is_some_and(Option::is_some) {
        return Ok(vec![0.0; channels].into());
    }
    let b = step.known(2)?;
    match b.shape[..] {
        [n] if n == channels => Ok(super::host::numbers(b).into_iter().map(|v| v as f32).collect()),
        _ => Err(Error::invalid("bias", format!("{:?}, expected [{channels}]", b.shape))),
    }
}

/// One kernel for all of a batch is one for all of as many channels.
fn conv(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, w) = (step.seen(0)?.clone(), step.known(1)?);
    let shape = x.view.shape();
    if shape.len() < 3 || shape[0] == 1 || shape[1] != 1 || !w.shape.starts_with(&[1, 1]) {
        let weights = super::host::numbers(w);
        return convolved(import, step, x, &w.shape, &weights, None);
    }
    let mut order: Vec<usize> = (0..shape.len()).collect();
    order.swap(0, 1);
    let turned = Seen { view: x.view.permuted(&order), ..x };
    import.table(&[w.len(), shape[0]])?;
    let weights = super::host::numbers(w).repeat(shape[0]);
    let mut of = w.shape.clone();
    of[0] = shape[0];
    let made = convolved(import, step, turned, &of, &weights, Some(shape[0]))?;
    Ok(made.into_iter().map(|y| Seen { view: y.view.permuted(&order), ..y }).collect())
}

/// x against these weights, in so many groups, or in those that the node says.
fn convolved(
    import: &mut Import,
    step: &Step,
    x: Seen,
    w: &[usize],
    numbers: &[f64],
    group: Option<usize>,
) -> Result<Vec<Seen>> {
    let (name, shape) = (step.label(""), x.view.shape());
    let of = match group {
        Some(group) => Weights { group, inputs: 1, outputs: 1 },
        None => weights(&step.call, &shape, w, false)?,
    };
    let window = window(&step.call, &kernel_shape(&step.call, w)?, &shape[2..])?;
    let sides = two(&shape[2..], 1)?;
    let [h, width] = extents(&window, sides)?;
    let floats: Vec<f32> = numbers.iter().map(|&v| v as f32).collect();
    let (channels, rank) = (of.group * of.outputs, shape.len());
    let bias = match group {
        Some(_) => bias(step, 1)?.repeat(channels).into(),
        None => bias(step, channels)?,
    };
    let flat = window == Window { kernel: [1; 2], strides: [1; 2], dilations: window.dilations, pads: [[0; 2]; 2] };
    if flat && of.group == 1 {
        // Pixels may lie in any order.
        let turned: Vec<f32> = (0..of.inputs)
            .flat_map(|i| (0..channels).map(move |o| (i, o)))
            .map(|(i, o)| floats[o * of.inputs + i])
            .collect();
        let y = import.linear(&name, &x, &[1], &turned, channels)?;
        let last = rank - 1;
        let order: Vec<usize> = [0, last].into_iter().chain(1..last).collect();
        let y = Seen { view: y.view.permuted(&order), ..y };
        return import.with_bias(&step.label("bias"), y, &bias);
    }
    let (x, _) = import.image(&name, &x)?;
    let (x, window) = import.unpadded(x.node, window);
    let Shape { h: rows, w: columns, .. } = import.graph.shape(x);
    let sides = [rows, columns];
    if of.inputs == 1 && of.outputs == 1 {
        let tight = Window { pads: window.pads, strides: [window.strides[0]; 2], kernel: [3; 2], dilations: [1; 2] };
        if window == tight && (1..=2).contains(&window.strides[0]) {
            let [rows, columns] = window.pads;
            let op = Depthwise {
                channels,
                stride: window.strides[0],
                padding: Padding { rows, columns },
                weight: floats.into(),
                bias,
            };
            let node = import.push(name, op, &[x])?;
            return Ok(vec![import.as_file(node, rank)?]);
        }
        if let Some(parts) = common_filter(&floats, window.kernel) {
            let taps = |along: usize, outputs: usize| taps(&parts[along], &window, along, sides[along], outputs);
            let node = import.filter(&name, x, taps(0, h), taps(1, width))?;
            let y = import.as_file(node, rank)?;
            return import.with_bias(&step.label("bias"), y, &bias);
        }
    }
    let [down, across] = window.strides;
    let even = Window { strides: if down == across { window.strides } else { [1; 2] }, ..window };
    import.table(&[of.group * of.inputs, of.group * of.outputs, even.extent(0).max(even.extent(1)).pow(2)])?;
    let Square { side, stride, padding, weight } = square(&floats, &even, of.group, of.inputs, of.outputs);
    let op = Conv { in_channels: shape[1], out_channels: channels, kernel: side, stride, padding, weight, bias };
    let node = import.push(name, op, &[x])?;
    let mut y = import.as_file(node, rank)?;
    if down != across {
        // Of all outputs those that both strides take.
        let taken = |y: &Seen, axis: usize, by: usize, count: usize| {
            let view = y.view.sliced(axis, 0, by as i64, count);
            view.map(|view| Seen { view, node: y.node }).ok_or_else(|| Error::invalid("strides", "cannot be taken"))
        };
        if rank == 4 {
            y = taken(&y, 2, down, h)?;
        }
        y = taken(&y, rank - 1, across, width)?;
    }
    Ok(vec![y])
}

/// Terms of each output along an axis, of a filter that looks through a window.
fn taps(filter: &[f64], window: &Window, along: usize, n: usize, outputs: usize) -> Taps {
    let of = |i: usize| {
        let term = |(t, &weight): (usize, &f64)| {
            let at = (i * window.strides[along] + t * window.dilations[along]).checked_sub(window.pads[along][0])?;
            (at < n && weight != 0.0).then_some((at, weight))
        };
        filter.iter().enumerate().filter_map(term).collect()
    };
    Taps::new(&(0..outputs).map(of).collect::<Vec<_>>())
}

impl Import<'_> {
    fn with_bias(&mut self, name: &str, y: Seen, bias: &[f32]) -> Result<Vec<Seen>> {
        if bias.iter().all(|b| *b == 0.0) {
            return Ok(vec![y]);
        }
        let mut shape = vec![1; y.view.axes.len()];
        shape[1] = bias.len();
        let values = bias.iter().map(|&b| crate::dual::Dual::constant(f64::from(b))).collect();
        Ok(vec![self.plus_constant(name, &y, &crate::onnx::tensor::Tensor::float(shape, values), 1.0)?])
    }
}

fn transposed(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, w, name) = (step.seen(0)?.clone(), step.known(1)?, step.label(""));
    let shape = x.view.shape();
    let of = weights(&step.call, &shape, &w.shape, true)?;
    let mut window = window(&step.call, &w.shape[2..], &shape[2..])?;
    let axes = shape.len() - 2;
    if step.call.text("auto_pad", "NOTSET")? == "NOTSET" && step.call.ints("output_shape")?.is_none() {
        window.pads = two(&pads(&step.call, axes)?, [0; 2])?;
    }
    let sides = two(&shape[2..], 1)?;
    let (outputs, cut) = spread(&step.call, &window, sides, axes)?;
    let floats: Vec<f32> = super::host::numbers(w).into_iter().map(|v| v as f32).collect();
    let (channels, rank) = (of.group * of.outputs, shape.len());
    let bias = bias(step, channels)?;
    if of.inputs == 1
        && of.outputs == 1
        && let Some(parts) = common_filter(&floats, window.kernel)
    {
        let (x, _) = import.image(&name, &x)?;
        let taps = |along: usize| spread_taps(&parts[along], &window, along, sides[along], outputs[along], cut[along]);
        let node = import.filter(&name, x.node, taps(0), taps(1))?;
        let y = import.as_file(node, rank)?;
        return import.with_bias(&step.label("bias"), y, &bias);
    }
    let apart = window.kernel == window.strides && window.dilations == [1; 2] && cut == [0; 2];
    let full = (0..2).all(|i| outputs[i] == sides[i] * window.strides[i]);
    if apart && full && of.group == 1 {
        return import.patches(step, &x, &floats, &window, (of.inputs, of.outputs), &bias);
    }
    let (x, _) = import.image(&name, &x)?;
    let spread = import.spread(&step.label("spread"), &x, window.strides)?;
    // Turned around, every kernel is one of a convolution.
    let taps = window.kernel[0] * window.kernel[1];
    let mut turned = vec![0f32; floats.len()];
    for g in 0..of.group {
        for (i, o) in (0..of.inputs).flat_map(|i| (0..of.outputs).map(move |o| (i, o))) {
            for t in 0..taps {
                let from = ((g * of.inputs + i) * of.outputs + o) * taps + t;
                turned[((g * of.outputs + o) * of.inputs + i) * taps + taps - 1 - t] = floats[from];
            }
        }
    }
    let mut around = Window { strides: [1; 2], ..window };
    for i in 0..2 {
        let between = (sides[i] - 1) * window.strides[i] + 1;
        let before = (window.extent(i) - 1).checked_sub(cut[i]);
        let behind = (outputs[i] + window.extent(i) - 1).checked_sub(between + before.unwrap_or(0));
        around.pads[i] = match (before, behind) {
            (Some(before), Some(behind)) => [before, behind],
            _ => {
                return Err(Error::invalid(
                    "pads",
                    format!("{:?} are more than the kernel reaches, which is not supported", window.pads[i]),
                ));
            }
        };
    }
    import.table(&[of.group * of.inputs, of.group * of.outputs, around.extent(0).max(around.extent(1)).pow(2)])?;
    let Square { side, stride, padding, weight } = square(&turned, &around, of.group, of.inputs, of.outputs);
    let op = Conv { in_channels: shape[1], out_channels: channels, kernel: side, stride, padding, weight, bias };
    let node = import.push(name, op, &[spread])?;
    Ok(vec![import.as_file(node, rank)?])
}

/// Terms of each output along an axis of a transposed filter.
fn spread_taps(filter: &[f64], window: &Window, along: usize, n: usize, outputs: usize, cut: usize) -> Taps {
    let of = |o: usize| {
        let term = |(t, &weight): (usize, &f64)| {
            let at = (o + cut).checked_sub(t * window.dilations[along])?;
            let inside = at.is_multiple_of(window.strides[along]) && at / window.strides[along] < n && weight != 0.0;
            inside.then_some((at / window.strides[along], weight))
        };
        filter.iter().enumerate().filter_map(term).collect()
    };
    Taps::new(&(0..outputs).map(of).collect::<Vec<_>>())
}

impl Import<'_> {
    /// An image with zeros between its pixels.
    fn spread(&mut self, name: &str, x: &Seen, strides: [usize; 2]) -> Result<crate::graph::NodeId> {
        let Shape { h, w, .. } = self.graph.shape(x.node);
        match strides {
            [1, 1] => Ok(x.node),
            [2, 2] => self.push(name.to_string(), Resample::zeros(), &[x.node]),
            _ => {
                let taps = |n: usize, by: usize| {
                    Taps::new(
                        &(0..(n - 1) * by + 1)
                            .map(|i| if i % by == 0 { vec![(i / by, 1.0)] } else { vec![] })
                            .collect::<Vec<_>>(),
                    )
                };
                self.push(
                    name.to_string(),
                    Filter { rows: taps(h, strides[0]), columns: taps(w, strides[1]) },
                    &[x.node],
                )
            }
        }
    }

    /// Kernels that do not overlap: a linear layer to all pixels of a patch.
    fn patches(
        &mut self,
        step: &Step,
        x: &Seen,
        w: &[f32],
        window: &Window,
        (inputs, outputs): (usize, usize),
        bias: &[f32],
    ) -> Result<Vec<Seen>> {
        let shape = x.view.shape();
        let (rank, taps) = (shape.len(), window.kernel[0] * window.kernel[1]);
        debug_assert_eq!(inputs, shape[1]);
        let y = self.linear(&step.label("patches"), x, &[1], w, outputs * taps)?;
        let y = self.with_bias_of(&step.label("bias"), y, bias, taps)?;
        // [1, H, W, out k k] as [1, out, H k, W k].
        let last = rank - 1;
        let spatial = &shape[2..];
        let kernel = if rank == 4 { window.kernel.to_vec() } else { vec![window.kernel[1]] };
        let cut: Vec<usize> =
            [1].into_iter().chain(spatial.iter().copied()).chain([outputs]).chain(kernel.iter().copied()).collect();
        let fail = || Error::invalid("result", "cannot be seen");
        let view = y.view.reshaped(&cut).ok_or_else(fail)?;
        let pair =
            |i: usize| -> Vec<Atom> { view.axes[1 + i].iter().chain(&view.axes[last + 1 + i]).copied().collect() };
        let axes = [vec![], view.axes[last].clone()].into_iter().chain((0..spatial.len()).map(pair)).collect();
        Ok(vec![Seen { node: y.node, view: View { axes, ..view } }])
    }

    /// A bias of each channel for all numbers of a patch.
    fn with_bias_of(&mut self, name: &str, y: Seen, bias: &[f32], taps: usize) -> Result<Seen> {
        if bias.iter().all(|b| *b == 0.0) {
            return Ok(y);
        }
        let values: Vec<_> = bias.iter().flat_map(|&b| vec![crate::dual::Dual::constant(f64::from(b)); taps]).collect();
        self.plus_constant(name, &y, &crate::onnx::tensor::Tensor::float([values.len()], values), 1.0)
    }
}
