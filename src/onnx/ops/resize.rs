//! Resizing along axes, nearest and linear. Every axis is a table: what each output is a weighted sum of.
use super::Operator;
use super::conv::MOST_PIXELS;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::onnx::call::{Call, size};
use crate::onnx::tensor::{Tensor, axis, count};

/// The table.
pub const OPERATORS: &[Operator] = &[
    Operator::call(
        "Resize",
        &[
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
        ],
        |c| apply(c, &tables(c, &c.input(0)?.shape)?),
    ),
    Operator::call("Upsample", &["mode", "scales"], |c| apply(c, &tables(c, &c.input(0)?.shape)?)),
];

/// Of every output along an axis: inputs and their weights.
pub type Table = Vec<Vec<(usize, f64)>>;

/// What `Resize` or `Upsample` does along every axis; none where an axis stays as it is.
pub fn tables(call: &Call, x: &[usize]) -> Result<Vec<Option<Table>>> {
    let old = call.node.proto.op_type == "Upsample" || call.opset < 11;
    call.only("antialias", 0)?;
    let policy = call.one_of("keep_aspect_ratio_policy", "stretch", &["stretch", "not_larger", "not_smaller"])?;
    let mode = call.one_of("mode", "nearest", &["nearest", "linear"])?;
    let (place, nearest) = match old {
        true => ("asymmetric".to_string(), "floor".to_string()),
        false => (
            call.one_of(
                "coordinate_transformation_mode",
                "half_pixel",
                &["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners"],
            )?,
            call.one_of(
                "nearest_mode",
                "round_prefer_floor",
                &["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"],
            )?,
        ),
    };
    let axes = match call.ints("axes")? {
        Some(axes) => axes.iter().map(|&a| axis(a, x.len())).collect::<Result<Vec<_>>>()?,
        None => (0..x.len()).collect(),
    };
    let mut tables = vec![None; x.len()];
    for (&a, (scale, n)) in axes.iter().zip(sizes(call, x, &axes, old, &policy)?) {
        if n == x[a] && scale == 1.0 {
            continue;
        }
        if x[a] == 0 || n > MOST_PIXELS {
            let message = format!("{n} numbers of {}, expected some of some, and at most {MOST_PIXELS}", x[a]);
            return Err(Error::invalid("sizes", message));
        }
        if place == "align_corners" && (scale * x[a] as f64 - n as f64).abs() > 1e-3 {
            let message = format!(
                "align_corners with scale {scale} of {} numbers, which makes no whole number of them: export with sizes",
                x[a]
            );
            return Err(Error::invalid("scales", message));
        }
        let at = |i: usize| position(i as f64, x[a] as f64, n as f64, scale, &place);
        let row =
            |i: usize| if mode == "linear" { between(at(i), x[a]) } else { vec![(near(at(i), x[a], &nearest), 1.0)] };
        tables[a] = Some((0..n).map(row).collect());
    }
    Ok(tables)
}

/// Scale and size of every named axis.
fn sizes(call: &Call, x: &[usize], axes: &[usize], old: bool, policy: &str) -> Result<Vec<(f64, usize)>> {
    let given = |t: Option<&Tensor>| -> Option<Tensor> { t.filter(|t| !t.is_empty()).cloned() };
    let (scales, wanted) = match (old, call.floats("scales")?) {
        (true, Some(scales)) => (Some(Tensor::float([scales.len()], Dual::lift(&scales))), None),
        (true, None) => (given(call.optional(1)), None),
        (false, _) => (given(call.optional(2)), given(call.optional(3))),
    };
    let fits = |n: usize| match n == axes.len() {
        true => Ok(()),
        false => Err(Error::invalid("inputs", format!("{n} scales or sizes for {} axes", axes.len()))),
    };
    match (scales, wanted) {
        (_, Some(wanted)) => {
            let wanted = wanted.ints()?.iter().map(|&n| size("sizes", n)).collect::<Result<Vec<_>>>()?;
            fits(wanted.len())?;
            let scales = wanted.iter().zip(axes).map(|(&n, &a)| n as f64 / x[a] as f64);
            // One scale for all axes, so that nothing is larger, or smaller, than asked.
            let common = match policy {
                "not_larger" => Some(scales.clone().fold(f64::INFINITY, f64::min)),
                "not_smaller" => Some(scales.clone().fold(0.0, f64::max)),
                _ => None,
            };
            Ok(scales
                .zip(wanted.iter().zip(axes))
                .map(|(own, (&n, &a))| common.map_or((own, n), |s| (s, (s * x[a] as f64).round() as usize)))
                .collect())
        }
        (Some(scales), None) => {
            let scales = scales.floats()?;
            if scales.iter().any(|s| s.d != 0.0) {
                return Err(Error::invalid("scales", "depend on x, expected constants"));
            }
            fits(scales.len())?;
            let of = |(s, &a): (&Dual, &usize)| match s.v > 0.0 && s.v * x[a] as f64 <= 1e9 {
                true => Ok((s.v, (x[a] as f64 * s.v).floor() as usize)),
                false => Err(Error::invalid("scales", format!("{} of an axis of {} numbers", s.v, x[a]))),
            };
            scales.iter().zip(axes).map(of).collect()
        }
        (None, None) => Err(Error::invalid("inputs", "neither scales nor sizes are given")),
    }
}

/// Where output i lies among m inputs.
fn position(i: f64, m: f64, n: f64, scale: f64, place: &str) -> f64 {
    match place {
        "asymmetric" => i / scale,
        "align_corners" => {
            if n == 1.0 {
                0.0
            } else {
                i * (m - 1.0) / (n - 1.0)
            }
        }
        "pytorch_half_pixel" if n <= 1.0 => 0.0,
        "half_pixel_symmetric" => {
            let shift = m / 2.0 * (1.0 - n / (scale * m));
            shift + (i + 0.5) / scale - 0.5
        }
        _ => (i + 0.5) / scale - 0.5,
    }
}

fn near(at: f64, m: usize, mode: &str) -> usize {
    let whole = match mode {
        "floor" => at.floor(),
        "ceil" => at.ceil(),
        "round_prefer_ceil" => (at + 0.5).floor(),
        _ => (at - 0.5).ceil(),
    };
    whole.clamp(0.0, m as f64 - 1.0) as usize
}

/// The two neighbours of a place; the edge goes on beyond the ends.
fn between(at: f64, m: usize) -> Vec<(usize, f64)> {
    let (low, last) = (at.floor(), m as f64 - 1.0);
    let part = at - low;
    let place = |p: f64| p.clamp(0.0, last) as usize;
    let (a, b) = (place(low), place(low + 1.0));
    match a == b || part == 0.0 {
        true => vec![(if part == 0.0 { a } else { b }, 1.0)],
        false => vec![(a, 1.0 - part), (b, part)],
    }
}

fn apply(call: &Call, tables: &[Option<Table>]) -> Result<Vec<Tensor>> {
    let mut y = call.input(0)?.clone();
    for (a, table) in tables.iter().enumerate() {
        let Some(table) = table else { continue };
        let (inner, m) = (count(&y.shape[a + 1..])?, y.shape[a]);
        let mut shape = y.shape.clone();
        shape[a] = table.len();
        let values = y.floats()?;
        let mut made = Vec::with_capacity(call.budget.numbers(&shape)?);
        for block in values.chunks_exact((m * inner).max(1)) {
            for row in table {
                made.extend((0..inner).map(|i| row.iter().map(|&(at, w)| block[at * inner + i] * w).sum::<Dual>()));
            }
        }
        y = Tensor::float(shape, made);
    }
    Ok(vec![y])
}
