//! Convolutions and transposed convolutions of one and two spatial axes, in groups, strided, dilated, padded. One axis is seen as
//! rows of height one.
use super::Operator;
use super::threads::parts;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::call::{Call, size};
use crate::onnx::tensor::Tensor;

/// The table.
pub const OPERATORS: &[Operator] = &[
    Operator::call("Conv", &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"], conv),
    Operator::call(
        "ConvTranspose",
        &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"],
        transposed,
    ),
];

/// Pixels that an image may have along an axis, and that a kernel may see.
pub const MOST_PIXELS: usize = 1 << 20;
const MOST_SEEN: usize = 1 << 14;

/// A window on an image: along rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Pixels of the kernel.
    pub kernel: [usize; 2],
    /// Pixels between outputs.
    pub strides: [usize; 2],
    /// Pixels between those that a kernel sees.
    pub dilations: [usize; 2],
    /// Zeros before and behind.
    pub pads: [[usize; 2]; 2],
}

impl Window {
    /// Pixels from the first to the last that a kernel sees.
    pub fn extent(&self, along: usize) -> usize {
        (self.kernel[along] - 1) * self.dilations[along] + 1
    }
}

/// Two numbers of one per spatial axis; a lone axis is the columns.
pub fn two<T: Copy>(of: &[T], first: T) -> Result<[T; 2]> {
    match of {
        [only] => Ok([first, *only]),
        [rows, columns] => Ok([*rows, *columns]),
        other => Err(Error::invalid("axes", format!("{} spatial axes, expected 1 or 2", other.len()))),
    }
}

/// The window of a node whose kernel has these sizes, on an image of these: attributes of convolutions and pools.
pub fn window(call: &Call, kernel: &[usize], image: &[usize]) -> Result<Window> {
    let axes = kernel.len();
    let (strides, dilations) = (call.sizes("strides", 1, axes)?, call.sizes("dilations", 1, axes)?);
    if kernel.contains(&0) || strides.contains(&0) || dilations.contains(&0) {
        return Err(Error::invalid("attribute", "kernel, strides and dilations are 1 or more"));
    }
    let extent = |i: usize| (kernel[i] - 1) * dilations[i] + 1;
    if let Some(i) = (0..axes).find(|&i| extent(i) > MOST_SEEN) {
        let message = format!("sees {} pixels along an axis, at most {MOST_SEEN} are supported", extent(i));
        return Err(Error::invalid("kernel", message));
    }
    let auto = call.one_of("auto_pad", "NOTSET", &["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])?;
    let pads: Vec<[usize; 2]> = match auto.as_str() {
        "NOTSET" => pads(call, axes)?,
        "VALID" => vec![[0; 2]; axes],
        _ => (0..axes)
            .map(|i| {
                let all =
                    (image[i].div_ceil(strides[i]).saturating_sub(1) * strides[i] + extent(i)).saturating_sub(image[i]);
                let (small, large) = (all / 2, all - all / 2);
                if auto == "SAME_UPPER" { [small, large] } else { [large, small] }
            })
            .collect(),
    };
    Ok(Window {
        kernel: two(kernel, 1)?,
        strides: two(&strides, 1)?,
        dilations: two(&dilations, 1)?,
        pads: two(&pads, [0; 2])?,
    })
}

/// `pads` of so many axes, before and behind each.
pub fn pads(call: &Call, axes: usize) -> Result<Vec<[usize; 2]>> {
    let Some(given) = call.ints("pads")? else { return Ok(vec![[0; 2]; axes]) };
    if given.len() != 2 * axes {
        let spatial = if axes == 1 { "axis wants" } else { "axes want" };
        // What torch writes of padding=(1,).
        let help =
            if given.len() == axes { "; export with padding as one number, or as one for each axis" } else { "" };
        let message = format!("pads has {} numbers, {axes} spatial {spatial} {}{help}", given.len(), 2 * axes);
        return Err(Error::invalid("attribute", message));
    }
    (0..axes).map(|i| Ok([size("pads", given[i])?, size("pads", given[i + axes])?])).collect()
}

/// Weights of a convolution: `[out, in / group, ..]`, or `[in, out / group, ..]` of a transposed one.
pub struct Weights {
    /// Groups of channels.
    pub group: usize,
    /// Channels of a group that are read.
    pub inputs: usize,
    /// Channels of a group that are made.
    pub outputs: usize,
}

/// Checks weights against the input's channels.
pub fn weights(call: &Call, x: &[usize], w: &[usize], transposed: bool) -> Result<Weights> {
    if x.len() != w.len() || !(3..=4).contains(&x.len()) {
        let message =
            format!("x {x:?} and weights {w:?}: expected three axes each, or four; images of three are not supported");
        return Err(Error::invalid("inputs", message));
    }
    let group = size("group", call.int("group", 1)?)?;
    let name = call.node.proto.input.get(1).map_or("", String::as_str);
    let wrong = |wanted: usize| {
        let message = format!("weight '{name}' {w:?} wants {wanted} input channels, x has {}", x[1]);
        Error::invalid("inputs", message)
    };
    if group == 0 {
        return Err(Error::invalid("group", "0, expected 1 or more"));
    }
    if transposed {
        return match w[0] == x[1] && w[0].is_multiple_of(group) {
            true => Ok(Weights { group, inputs: w[0] / group, outputs: w[1] }),
            false => Err(wrong(w[0])),
        };
    }
    let wanted = w[1].saturating_mul(group);
    match wanted == x[1] && w[0].is_multiple_of(group) {
        true => Ok(Weights { group, inputs: w[1], outputs: w[0] / group }),
        false => Err(wrong(wanted)),
    }
}

/// Sizes of the output: `[rows, columns]`.
pub fn extents(window: &Window, image: [usize; 2]) -> Result<[usize; 2]> {
    let along = |i: usize| {
        let [before, behind] = window.pads[i];
        let room = (image[i] + before + behind).checked_sub(window.extent(i));
        let message = || {
            format!(
                "{} pixels with {:?} zeros around them do not hold a kernel of {}",
                image[i], window.pads[i], window.kernel[i]
            )
        };
        let n = room.map(|room| room / window.strides[i] + 1).ok_or_else(|| Error::invalid("input", message()))?;
        at_most(n)
    };
    Ok([along(0)?, along(1)?])
}

/// Pixels along an axis of an output, if there may be as many.
fn at_most(n: usize) -> Result<usize> {
    match n <= MOST_PIXELS {
        true => Ok(n),
        false => {
            Err(Error::invalid("output", format!("{n} pixels along an axis, at most {MOST_PIXELS} are supported")))
        }
    }
}

/// Sizes of the kernel, which the weights have and the node may say too.
pub fn kernel_shape(call: &Call, w: &[usize]) -> Result<Vec<usize>> {
    let own = w[2..].to_vec();
    match call.sizes("kernel_shape", 0, own.len())? {
        given if given.iter().all(|&n| n == 0) || given == own => Ok(own),
        given => Err(Error::invalid("kernel_shape", format!("{given:?}, the weights have {own:?}"))),
    }
}

/// Bias, one number per output channel.
fn bias(call: &Call, channels: usize) -> Result<Vec<Dual>> {
    let Some(b) = call.optional(2) else { return Ok(vec![Dual::default(); channels]) };
    match b.shape[..] {
        [n] if n == channels => Ok(b.floats()?.to_vec()),
        _ => Err(Error::invalid("bias", format!("{:?}, expected [{channels}]", b.shape))),
    }
}

fn conv(call: &Call) -> Result<Vec<Tensor>> {
    let (x, w) = (call.input(0)?, call.input(1)?);
    let Weights { group, inputs, outputs } = weights(call, &x.shape, &w.shape, false)?;
    let window = window(call, &kernel_shape(call, &w.shape)?, &x.shape[2..])?;
    let [h, width] = two(&x.shape[2..], 1)?;
    let [rows, columns] = extents(&window, [h, width])?;
    let bias = bias(call, group * outputs)?;
    let (taps, pixels) = (window.kernel[0] * window.kernel[1], rows * columns);
    let (xs, ws) = (x.floats()?, w.floats()?);
    let total = call.budget.numbers(&[x.shape[0], group * outputs, pixels])?;
    call.budget.multiply(&[total, inputs, taps])?;
    let (channels, all) = (x.shape[1], group * outputs);
    let products = total.saturating_mul(inputs).saturating_mul(taps);
    let y = parts(x.shape[0] * all, products, |i| {
        let (n, o) = (i / all, i % all);
        let mut plane = vec![bias[o]; pixels];
        for c in 0..inputs {
            let image = &xs[(n * channels + o / outputs * inputs + c) * h * width..][..h * width];
            for t in 0..taps {
                let weight = ws[(o * inputs + c) * taps + t];
                add_tap(&mut plane, image, weight, &window, t, [h, width], [rows, columns]);
            }
        }
        plane
    });
    let mut shape = vec![x.shape[0], group * outputs];
    shape.extend(if x.shape.len() == 3 { vec![columns] } else { vec![rows, columns] });
    Ok(vec![Tensor::float(shape, y)])
}

/// Adds one tap's products to a plane of outputs.
fn add_tap(
    plane: &mut [Dual],
    image: &[Dual],
    weight: Dual,
    window: &Window,
    tap: usize,
    [h, w]: [usize; 2],
    [rows, columns]: [usize; 2],
) {
    let at = [tap / window.kernel[1] * window.dilations[0], tap % window.kernel[1] * window.dilations[1]];
    let [down, across] = window.strides;
    let [above, left] = [window.pads[0][0], window.pads[1][0]];
    for i in 0..rows {
        let Some(r) = (i * down + at[0]).checked_sub(above).filter(|r| *r < h) else { continue };
        let (out, line) = (&mut plane[i * columns..(i + 1) * columns], &image[r * w..(r + 1) * w]);
        let first = left.saturating_sub(at[1]).div_ceil(across);
        let behind = (w + left).saturating_sub(at[1]).div_ceil(across).min(columns);
        for (j, v) in out.iter_mut().enumerate().take(behind).skip(first) {
            *v += line[j * across + at[1] - left] * weight;
        }
    }
}

/// Sizes of a transposed convolution's output and what is cut off before it, along rows and columns.
pub fn spread(call: &Call, window: &Window, image: [usize; 2], axes: usize) -> Result<([usize; 2], [usize; 2])> {
    let more = two(&call.sizes("output_padding", 0, axes)?, 0)?;
    let auto = call.text("auto_pad", "NOTSET")?;
    let asked = match call.ints("output_shape")? {
        Some(asked) => {
            let spatial = &asked[asked.len().saturating_sub(axes)..];
            Some(two(&spatial.iter().map(|&n| size("output_shape", n)).collect::<Result<Vec<_>>>()?, 1)?)
        }
        None => None,
    };
    let mut sizes = [0; 2];
    let mut cut = [0; 2];
    for i in 0..2 {
        let full = (image[i].max(1) - 1) * window.strides[i] + more[i] + window.extent(i);
        let wanted = match (asked, auto.as_str()) {
            (Some(asked), _) => Some(asked[i]),
            (None, "SAME_UPPER" | "SAME_LOWER") => Some(image[i] * window.strides[i]),
            _ => None,
        };
        (sizes[i], cut[i]) = match wanted {
            Some(size) => {
                let all = full.saturating_sub(size);
                (size, if auto == "SAME_UPPER" { all / 2 } else { all - all / 2 })
            }
            None => (full.saturating_sub(window.pads[i].iter().sum()), window.pads[i][0]),
        };
        at_most(sizes[i])?;
    }
    Ok((sizes, cut))
}

fn transposed(call: &Call) -> Result<Vec<Tensor>> {
    let (x, w) = (call.input(0)?, call.input(1)?);
    let Weights { group, inputs, outputs } = weights(call, &x.shape, &w.shape, true)?;
    let axes = x.shape.len() - 2;
    let kernel = kernel_shape(call, &w.shape)?;
    let mut window = window(call, &kernel, &x.shape[2..])?;
    if call.text("auto_pad", "NOTSET")? == "NOTSET" && call.ints("output_shape")?.is_none() {
        window.pads = two(&pads(call, axes)?, [0; 2])?;
    }
    let [h, width] = two(&x.shape[2..], 1)?;
    let ([rows, columns], cut) = spread(call, &window, [h, width], axes)?;
    let bias = bias(call, group * outputs)?;
    let (taps, pixels) = (window.kernel[0] * window.kernel[1], rows * columns);
    let (xs, ws) = (x.floats()?, w.floats()?);
    let total = call.budget.numbers(&[x.shape[0], group * outputs, pixels])?;
    call.budget.multiply(&[x.len(), outputs, taps])?;
    let (channels, all) = (x.shape[1], group * outputs);
    let products = total.saturating_mul(inputs).saturating_mul(taps);
    let y = parts(x.shape[0] * all, products, |i| {
        let (n, o) = (i / all, i % all);
        let mut plane = vec![bias[o]; pixels];
        let (g, own) = (o / outputs, o % outputs);
        for c in 0..inputs {
            let image = &xs[(n * channels + g * inputs + c) * h * width..][..h * width];
            for t in 0..taps {
                let weight = ws[((g * inputs + c) * outputs + own) * taps + t];
                let at = [t / window.kernel[1] * window.dilations[0], t % window.kernel[1] * window.dilations[1]];
                for (i, v) in image.iter().enumerate() {
                    let place = |along: usize, p: usize, n: usize| {
                        (p * window.strides[along] + at[along]).checked_sub(cut[along]).filter(|q| *q < n)
                    };
                    if let (Some(r), Some(q)) = (place(0, i / width, rows), place(1, i % width, columns)) {
                        plane[r * columns + q] += *v * weight;
                    }
                }
            }
        }
        plane
    });
    let mut shape = vec![x.shape[0], group * outputs];
    shape.extend(if axes == 1 { vec![columns] } else { vec![rows, columns] });
    Ok(vec![Tensor::float(shape, y)])
}
