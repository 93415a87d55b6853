//! `vorticity bench`: evaluations per second of a network on an adapter, and where the time goes, op by op.
use super::common::{HeldArgs, rounded};
use super::device::Device;
use super::output::Output;
use super::text::table;
use crate::error::Result;
use crate::gpu::{Executor, Gpu};
use crate::model::Model;
use crate::paths::Lane;
use crate::plan::{Ports, lower};
use crate::program::{BufferId, Role, Step};
use crate::sweep::tile_lanes;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

/// Time a network's evaluation, with tangents if asked for: evaluations/s, GFLOP/s, share of time per op.
///
/// Figures depend on the machine and on what else it does: compare ratios within one run.
#[derive(clap::Args)]
pub struct Args {
    /// Model directory
    model: String,
    #[command(flatten)]
    device: Device,
    /// Evaluations per tile; by memory if not given. With tangents the nearest number of whole samples below
    #[arg(long)]
    tile: Option<usize>,
    /// Tangents per sample; a value with its K tangents is 1 + K evaluations
    #[arg(long, value_name = "K", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=4096))]
    tangents: u32,
    /// Timed rounds; best and median are printed
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    #[command(flatten)]
    held: HeldArgs,
    #[command(flatten)]
    output: Output,
}

/// Time and work of all actions of one op, per evaluation.
#[derive(Default)]
struct Share {
    dispatches: usize,
    seconds: f64,
    flops: u64,
    bytes: u64,
}

/// A network's plan with its inputs on the device.
struct Ready {
    executor: Executor,
    output: BufferId,
    lanes: usize,
}

impl Ready {
    /// With room for about `tile` lanes, whole samples; everything has run once.
    fn new(gpu: &Gpu, model: &Model, tangents: u32, tile: Option<usize>) -> Result<Self> {
        let shape = model.shape();
        let mut program = gpu.program(tangents);
        let row = 4 * shape.flat_stride() as u64;
        let ports = Ports {
            input: program.buffer("x", row, Role::Upload),
            output: program.buffer("y", row, Role::Download),
            lanes: program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
        };
        let k = model.process.timesteps() / 2;
        lower(&model.graph, &[k], gpu.family(), ports, &mut program)?;
        let group = program.group() as usize;
        let lanes = (tile_lanes(gpu, &program, tile, u64::MAX)? / group).max(1) * group;
        let mut executor = Executor::new(gpu, program, lanes)?;
        // Any finite points do: no kernel's time depends on the values.
        let x: Vec<f32> = (0..lanes * shape.flat_stride()).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
        executor.upload(ports.input, &x)?;
        executor.upload(ports.lanes, &vec![Lane::default(); lanes])?;
        executor.run(lanes, ports.output)?;
        Ok(Self { executor, output: ports.output, lanes })
    }

    /// Seconds per lane of one run.
    fn time(&mut self) -> Result<f64> {
        let start = Instant::now();
        self.executor.run(self.lanes, self.output)?;
        Ok(start.elapsed().as_secs_f64() / self.lanes as f64)
    }
}

/// Smallest and median.
fn ends(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}

/// Measures and prints; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let model = Model::open_held(&args.model, args.held.weights)?;
    let gpu = args.device.open()?;
    let start = Instant::now();
    let mut ready = Ready::new(&gpu, &model, args.tangents, args.tile)?;
    let first = start.elapsed().as_secs_f64();
    let lanes = ready.lanes;
    // Beside tangents, as many lanes of values alone, in turns: what a tangent costs more than an evaluation.
    let mut plain = (args.tangents > 0).then(|| Ready::new(&gpu, &model, 0, Some(lanes))).transpose()?;
    let (mut times, mut ratios) = (vec![], vec![]);
    for _ in 0..args.rounds {
        times.push(ready.time()?);
        if let Some(plain) = &mut plain {
            ratios.push(times[times.len() - 1] / plain.time()?);
        }
    }
    drop(plain);
    let (best, median) = ends(&mut times);
    let over_forward = if ratios.is_empty() { f64::NAN } else { ends(&mut ratios).1 };
    let (executor, flops) = (&ready.executor, ready.executor.program().flops());
    let group = executor.program().group() as usize;

    let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
    for (step, seconds) in executor.time_actions(lanes, 1, args.rounds.min(3) as usize)? {
        if std::env::var("STEPS").is_ok() {
            if let Some(s) = step {
                eprintln!(
                    "{} | {} | {:?} | {:.4} ms | {:.1} GF/s",
                    s.label,
                    s.op,
                    s.grid,
                    seconds * 1e3 / lanes as f64,
                    s.flops as f64 * lanes as f64 / seconds / 1e9
                );
            }
        }
        let share = shares.entry(step.map_or("image update", |s| s.op)).or_default();
        share.dispatches += 1;
        share.seconds += seconds / lanes as f64;
        let of = |step: &Step, amount: u64| amount * executor.program().part(step.part, lanes as u64) / lanes as u64;
        share.flops += step.map_or(0, |s| of(s, s.flops));
        share.bytes += step.map_or(0, |s| of(s, s.bytes));
    }
    let total: f64 = shares.values().map(|s| s.seconds).sum();
    let mut order: Vec<_> = shares.into_iter().collect();
    order.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));

    let (adapter, kernels) = (gpu.describe(), gpu.family().name());
    args.output.document("bench", || {
        let ops: Vec<_> = order
            .iter()
            .map(|(op, s)| {
                json!({ "op": op, "dispatches": s.dispatches, "seconds_per_evaluation": s.seconds,
                    "share": s.seconds / total, "flops": s.flops, "bytes": s.bytes })
            })
            .collect();
        json!({
            "model": args.model, "weights_held": model.rounding.map(|r| r.json()), "adapter": adapter, "kernels": kernels, "tile": lanes, "tangents": args.tangents,
            "flops_per_evaluation": flops, "first_run_seconds": first,
            "seconds_per_evaluation": { "best": best, "median": median },
            "over_forward": over_forward, "seconds_per_sample": { "best": best * group as f64, "median": median * group as f64 }, "ops": ops,
        })
    })?;
    let what = if group == 1 { "forward     ".into() } else { format!("1 + {:<8}", args.tangents) };
    let (rounds, rate, work) = (times.len(), 1.0 / best, flops as f64 / best / 1e9);
    args.output.say(&format!(
        "adapter      {adapter}\n{}\
         kernels      {kernels}, tile of {lanes} evaluations, first run after {first:.2} s\n\
         {what} {:.3} ms per evaluation (best), {:.3} (median of {rounds})\n\
         \x20            {rate:.1} evaluations/s, {work:.2} GFLOP/s (best)\n\n",
        rounded(model.rounding),
        best * 1e3,
        median * 1e3,
    ))?;
    if !ratios.is_empty() {
        let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
        args.output.say(&format!(
            "             {over_forward:.3} times a forward evaluation in a tile as large (median of {rounds}, {low:.3} to {high:.3})\n\n"
        ))?;
    }
    let row = |(op, s): &(&str, Share)| {
        [
            op.to_string(),
            s.dispatches.to_string(),
            format!("{:.3}", s.seconds * 1e3),
            format!("{:.1}%", 100.0 * s.seconds / total),
            format!("{:.2}", s.flops as f64 / s.seconds / 1e9),
            format!("{:.2}", s.bytes as f64 / s.seconds / 1e9),
        ]
    };
    let headings =
        [("op", false), ("dispatches", true), ("ms/eval", true), ("share", true), ("GFLOP/s", true), ("GB/s", true)];
    args.output.say(&table(headings, &order.iter().map(row).collect::<Vec<_>>()))?;
    args.output.say("Parts are timed one at a time, so they add up to a little more than a whole evaluation.\n")?;
    Ok(0)
}
