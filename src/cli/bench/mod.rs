//! `vorticity bench`: what evaluations, tangents, cotangents, differences and loops of a network cost on an adapter, where the time
//! goes, op by op, and how far that is from what the adapter can do at best. In: a model directory. Out: tables or one
//! document, and ratios to an earlier document.
mod against;
mod cost;
mod loops;
mod network;

use super::common::{rounded, warn};
use super::device::Device;
use super::network::NetworkArgs;
use super::output::Output;
use super::process::{lines as settled, settled_json};
use super::tune::TuneArgs;
use crate::ceilings::{self, Ceilings};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::model::Model;
use crate::session::{Opening, encoded, fleet};
use crate::spec::Spec;
use cost::{Cost, lines};
use network::{Effort, Ready};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// Time a network on an adapter, against what the adapter can do at best.
///
/// Ceilings (multiply-adds, a plain GEMM, copies, dispatches) are measured first. Figures depend on the machine and on what
/// else it does: compare ratios within one run, or `--compare` with an earlier run of the same machine.
#[derive(clap::Args)]
pub struct Args {
    /// Model directory
    model: Spec,
    /// What to time, separated by commas: forward evaluations, values with tangents, values with cotangents, central differences as `curl --method
    /// fd` takes them, loops to a given accuracy and by midpoints
    #[arg(long, value_enum, value_delimiter = ',', default_value = "forward")]
    what: Vec<What>,
    #[command(flatten)]
    device: Device,
    /// Evaluations per tile; by memory if not given. With tangents or cotangents the nearest number of whole samples below
    #[arg(long)]
    tile: Option<usize>,
    /// Tangents of a sample, and directions of differences; a value with its K tangents is 1 + K evaluations
    #[arg(long, value_name = "K", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    tangents: u32,
    /// Cotangents of a sample
    #[arg(long, value_name = "K", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    cotangents: u32,
    /// Of loops, as `circulation --tol`
    #[arg(long, value_name = "TOL", default_value_t = 1e-3)]
    accuracy: f64,
    /// Midpoints of a loop, and the most evaluations of one to that accuracy
    #[arg(long, value_name = "N", default_value_t = 1000)]
    points: usize,
    /// Clean images about which loops are laid, as for `circulation`
    #[arg(long, default_value = "data:gaussian?seed=0")]
    data: Spec,
    /// Timed rounds; best, median and worst are printed
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// An earlier document (`bench --json > OLD.json`): ratios to it, and what became slower beyond the noise
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    #[command(flatten)]
    /// What its files do not say.
    network: NetworkArgs,
    #[command(flatten)]
    tune: TuneArgs,
    #[command(flatten)]
    output: Output,
}

/// What can be timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Forward,
    Tangents,
    Cotangents,
    Differences,
    Circulation,
}

fn ceilings_line(c: &Ceilings) -> String {
    format!(
        "ceilings     {:.1} GFLOP/s in registers, {:.1} in a plain GEMM, {:.2} GB/s copied (read and written), {:.1} us a \
         dispatch, {:.0} us a submission\n",
        c.multiply_add / 1e9,
        c.gemm / 1e9,
        c.bandwidth / 1e9,
        c.dispatch * 1e6,
        c.submission * 1e6
    )
}

impl Args {
    fn asks(&self, what: What) -> bool {
        self.what.contains(&what)
    }

    /// Values, tangents and cotangents of the network's own plan; `ready` has run once.
    fn of_network(
        &self,
        gpu: &Gpu,
        model: &Model,
        ready: Ready,
        ceilings: &Ceilings,
        effort: Effort,
    ) -> Result<Vec<Cost>> {
        let mut costs = vec![];
        if self.asks(What::Forward) {
            costs.push(network::forward(ready, ceilings, effort)?);
        } else {
            drop(ready); // its memory is needed
        }
        if self.asks(What::Tangents) {
            costs.push(network::tangents(gpu, model, self.tangents, ceilings, effort)?);
        }
        if self.asks(What::Cotangents) {
            costs.push(network::cotangents(gpu, model, self.cotangents, ceilings, effort)?);
        }
        Ok(costs)
    }

    /// Differences and loops of the network as a field.
    fn of_field(&self, gpu: &Gpu, effort: Effort) -> Result<Vec<Cost>> {
        let mut costs = vec![];
        if !self.asks(What::Differences) && !self.asks(What::Circulation) {
            return Ok(costs);
        }
        let opening = Opening::new(self.model.clone(), self.data.clone(), 1);
        let source = Opening { said: self.network.said()?, ..opening }.open()?;
        if self.asks(What::Differences) {
            costs.push(loops::differences(gpu, &source.field, self.tangents, effort)?);
        }
        if self.asks(What::Circulation) {
            let images = encoded(gpu, source.field.as_ref(), source.images, 0)?;
            let size = [self.points, effort.rounds];
            costs.extend(loops::circulation(gpu, &source.field, &images, size, self.accuracy, self.tile)?);
        }
        Ok(costs)
    }
}

/// Says what things cost.
fn told(costs: &[Cost], output: Output) -> Result<()> {
    output.say(&lines(costs))?;
    for cost in costs {
        output.say(&cost.shares())?;
    }
    if costs.iter().any(|c| !c.ops.is_empty()) {
        output.say(
            "Ops are timed one dispatch at a time, so they add up to a little more than the whole. \"of ceiling\" is the roofline's \
             least time over the time taken; what caches hold may beat the bandwidth of memory.\n",
        )?;
    }
    Ok(())
}

/// Measures and prints; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let old = args.compare.as_ref().map(|path| Ok((path, against::read(path)?))).transpose()?;
    let (output, rounds) = (args.output, args.rounds as usize);
    let effort = Effort { tile: args.tile, rounds };
    let clock = Instant::now();
    let model = args.network.open(args.model.path())?;
    let read = clock.elapsed().as_secs_f64();
    let gpu = args.device.open()?;
    let opened = clock.elapsed().as_secs_f64() - read;
    let gpu = args.tune.tuned_for(vec![gpu.clone()], &[&model.graph], output)?.pop().unwrap_or(gpu);
    let ready = Ready::new(&gpu, &model, [0, 0], args.tile)?;
    let start = ready.start;
    let total = read + opened + start.plan + start.compile + start.first_run;
    let (adapter, kernels, flops) = (gpu.describe(), gpu.family().name(), model.graph.flops());
    output.say(&format!(
        "adapter      {adapter}\n{}{}kernels      {kernels}\n\
         start        {total:.2} s: model {read:.2}, adapter {opened:.2}, plan {:.2}, buffers and pipelines {:.2}, first run {:.2}\n",
        settled(&model.facts),
        rounded(model.rounding),
        start.plan,
        start.compile,
        start.first_run,
    ))?;

    let ceilings = ceilings::measure(&gpu, rounds.min(5))?;
    output.say(&format!("{}\n", ceilings_line(&ceilings)))?;
    let mut costs = args.of_network(&gpu, &model, ready, &ceilings, effort)?;
    let facts = settled_json(&model.facts);
    let (sha256, rounding) = (model.sha256.clone(), model.rounding.map(|r| r.json()));
    drop(model);
    costs.extend(args.of_field(&gpu, effort)?);
    let gpus = [gpu];
    warn(&gpus, output);
    told(&costs, output)?;
    let mut document = json!({
        "program": format!("vorticity {}", env!("CARGO_PKG_VERSION")), "model": args.model, "weights_sha256": sha256,
        "weights_held": rounding, "adapter": adapter, "kernels": kernels, "variants": fleet::variants(&gpus),
        "rounds": rounds, "tangents": args.tangents, "cotangents": args.cotangents, "accuracy": args.accuracy, "points": args.points,
        "flops_per_evaluation": flops, "settled": facts,
        "start": {
            "seconds": total, "model": read, "adapter": opened, "plan": start.plan, "compile": start.compile,
            "first_run": start.first_run,
        },
        "ceilings": {
            "multiply_add": ceilings.multiply_add, "gemm": ceilings.gemm, "bandwidth": ceilings.bandwidth,
            "dispatch": ceilings.dispatch, "submission": ceilings.submission,
        },
        "costs": costs.iter().map(Cost::json).collect::<Vec<Value>>(),
    });
    if let Some((path, old)) = old {
        let (differs, rows) = against::compare(&old, &document);
        output.say(&format!("\n{}", against::text(path, &differs, &rows)))?;
        document["compared"] = against::json(path, &differs, &rows);
    }
    output.document("bench", || document)?;
    Ok(0)
}
