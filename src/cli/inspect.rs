//! `vorticity inspect MODEL`: what a model directory holds and what running it takes, without running it.
//! In: a model directory and an adapter, whose kernels are those of a run, or a family of kernels by name. Out: text or JSON; no
//! GPU is needed.
use super::device::Device;
use super::network::NetworkArgs;
use super::output::Output;
use super::process::settled_json;
use super::text::{count, table};
use super::tune::TuneArgs;
use crate::error::{Error, Result};
use crate::gpu::{Memory, tiles};
use crate::model::Model;
use crate::passes::{Append, alone, lower, lower_as_is};
use crate::program::{Action, Builder, Program, Step};
use crate::session::fleet;
use crate::target::{KernelFamily, Target};
use bytesize::ByteSize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Show what a model directory holds, its cost per evaluation and its memory plan.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Model directory: config.json and model.safetensors
    pub model: PathBuf,
    #[command(flatten)]
    /// Where it runs.
    pub device: Device,
    /// Plan for this family of kernels, cc (software adapters) or igemm (GPUs), without an adapter [default: what a run has on
    /// this one; igemm where there is none]
    #[arg(long, value_name = "FAMILY", value_parser = ["cc", "igemm"], conflicts_with_all = ["adapter", "tune"])]
    pub kernels: Option<String>,
    #[command(flatten)]
    /// Which variants of its kernels.
    pub tune: TuneArgs,
    /// Plan for samples with so many tangents each
    #[arg(long, value_name = "K", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub tangents: u32,
    /// Plan for samples with so many cotangents each: what their sweep reads is kept, or computed again where --memory says so
    #[arg(long, value_name = "K", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub cotangents: u32,
    #[command(flatten)]
    /// What its files do not say.
    pub network: NetworkArgs,
    /// List every step: shader, constants, grid, work
    #[arg(long)]
    pub plan: bool,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// Prints the plan; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let planned = open(args)?;
    args.output.say(&text(args, &planned))?;
    args.output.document("inspect", || document(args, &planned))?;
    Ok(0)
}

/// The text that `run` prints.
pub fn describe(args: &Args) -> Result<String> {
    Ok(text(args, &open(args)?))
}

/// A model and its plan.
struct Planned {
    model: Model,
    kernels: KernelFamily,
    /// Which kernels, as the manifest of a run has it.
    facts: Map<String, Value>,
    /// Kinds of convolution that a run would time first, to choose their variants.
    untimed: usize,
    program: Program,
    /// The same plan without fusion.
    unfused: Work,
}

/// What a plan does in one evaluation.
struct Work {
    dispatches: usize,
    flops: u64,
    /// Of activations, written and read.
    bytes: u64,
}

impl Work {
    fn of(program: &Program) -> Self {
        let bytes = program.steps().map(|s| s.bytes).sum();
        Self { dispatches: program.steps().count(), flops: program.flops(), bytes }
    }
}

/// What a plan is for: the device that a run would open, with its choices; or a family of kernels alone, where that is asked
/// for or there is no adapter. With the facts of a run's manifest, and how many kinds of convolution are not timed.
fn target(args: &Args, model: &Model) -> Result<(Target, Map<String, Value>, usize)> {
    let family = match (&args.kernels, &args.device.adapter) {
        (Some(name), _) => KernelFamily::parse(name)?,
        (None, adapter) => match args.device.open() {
            Err(Error::NoAdapter(_)) if adapter.is_none() => KernelFamily::Gpu,
            opened => {
                let (gpu, untimed) = args.tune.known(opened?, model, args.output)?;
                return Ok((gpu.target(), fleet::facts(&[gpu]), untimed));
            }
        },
    };
    let buffer_bytes = args.device.bounds()?.visible().map(tiles::buffer_bytes);
    let target = Target { buffer_bytes, attention: args.device.attention, ..Target::of(family) };
    let facts = fleet::planned(&target);
    Ok((target, facts, 0))
}

fn open(args: &Args) -> Result<Planned> {
    let model = args.network.open(&args.model)?;
    let (target, facts, untimed) = target(args, &model)?;
    let (kernels, memory) = (target.family, args.device.bounds()?.memory);
    let planned = |saved: u64, lower: Append| {
        let empty = Builder::both(Target { saved, ..target.clone() }, args.tangents, args.cotangents);
        Ok::<Program, Error>(alone(&model.graph, empty, lower)?.0)
    };
    let unfused = Work::of(&planned(0, lower_as_is)?);
    let mut program = planned(0, lower)?;
    let excess = memory.map_or(0, |memory| predicted(kernels, &program).device().saturating_sub(memory));
    if args.cotangents > 0 && excess > 0 {
        program = planned(excess, lower)?;
    }
    Ok(Planned { model, kernels, facts, untimed, program, unfused })
}

fn text(args: &Args, planned: &Planned) -> String {
    let program = &planned.program;
    let mut out = summary(planned);
    out.push('\n');
    out.push_str(&buffers(program));
    if args.plan {
        out.push('\n');
        out.push_str(&steps(program));
    }
    out
}

fn summary(planned: &Planned) -> String {
    let Planned { model, kernels, program, unfused, .. } = planned;
    let (kernels, mirrors, work) = (*kernels, mirrors(program), Work::of(program));
    let lines = [
        ("model", model.path.display().to_string()),
        ("family", model.config.family.clone()),
        ("shape", format!("{}, D = {}", model.shape(), model.shape().len())),
        ("weights SHA-256", model.sha256.clone()),
        ("parameters", count(model.parameters)),
        ("kernels", kernels_of(planned)),
        ("steps", format!("{} dispatches ({} unfused), {mirrors} image updates", work.dispatches, unfused.dispatches)),
        ("FLOPs per evaluation", format!("{} ({} unfused)", count(work.flops), count(unfused.flops))),
        (
            "bytes per evaluation",
            format!("{} of activations, written and read ({} unfused)", count(work.bytes), count(unfused.bytes)),
        ),
        ("weights on the device", format!("{} bytes, for one timestep", count(program.constant_bytes()))),
        ("memory", memory(model, kernels, program)),
        ("weights held", model.rounding.map_or(model.graph.held.name().into(), |r| r.describe())),
    ];
    let settled = model.facts.iter().map(|f| (f.what, format!("{} [{}]", f.value, f.source)));
    let (first, rest) = lines.split_at(3);
    let all = first.iter().cloned().chain(settled).chain(rest.iter().cloned());
    all.fold(String::new(), |mut out, (name, value)| {
        let _ = writeln!(out, "{name:<22} {value}"); // writing to a String cannot fail
        out
    })
}

/// Which kernels, in words: family, adapter, what is chosen.
fn kernels_of(planned: &Planned) -> String {
    let word = |key: &str| planned.facts.get(key).and_then(Value::as_str);
    let mut said = planned.kernels.name().to_string();
    said += &word("adapter").map_or(", for no adapter".into(), |adapter| format!(" on {adapter}"));
    let chosen = planned.facts.get("variants").and_then(Value::as_object);
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for name in chosen.into_iter().flat_map(Map::values).filter_map(Value::as_str) {
        *by_name.entry(name).or_default() += 1;
    }
    for (name, kinds) in by_name {
        said += &format!("; {name} for {kinds} kinds of convolution");
    }
    if let Some(way) = word("attention") {
        said += &format!("; attention {way}");
    }
    if planned.untimed > 0 {
        said += &format!("; {} kinds of convolution are not timed yet: a run does that first", planned.untimed);
    }
    said
}

/// Of one sample with its tangents.
fn memory(model: &Model, kernels: KernelFamily, program: &Program) -> String {
    let memory = predicted(kernels, program);
    let [device, buffers, images, constants, process] =
        [memory.device(), memory.buffers, memory.images, memory.constants, memory.process(model.parameters)]
            .map(ByteSize);
    let samples = format!("for one sample ({} lanes)", program.group());
    let process = if kernels == KernelFamily::Cpu { format!("; the process {process}") } else { String::new() };
    format!("{device} on the device {samples}: buffers {buffers}, images {images}, weights {constants}{process}")
}

fn predicted(kernels: KernelFamily, program: &Program) -> Memory {
    Memory::of(program, u64::from(program.group()), kernels == KernelFamily::Cpu)
}

fn mirrors(program: &Program) -> usize {
    program.actions.iter().filter(|a| matches!(a, Action::Mirror { .. })).count()
}

/// What `text` says, as JSON; the steps too with --plan.
fn document(args: &Args, planned: &Planned) -> Value {
    let Planned { model, kernels, program, unfused, .. } = planned;
    let (kernels, work) = (*kernels, Work::of(program));
    let shape = model.shape();
    let image = |i| program.has_image(crate::program::BufferId(i));
    let buffer = |(i, b): (usize, &crate::program::Buffer)| {
        (b.bytes_per_lane > 0)
            .then(|| json!({
                "slot": b.label, "bytes_per_lane": b.bytes_per_lane, "lanes": program.lanes_in(b.space), "image": image(i),
            }))
    };
    let mut document = json!({
        "model": model.path.display().to_string(), "config": model.config, "shape": [shape.c, shape.h, shape.w],
        "settled": settled_json(&model.facts), "weights_sha256": model.sha256, "parameters": model.parameters, "not_timed": planned.untimed,
        "dispatches": work.dispatches, "image_updates": mirrors(program),
        "flops_per_evaluation": work.flops, "activation_bytes_per_evaluation": work.bytes,
        "unfused": { "dispatches": unfused.dispatches, "flops_per_evaluation": unfused.flops,
            "activation_bytes_per_evaluation": unfused.bytes },
        "weights_held": model.rounding.map(|r| r.json()),
        "weight_bytes": program.constant_bytes(), "bytes_per_lane": program.bytes_per_lane(),
        "tangents": program.tangents, "cotangents": program.cotangents, "device_bytes": predicted(kernels, program).device(),
        "process_bytes": (kernels == KernelFamily::Cpu).then(|| predicted(kernels, program).process(model.parameters)),
        "buffers": program.buffers.iter().enumerate().filter_map(buffer).collect::<Vec<_>>(),
    });
    for (key, value) in &planned.facts {
        document[key] = value.clone();
    }
    if args.plan {
        let step = |s: &Step| {
            let constants: Map<String, Value> =
                s.kernel.constants.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
            json!({
                "step": s.label, "op": s.op, "shader": s.kernel.shader, "constants": constants,
                "grid": { "items": s.grid.items, "workgroup": s.grid.workgroup, "groups": s.grid.groups },
                "flops": s.flops, "bytes": s.bytes,
            })
        };
        document["steps"] = program.steps().map(step).collect();
    }
    document
}

/// Every buffer that grows with the lanes.
fn buffers(program: &Program) -> String {
    let row = |(i, b): (usize, &crate::program::Buffer)| {
        let image = if program.has_image(crate::program::BufferId(i)) { "buffer and image" } else { "buffer" };
        [b.label.clone(), count(b.bytes_per_lane), program.lanes_in(b.space).to_string(), image.into()]
    };
    let rows: Vec<_> = program.buffers.iter().enumerate().filter(|(_, b)| b.bytes_per_lane > 0).map(row).collect();
    table([("slot", false), ("bytes per lane", true), ("lanes per sample", true), ("held as", false)], &rows)
}

fn steps(program: &Program) -> String {
    let row = |action: &Action| match action {
        Action::Dispatch(step, _) => dispatch(step),
        Action::Mirror { buffer, .. } => {
            let label = format!("copy of {} to its image", program.buffers[buffer.0].label);
            [label, String::new(), String::new(), String::new(), String::new(), String::new()]
        }
        Action::Host(step) => {
            [step.label.clone(), "the host".into(), String::new(), String::new(), String::new(), String::new()]
        }
    };
    let rows: Vec<_> = program.actions.iter().map(row).collect();
    let headings = [
        ("step", false),
        ("shader", false),
        ("constants", false),
        ("grid per lane", false),
        ("FLOPs", true),
        ("bytes", true),
    ];
    table(headings, &rows)
}

fn dispatch(step: &Step) -> [String; 6] {
    let constants: Vec<String> = step.kernel.constants.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let grid = step.grid;
    [
        step.label.clone(),
        step.kernel.shader.into(),
        constants.join(" "),
        format!("{} items / {} x {}", grid.items, grid.workgroup, grid.groups),
        count(step.flops),
        count(step.bytes),
    ]
}
