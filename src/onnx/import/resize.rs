//! Images of another size: nearest and linear resizing, means and maxima over windows.
use super::{Import, Rule, Seen, Step};
use crate::error::{Error, Result};
use crate::onnx::ops::conv::{two, window};
use crate::onnx::ops::pool::extents;
use crate::onnx::ops::resize::{Table, tables};
use crate::ops::filter::Taps;
use crate::ops::max_pool::MaxPool;
use crate::ops::upsample::Upsample;
use crate::ops::window::Windows;

/// The table.
pub(super) const RULES: &[(&str, Rule)] =
    &[("Resize", resize), ("Upsample", resize), ("AveragePool", average), ("MaxPool", most)];

fn resize(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    for i in 1..step.inputs.len() {
        if step.inputs[i].is_some() {
            step.known(i)?;
        }
    }
    let shape = x.view.shape();
    let tables = tables(&step.call, &shape)?;
    if tables.iter().all(Option::is_none) {
        return Ok(vec![x]);
    }
    let rank = shape.len();
    if !(3..=4).contains(&rank) || tables[..2].iter().any(Option::is_some) {
        return Err(Error::invalid("input", format!("{shape:?}: only rows and columns of images can be resized")));
    }
    let (x, [h, w]) = import.image(&name, &x)?;
    let rows = if rank == 4 { tables[2].clone() } else { None };
    let (rows, columns) = (rows.unwrap_or_else(|| kept(h)), tables[rank - 1].clone().unwrap_or_else(|| kept(w)));
    let node = match rows == smooth(h) && columns == smooth(w) {
        true => import.push(name, Upsample::default(), &[x.node])?,
        false => import.filter(&name, x.node, Taps::new(&rows), Taps::new(&columns))?,
    };
    Ok(vec![import.as_file(node, rank)?])
}

fn kept(n: usize) -> Table {
    (0..n).map(|i| vec![(i, 1.0)]).collect()
}

/// Twice the size, linear, corners not aligned.
fn smooth(n: usize) -> Table {
    let row = |i: usize| match i % 2 {
        0 if i == 0 => vec![(0, 1.0)],
        0 => vec![(i / 2 - 1, 0.25), (i / 2, 0.75)],
        _ if i / 2 + 1 == n => vec![(n - 1, 1.0)],
        _ => vec![(i / 2, 0.75), (i / 2 + 1, 0.25)],
    };
    (0..2 * n).map(row).collect()
}

fn average(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let (shape, rank) = (x.view.shape(), x.view.axes.len());
    if !(3..=4).contains(&rank) {
        return Err(Error::invalid(
            "input",
            format!("{shape:?}, expected three axes or four; images of three are not supported"),
        ));
    }
    let window = window(&step.call, &step.call.sizes("kernel_shape", 0, rank - 2)?, &shape[2..])?;
    let outputs = extents(&step.call, &window, two(&shape[2..], 1)?)?;
    import.table(&[outputs[0], window.kernel[0]])?;
    import.table(&[outputs[1], window.kernel[1]])?;
    let padding_counts = step.call.flag("count_include_pad", false)?;
    let (x, sides) = import.image(&name, &x)?;
    let taps = |along: usize| {
        let [before, behind] = window.pads[along];
        let of = |i: usize| {
            let at = (0..window.kernel[along]).map(|t| i * window.strides[along] + t * window.dilations[along]);
            // Zeros around the image count, those beyond them do not.
            let counted = at.clone().filter(|p| *p < sides[along] + before + behind).count();
            let seen: Vec<usize> = at.filter_map(|p| p.checked_sub(before)).filter(|p| *p < sides[along]).collect();
            let n = if padding_counts { counted } else { seen.len() };
            seen.into_iter().map(|p| (p, 1.0 / n as f64)).collect()
        };
        Taps::new(&(0..outputs[along]).map(of).collect::<Vec<_>>())
    };
    let node = import.filter(&name, x.node, taps(0), taps(1))?;
    Ok(vec![import.as_file(node, rank)?])
}

fn most(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (x, name) = (step.seen(0)?.clone(), step.label(""));
    let (shape, rank) = (x.view.shape(), x.view.axes.len());
    if !(3..=4).contains(&rank) {
        return Err(Error::invalid(
            "input",
            format!("{shape:?}, expected three axes or four; images of three are not supported"),
        ));
    }
    let window = window(&step.call, &step.call.sizes("kernel_shape", 0, rank - 2)?, &shape[2..])?;
    let outputs = extents(&step.call, &window, two(&shape[2..], 1)?)?;
    let (x, _) = import.image(&name, &x)?;
    let windows = Windows {
        kernel: window.kernel,
        strides: window.strides,
        dilations: window.dilations,
        before: [window.pads[0][0], window.pads[1][0]],
        outputs,
    };
    let node = import.push(name, MaxPool { windows }, &[x.node])?;
    Ok(vec![import.as_file(node, rank)?])
}
