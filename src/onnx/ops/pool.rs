//! Windows that make one number of many: means and maxima, of one and two spatial axes, and of whole images.
use super::Operator;
use super::conv::{MOST_PIXELS, Window, two, window};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::call::Call;
use crate::onnx::tensor::{Tensor, count};

const WINDOW: &[&str] = &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"];

/// The table.
pub const OPERATORS: &[Operator] = &[
    Operator::call("AveragePool", WINDOW, |c| pooled(c, mean)),
    Operator::call(
        "MaxPool",
        &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"],
        |c| match c.outputs() {
            0 | 1 => pooled(c, most),
            _ => Err(Error::invalid("outputs", "places of the maxima are not supported")),
        },
    ),
    Operator::call("GlobalAveragePool", &[], |c| whole(c, |v| mean(v, v.len()))),
    Operator::call("GlobalMaxPool", &[], |c| whole(c, |v| most(v, v.len()))),
];

fn mean(v: &[Dual], of: usize) -> Dual {
    v.iter().copied().sum::<Dual>() * (1.0 / of.max(1) as f64)
}

fn most(v: &[Dual], _: usize) -> Dual {
    v.iter().copied().reduce(|a, b| if b.v > a.v { b } else { a }).unwrap_or(Dual::constant(f64::NEG_INFINITY))
}

/// Numbers of outputs along rows and columns; with `ceil_mode` windows that begin in the image or in the zeros before it.
pub fn extents(call: &Call, window: &Window, image: [usize; 2]) -> Result<[usize; 2]> {
    let ceil = call.flag("ceil_mode", false)?;
    let along = |i: usize| {
        let [before, behind] = window.pads[i];
        let room = (image[i] + before + behind).checked_sub(window.extent(i));
        let room = room.ok_or_else(|| {
            Error::invalid("input", format!("{} pixels do not hold a window of {}", image[i], window.kernel[i]))
        })?;
        let n = if ceil { room.div_ceil(window.strides[i]) } else { room / window.strides[i] } + 1;
        if n > MOST_PIXELS {
            return Err(Error::invalid(
                "output",
                format!("{n} pixels along an axis, at most {MOST_PIXELS} are supported"),
            ));
        }
        Ok(if ceil && (n - 1) * window.strides[i] >= image[i] + before { n - 1 } else { n })
    };
    Ok([along(0)?, along(1)?])
}

/// A function of what every window sees, and of how many pixels count.
fn pooled(call: &Call, f: fn(&[Dual], usize) -> Dual) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    let axes = x.shape.len().saturating_sub(2);
    if !(1..=2).contains(&axes) {
        return Err(Error::invalid(
            "input",
            format!("{:?}, expected three axes or four; images of three are not supported", x.shape),
        ));
    }
    let kernel = call.sizes("kernel_shape", 0, axes)?;
    let window = window(call, &kernel, &x.shape[2..])?;
    let [h, w] = two(&x.shape[2..], 1)?;
    let [rows, columns] = extents(call, &window, [h, w])?;
    let padding_counts = call.flag("count_include_pad", false)?;
    let outputs = call.budget.numbers(&[x.shape[0], x.shape[1], rows, columns])?;
    call.budget.multiply(&[outputs, window.kernel[0], window.kernel[1]])?;
    let mut y = Vec::with_capacity(outputs);
    let mut seen = vec![];
    for image in x.floats()?.chunks_exact((h * w).max(1)) {
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            seen.clear();
            let mut counted = 0;
            for t in 0..window.kernel[0] * window.kernel[1] {
                let at =
                    |along: usize, out: usize, tap: usize| out * window.strides[along] + tap * window.dilations[along];
                let (r, q) = (at(0, i, t / window.kernel[1]), at(1, j, t % window.kernel[1]));
                let inside = |along: usize, p: usize, n: usize| p.checked_sub(window.pads[along][0]).filter(|p| *p < n);
                if let (Some(r), Some(q)) = (inside(0, r, h), inside(1, q, w)) {
                    seen.push(image[r * w + q]);
                }
                // Zeros around the image count, those beyond them do not.
                let padded = |along: usize, p: usize, n: usize| p < n + window.pads[along][0] + window.pads[along][1];
                counted += usize::from(padded(0, r, h) && padded(1, q, w));
            }
            y.push(f(&seen, if padding_counts { counted } else { seen.len() }));
        }
    }
    let mut shape = x.shape[..2].to_vec();
    shape.extend(if axes == 1 { vec![columns] } else { vec![rows, columns] });
    Ok(vec![Tensor::float(shape, y)])
}

fn whole(call: &Call, f: fn(&[Dual]) -> Dual) -> Result<Vec<Tensor>> {
    let x = call.input(0)?;
    if x.shape.len() < 3 {
        return Err(Error::invalid("input", format!("{:?}, expected three axes or more", x.shape)));
    }
    let pixels = count(&x.shape[2..])?.max(1);
    let shape: Vec<usize> = x.shape.iter().enumerate().map(|(i, &n)| if i < 2 { n } else { 1 }).collect();
    Ok(vec![Tensor::float(shape, x.floats()?.chunks_exact(pixels).map(f).collect())])
}
