//! What measuring costs, through the library's own diagnostics: central differences as `curl --method fd` takes them, and
//! loops of the path `rotation` by midpoints and to a given accuracy. In: a field and images. Out: `Cost`s.
use super::cost::{Cost, Seconds};
use super::network::Effort;
use crate::data::Images;
use crate::diagnostics::Selection;
use crate::error::Result;
use crate::field::{self, Field};
use crate::gpu::Gpu;
use crate::measures::circulation::{CirculationRun, FLOOR, Options, Quadrature};
use crate::measures::curl::{CurlOptions, Method};
use crate::paths::ClosedPath;
use crate::paths::rotation::Rotation;
use crate::run::Table;
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// K directions of one sample, with the second step that some of them take for the error estimate.
pub(super) fn differences(gpu: &Gpu, field: &Arc<dyn Field>, k: u32, effort: Effort) -> Result<Cost> {
    let timestep = field.process().timesteps() / 2;
    let selection = Selection { timesteps: vec![timestep], samples: 1, seed: 0 };
    let method = Method::Differences;
    let lanes = CurlOptions { selection, components: k as usize, method, ..CurlOptions::default() }.lanes() as usize;
    let mut evaluator = field::evaluator(gpu, field, &[timestep], effort.tile.unwrap_or(lanes).min(lanes))?;
    // Any finite points do: no kernel's time depends on the values.
    let x: Vec<f32> = (0..lanes * field.shape().len()).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
    let ks = vec![timestep; lanes];
    evaluator.evaluate(&x, &ks)?;
    let mut seconds = vec![];
    for _ in 0..effort.rounds {
        let start = Instant::now();
        evaluator.evaluate(&x, &ks)?;
        seconds.push(start.elapsed().as_secs_f64() / f64::from(k));
    }
    let evaluations = lanes as f64 / f64::from(k);
    Ok(Cost {
        what: "differences",
        per: "direction".into(),
        evaluations,
        flops: evaluations * evaluator.program().flops() as f64,
        tile: evaluator.max_samples(),
        seconds: Seconds(seconds),
        more: vec![("directions", k.into())],
        note: None,
        ops: vec![],
    })
}

/// Loops of one sample, run as often as asked.
struct Loops {
    cost: Cost,
    found: Table,
}

impl Loops {
    fn of(
        what: &'static str,
        gpu: &Gpu,
        field: &Arc<dyn Field>,
        images: &Images,
        options: &Options,
        rounds: usize,
    ) -> Result<Self> {
        let once = || -> Result<(f64, usize, f64, Table)> {
            let run = CirculationRun::new(gpu, field, images, options.clone())?;
            let (flops, tile, loops) = (run.program().flops() as f64, run.tiles()[0], run.loops() as f64);
            let start = Instant::now();
            let found = run.run(&mut |_| ControlFlow::Continue(()))?;
            Ok((flops, tile, start.elapsed().as_secs_f64() / loops, found))
        };
        let (flops, tile, first, found) = once()?;
        let mut seconds = vec![first];
        for _ in 1..rounds {
            seconds.push(once()?.2);
        }
        let all = column(&found, "evaluations");
        let evaluations = all.iter().sum::<f64>() / all.len() as f64;
        let flops = evaluations * flops;
        let (per, seconds) = ("loop".into(), Seconds(seconds));
        let more = vec![("evaluations_of_loops", json!(all)), ("timesteps", json!(options.timesteps))];
        Ok(Self { cost: Cost { what, per, evaluations, flops, tile, seconds, more, note: None, ops: vec![] }, found })
    }
}

/// One column of all loops.
fn column<'a>(found: &'a Table, name: &str) -> &'a [f64] {
    found.column(name).map_or(&[], |c| &c.values)
}

/// One sample's loops to a given accuracy at a quarter, half and three quarters of the timesteps, and by midpoints at half
/// of them; each round is one whole run of either, compilation not counted.
pub(super) fn circulation(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    images: &Images,
    [points, rounds]: [usize; 2],
    tolerance: f64,
    tile: Option<usize>,
) -> Result<Vec<Cost>> {
    let last = field.process().timesteps();
    let mut timesteps: Vec<usize> = (1..4).map(|quarter| quarter * last / 4).collect();
    timesteps.dedup();
    let half = timesteps.len() / 2;
    let (quadrature_check, verify_points) = (0.0, 0);
    let paths: Vec<Arc<dyn ClosedPath>> = vec![Arc::new(Rotation)];
    let plain = Options { paths, samples: 1, points, tile, quadrature_check, verify_points, ..Options::default() };
    let midpoints = Options { timesteps: vec![timesteps[half]], ..plain.clone() };
    let adaptive = Options { timesteps, quadrature: Quadrature::Adaptive { tolerance }, ..plain };
    let mut adaptive = Loops::of("circulation", gpu, field, images, &adaptive, rounds)?;
    let midpoints = Loops::of("midpoints", gpu, field, images, &midpoints, rounds)?;

    let value = |loops: &Loops, at: usize| column(&loops.found, "integral")[at];
    let scale = value(&midpoints, 0).abs().max(FLOOR * column(&midpoints.found, "abs_terms")[0]);
    let gap = (value(&adaptive, half) - value(&midpoints, 0)).abs() / scale;
    let faster = midpoints.cost.seconds.median() / adaptive.cost.seconds.median();
    adaptive.cost.more.extend([
        ("accuracy", json!(tolerance)),
        ("gap_to_midpoints", json!(gap)),
        ("over_midpoints", json!(faster)),
    ]);
    let found = column(&adaptive.found, "evaluations").iter().map(|n| format!("{n:.0}")).collect::<Vec<_>>().join(", ");
    adaptive.cost.note = Some(format!(
        "A loop to {tolerance:e} of max(|Gamma|, {FLOOR} S) takes {found} evaluations and 1/{faster:.1} of the time of {points} \
         midpoints; the two differ by {gap:.1e} of that."
    ));
    Ok(vec![adaptive.cost, midpoints.cost])
}
