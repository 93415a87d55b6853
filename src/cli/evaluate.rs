//! `vorticity evaluate MODEL`: the field at given points, with its derivatives along given directions.
//! In: points and directions from files. Out: an NPZ file; what it took in time and memory.
use super::common::{exit, rounded, warn};
use super::device::Device;
use super::network::NetworkArgs;
use super::output::Output;
use super::process::{settled, settled_json};
use super::tune::TuneArgs;
use crate::data::Array as Input;
use crate::diagnostics::{Directional, Found, directional};
use crate::error::Result;
use crate::field::{self, ScoreScale};
use crate::model::Said;
use crate::run::{Array, Numbers, check_file, check_room, write_arrays};
use crate::session::{Marked, as_given};
use crate::shape::Shape;
use crate::spec::Spec;
use bytesize::ByteSize;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

/// Evaluate a model's score or velocity at points of your own, with derivatives along directions of your own.
///
/// Writes s [N, C, H, W]; with --directions also jvp [N, K, C, H, W], exact tangents J v; with --differences also central
/// differences of the field and their own error estimate [N, K]; with --cotangents also vjp [N, M, C, H, W], exact J'u.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Model directory, or a closed form such as field:gaussian
    pub model: Spec,
    /// Points x at the noise level of the timestep: [N, C, H, W] or [C, H, W], NPY, NPZ (FILE#array) or safetensors
    #[arg(long, value_name = "FILE")]
    pub points: Spec,
    /// Timestep of all points, 0-based
    #[arg(long)]
    pub timestep: usize,
    /// Directions v: [N, K, C, H, W], or the shape of the points for one each
    #[arg(long, value_name = "FILE")]
    pub directions: Option<Spec>,
    /// Cotangents u: [N, M, C, H, W], or the shape of the points for one each
    #[arg(long, value_name = "FILE")]
    pub cotangents: Option<Spec>,
    /// Also differences (s(x + h v) - s(x - h v)) / 2h, with |h v| = STEP sigma sqrt(D)
    #[arg(long, value_name = "STEP", num_args = 0..=1, default_missing_value = "0.003", requires = "directions")]
    pub differences: Option<f64>,
    /// What its files do not say.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// NPZ file to write
    #[arg(long, value_name = "NPZ")]
    pub out: PathBuf,
    #[command(flatten)]
    /// Where it runs.
    pub device: Device,
    /// Which variants of its kernels.
    #[command(flatten)]
    pub tune: TuneArgs,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// Evaluates and writes; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let (said, scale) = (args.network.said()?, ScoreScale::Definition);
    let given = said.shape;
    let shape = match given {
        None if !args.model.is_closed_form() => shape_of(&args.points)?,
        given => given,
    };
    let field = field::open_said(&args.model, scale, &Said { shape, ..said })?;
    as_given(given, field.shape())?;
    let Shape { c, h, w } = field.shape();
    let (n, points) = read(&args.points, &[c, h, w], None)?;
    let of_points = |what, spec: &Option<Spec>| match spec {
        Some(spec) => read(spec, &[c, h, w], Some((what, n))).map(|(all, values)| (all / n, values)),
        None => Ok((0, vec![])),
    };
    let ((k, directions), (m, cotangents)) =
        (of_points("directions", &args.directions)?, of_points("cotangents", &args.cotangents)?);
    let rows = n * (1 + k + m) + if args.differences.is_some() { n * k } else { 0 };
    check_file(&args.out)?;
    check_room(&args.out, 4 * (rows * c * h * w) as u64)?;
    let gpu = args.tune.tuned_one(args.device.open()?, field.as_ref(), args.output)?;
    let asked = Directional {
        points: &points,
        timestep: args.timestep,
        directions: &directions,
        cotangents: &cotangents,
        step: args.differences,
    };
    let sweeps = usize::from(k > 0 || m == 0) + usize::from(m > 0);
    let evaluations = n * (sweeps + k + m) + if args.differences.is_some() { 4 * n * k } else { 0 };
    args.output.say(&settled(field.as_ref()))?;
    let bar = args.output.progress(evaluations as u64);
    let start = Instant::now();
    let found = directional(&gpu, &field, asked, &mut |done| {
        bar.set_position(done);
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    warn(std::slice::from_ref(&gpu), args.output);
    let seconds = start.elapsed().as_secs_f64();

    let told = format!("{} of {n} points have values or derivatives that are not finite", found.not_finite);
    let marked = Marked::new(found.not_finite, &told, found.origin.clone());
    let gap = gap(&found.derivatives, &found.differences, &found.errors);
    let (device, measured) = (found.memory.device(), found.measured.clone());
    let taken = found.memory;
    write(args, ([n, k, m], [c, h, w]), found)?;

    let parameters = field.describe()["parameters"].as_u64().unwrap_or(0);
    let predicted = if gpu.is_software() { taken.process(parameters) } else { device };
    let memory = measured.as_ref().map_or("nobody measures it here".into(), |m| {
        format!("{}: {} predicted, {} measured", m.meter, ByteSize(predicted), ByteSize(m.bytes))
    });
    let mut text = format!(
        "adapter      {}\n{}work         {n} points of {c}x{h}x{w}, {k} directions and {m} cotangents each, {evaluations} evaluations\n\
         time         {seconds:.1} s, plan and compilation included\n\
         memory       {} on the device; {memory}\n",
        gpu.describe(),
        rounded(field.rounding()),
        ByteSize(device),
    );
    if let Some((worst, error)) = gap {
        text += &format!(
            "differences  at most {worst:.2} times their estimated error from the tangents (largest estimate {error:.1e})\n"
        );
    }
    args.output.say(&(text + &format!("written to   {}\n", args.out.display())))?;
    args.output.document("evaluate", || {
        json!({
            "model": args.model, "adapter": gpu.describe(), "points": n, "directions": k, "cotangents": m, "evaluations": evaluations,
            "settled": settled_json(&field.facts()), "seconds": seconds, "device_bytes": device, "predicted_bytes": predicted,
            "measured_bytes": measured.as_ref().map(|m| m.bytes), "meter": measured.as_ref().map(|m| m.meter),
            "difference_over_error": gap.map(|g| g.0), "out": args.out.display().to_string(), "not_finite": marked.json(),
        })
    })?;
    Ok(exit(&marked))
}

/// Writes the arrays; sizes are points, directions and cotangents of each, and the shape of a point.
fn write(args: &Args, ([n, k, m], [c, h, w]): ([usize; 3], [usize; 3]), found: Found) -> Result<()> {
    let array = |name, shape: Vec<usize>, values: Numbers| Array { name, shape, values };
    let mut arrays = vec![array("s", vec![n, c, h, w], Numbers::F32(found.values))];
    if k > 0 {
        arrays.push(array("jvp", vec![n, k, c, h, w], Numbers::F32(found.derivatives)));
    }
    if args.differences.is_some() {
        arrays.push(array("differences", vec![n, k, c, h, w], Numbers::F32(found.differences)));
        arrays.push(array("difference_error", vec![n, k], Numbers::F64(found.errors)));
    }
    if m > 0 {
        arrays.push(array("vjp", vec![n, m, c, h, w], Numbers::F32(found.transposed)));
    }
    write_arrays(&args.out, &arrays)
}

/// Channels, height and width of the points in a file, if it has any.
fn shape_of(spec: &Spec) -> Result<Option<Shape>> {
    Ok(match Input::open(spec)?.dims() {
        [.., c, h, w] if [c, h, w].iter().all(|n| (1..1 << 20).contains(*n)) => Some(Shape::new(*c, *h, *w)),
        _ => None,
    })
}

/// Rows of `shape` of a file whose leading axes are free, and how many. With `points`, a multiple of that.
fn read(spec: &Spec, shape: &[usize; 3], points: Option<(&str, usize)>) -> Result<(usize, Vec<f32>)> {
    let mut file = Input::open(spec)?;
    let dims = file.dims().to_vec();
    let (lead, most) = (dims.len().saturating_sub(3), if points.is_some() { 2 } else { 1 });
    if dims.len() < 3 || lead > most || dims[lead..] != shape[..] || dims.contains(&0) {
        let want = if points.is_some() { "[N, K, C, H, W]" } else { "[N, C, H, W]" };
        return Err(file.error(format!("has shape {dims:?}, expected {want} with [C, H, W] = {shape:?}")));
    }
    let rows: usize = dims[..lead].iter().product();
    if let Some((what, n)) = points
        && dims[..lead].first().copied().unwrap_or(1) != n
    {
        return Err(file.error(format!("has shape {dims:?}, expected {what} for {n} points")));
    }
    let mut values = vec![];
    file.read(&mut values, dims.iter().product())?;
    Ok((rows, values.into_iter().map(|v| v as f32).collect()))
}

/// Over all directions: the largest |J v - difference| in units of that direction's estimated error, and the largest error.
fn gap(derivatives: &[f32], differences: &[f32], errors: &[f64]) -> Option<(f64, f64)> {
    let d = differences.len().checked_div(errors.len())?;
    // Differences that are exact have nothing to be compared with.
    let known = || errors.iter().enumerate().filter(|(_, error)| **error > 0.0);
    known().next()?;
    let worst = |(i, error): (usize, &f64)| {
        let pairs = derivatives[i * d..(i + 1) * d].iter().zip(&differences[i * d..]);
        pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max) / error
    };
    Some((known().map(worst).fold(0.0, f64::max), errors.iter().copied().fold(0.0, f64::max)))
}
