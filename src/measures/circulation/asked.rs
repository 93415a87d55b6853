//! What a circulation can be asked, and what it makes of that. In: settings, a subject. Out: options; a run that is ready, with
//! what it says of itself.
use super::finish::circulation_evaluations;
use super::loops::Circulation;
use super::options::{Options, Quadrature, verify_points};
use super::run::CirculationRun;
use crate::error::{Error, Result};
use crate::paths::{self, ClosedPath, Space};
use crate::run::{
    Cost, Kind, Measure, Measured, Parameter, Progress, Ready, SAMPLES, SEED, Settings, Shard, Subject, TIMESTEPS, Task,
};
use crate::spec::Spec;
use serde_json::json;
use std::sync::Arc;

/// What it can be asked.
pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter::new("paths", Kind::List, paths::HELP).or("brownian,rotation,projection"),
    Parameter::new("arcs", Kind::File, "What is now projection?arcs=").hidden(),
    Parameter::new("polyline", Kind::File, "What is now polyline?file=").hidden(),
    TIMESTEPS,
    SAMPLES,
    Parameter::new("points", Kind::Count, "Segments per loop").or("1000"),
    Parameter::new(
        "quadrature",
        Kind::Choice(&["midpoint", "adaptive"]),
        "Rule: midpoint (the paper's), or adaptive: nested rules on the smooth paths rotation and projection, until --tol is met \
         or --points evaluations are spent; other paths by midpoints",
    )
    .or("midpoint"),
    Parameter::new(
        "tol",
        Kind::Number,
        "Error that adaptive quadrature aims for, in units of |Gamma|, or of a thousandth of S = sum |s.d| if that is more",
    )
    .or("0.001"),
    Parameter::new(
        "quadrature-check",
        Kind::Number,
        "Share of the samples whose loops are also integrated by two-point Gauss, for the quadrature error; costs twice that \
         share in evaluations. At least two samples, of few samples on a part of their segments (at most a fifth more \
         evaluations); with 0 the verdict is \"not checked\"",
    )
    .of("share")
    .or("0.05"),
    Parameter::new(
        "verify-fraction",
        Kind::Number,
        "Share of the evaluations to repeat in f64 on the host, for the arithmetic error [default: 8 points of the run]; with 0 \
         the verdict is \"not checked\"",
    )
    .of("share")
    .checking(),
    SEED,
    Parameter::new("tile", Kind::Count, "Lanes per tile; by memory if not given. Results do not depend on it"),
];

/// The options that these settings say.
pub(super) fn options(asked: &Settings, subject: &Subject) -> Result<Options> {
    let (timesteps, space) = (asked.timesteps(TIMESTEPS.name)?, (subject.field.shape(), subject.field.data_range()));
    let (samples, points) = (asked.count(SAMPLES.name)?, asked.count("points")?);
    let paths = chosen(asked.list("paths")?, [asked.file("arcs"), asked.file("polyline")], space)?;
    let midpoints = [timesteps.len(), samples, points].into_iter().fold(paths.len(), usize::saturating_mul);
    Ok(Options {
        paths,
        timesteps,
        samples,
        points,
        seed: asked.count(SEED.name)? as u64,
        quadrature: match asked.text("quadrature")? {
            "adaptive" => Quadrature::Adaptive { tolerance: asked.number("tol")? },
            _ => Quadrature::Midpoint,
        },
        quadrature_check: asked.number("quadrature-check")?,
        verify_points: verify_points(asked.number_if("verify-fraction"), midpoints)?,
        tile: asked.count_if("tile")?,
        family: None,
    })
}

/// The paths of this list, for fields of this shape and data range. `moved` are values of the options `--arcs` and `--polyline`,
/// which are a path's own now.
///
/// # Errors
/// Paths that are none; an option that was given, with what to write instead.
pub fn chosen(paths: &[Spec], moved: [Option<&Spec>; 2], space: Space) -> Result<Vec<Arc<dyn ClosedPath>>> {
    let [arcs, polyline] = moved;
    belongs("--arcs", "projection", "arcs", arcs, paths)?;
    belongs("--polyline", "polyline", "file", polyline, paths)?;
    paths.iter().map(|path| paths::open(path.clone(), space)).collect()
}

/// Refuses an option that is now `key` of a path, with the paths as they are written now.
fn belongs(option: &str, path: &str, key: &str, value: Option<&Spec>, paths: &[Spec]) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    let own = format!("{path}?{key}={}", value);
    let mut list: Vec<String> =
        paths.iter().map(|p| if p.path() == path { own.clone() } else { p.to_string() }).collect();
    if !list.contains(&own) {
        list.push(own);
    }
    Err(Error::invalid(option, format!("belongs to its path now: --paths '{}'", list.join(","))))
}

/// Bytes of a loop in CSV and NPZ, some thirty numbers in each, and of its sums in the journal (docs/FORMATS.md).
const LOOP: u64 = 1100;
/// Bytes of a tile in the journal: of its record, and of the sums of two loops that its ends cut.
const TILE: u64 = 240;

impl Task for Options {
    fn measure(&self) -> &'static dyn Measure {
        &Circulation
    }

    fn ready<'a>(&'a self, subject: &'a Subject, shard: Shard) -> Result<Ready<'a>> {
        let job = CirculationRun::of_shard(subject.gpus(), &subject.field, &subject.images, self.clone(), shard)?;
        let (adaptive, tolerance) = match self.quadrature {
            Quadrature::Adaptive { tolerance } => (true, Some(tolerance)),
            Quadrature::Midpoint => (false, None),
        };
        let (samples, points, quadrature) = (self.samples, self.points, if adaptive { "adaptive" } else { "midpoint" });
        let (total, flops, tiles) = (job.evaluations(), job.program().flops() as f64, job.tiles());
        let (loops, bytes, tile) = (job.loops(), job.memory().device(), tiles[0]);
        let (checked, verified, every) = (job.checked_samples(), job.verified_points(), self.compared_every());
        let cost = Cost {
            evaluations: total,
            at_most: adaptive,
            // Several devices take turns: all must have had theirs, twice.
            least: if tiles.len() > 1 { 2 * tiles.iter().sum::<usize>() as u64 } else { 0 },
            checks: verified.div_ceil(shard.of()),
            bytes: if adaptive { [0, 0] } else { [0, loops as u64 * LOOP + total / tile as u64 * TILE] },
        };
        let (most, each) =
            (if adaptive { "at most " } else { "" }, if tiles.len() > 1 { ", on the first device" } else { "" });
        let part = if every > 1 { format!(", one segment in {every}") } else { String::new() };
        let text = format!(
            "work         {loops} loops, N = {points}: {most}{total} evaluations with checks\n\
             checks       two-point Gauss on {checked} of {samples} samples{part}, {verified} points in f64\n\
             arithmetic   {:.3} MFLOP per evaluation, {:.3e} FLOP in all\n\
             tile         {tile} lanes, {:.1} MB{each}\n",
            flops / 1e6,
            flops * total as f64,
            bytes as f64 / 1e6
        );
        let run = move |progress: &mut Progress| {
            let (part, log) = job.measure(progress)?;
            Ok(Measured { evaluations: circulation_evaluations(&part)?, part, devices: Some((tiles, log)) })
        };
        Ok(Ready {
            facts: json!({
                "seed": self.seed, "path_parameters": paths::parameters(&self.paths), "quadrature": quadrature,
                "tolerance": tolerance, "quadrature_checked_samples": checked, "quadrature_compared_every": every,
                "verified_points": verified,
            }),
            decides: json!({
                "paths": self.path_names(), "timesteps": self.timesteps, "samples": samples, "points": points,
                "quadrature_check": self.quadrature_check,
            }),
            title: format!("{samples} samples, N = {points}"),
            text,
            work: json!({
                "loops": loops, "points": points, "quadrature": quadrature, "most_evaluations": total,
                "quadrature_checked_samples": checked, "verified_points": verified, "flops_per_evaluation": flops,
                "tile": tile, "tile_bytes": bytes,
            }),
            ..Ready::new(shard, samples, cost, run)
        })
    }
}
