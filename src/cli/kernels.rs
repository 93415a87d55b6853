//! `vorticity kernels [MODEL]`: what a driver's compiler makes of every kernel that a network needs, for values, tangents and
//! cotangents, by every variant that the adapter has. In: models, an adapter. Out: text or JSON, a folder with the kernels' texts;
//! pipelines are built and nothing is submitted. Source: VK_KHR_pipeline_executable_properties.
use super::device::Device;
use super::network::NetworkArgs;
use super::output::Output;
use super::text::{count, table};
use crate::choice::Choices;
use crate::error::{Error, Result};
use crate::gpu::{Compiled, Executable, Gpu};
use crate::graph::Graph;
use crate::passes::{alone, lower};
use crate::program::{Builder, Kernel};
use crate::selftest::{self, VARIED, graph_of, tested};
use crate::target::{KernelFamily, Target};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Build every kernel that a network needs, run none, and show what the driver's compiler says of them.
///
/// Registers, spills, memory and code are told on Linux, by Vulkan drivers that have
/// VK_KHR_pipeline_executable_properties; elsewhere it is only said whether a kernel compiles. The exit code is 1 if a kernel does not compile, or spills registers to memory.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Model directories or ONNX files; if none is given, the networks of `vorticity selftest`, which have every kernel
    pub models: Vec<PathBuf>,
    #[command(flatten)]
    /// Whose compiler.
    pub device: Device,
    /// Family of kernels: cc (software adapters) or igemm (GPUs); if not given, the one that suits the adapter
    #[arg(long, value_name = "FAMILY", value_parser = ["cc", "igemm"])]
    pub kernels: Option<String>,
    /// Tangents, and cotangents, of a sample where there are some
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub directions: u32,
    /// One variant of the convolutions instead of all, such as "igemm 64x64"
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Only kernels of this shader
    #[arg(long, value_name = "NAME")]
    pub shader: Option<String>,
    #[command(flatten)]
    /// What its files do not say.
    pub network: NetworkArgs,
    /// Write every kernel's WGSL, and what the driver shows of its code, into this new folder
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Do not fail where registers are spilled
    #[arg(long)]
    pub allow_spills: bool,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// What a driver may tell, and the names that drivers have for it; what stands in several is summed up.
/// Those of RADV, NVK, Honeykrisp, Turnip and ANV of Mesa were seen, or read in their sources; software adapters tell nothing.
const TOLD: [(&str, &[&str]); 7] = [
    ("registers", &["VGPRs", "GPRs", "Number of GPRs", "Registers used", "Register Count", "GRF registers"]),
    ("spills", &["Spilled VGPRs", "Spills", "Spills to memory", "Spill Count", "STP Count"]),
    ("scratch_bytes", &["Scratch size", "Scratch", "SLM size", "Scratch Memory Size", "Stack Size"]),
    ("shared_bytes", &["LDS size", "Workgroup Memory Size", "Shared Memory Size"]),
    ("occupancy", &["Subgroups per SIMD", "Max warps/SM", "Threads", "Max Waves Per Core"]),
    ("code_bytes", &["Code size", "Code Size", "Binary Size"]),
    ("instructions", &["Instructions", "Instruction count", "Instruction Count"]),
];

/// The sum over a pipeline's parts of what a driver tells under any of a row's names.
fn told(parts: &[Executable], what: &str) -> Option<f64> {
    let (_, names) = TOLD.iter().find(|row| row.0 == what)?;
    let all = parts.iter().flat_map(|part| &part.statistics).filter(|s| names.contains(&s.name.as_str()));
    all.map(|s| s.value).reduce(|a, b| a + b)
}

/// What needs a kernel.
#[derive(Default)]
struct Needed {
    /// Values, tangents, cotangents, or the latter two at once.
    programs: BTreeSet<&'static str>,
    /// Variants of the convolutions; empty for kernels that all have.
    variants: BTreeSet<&'static str>,
    /// Models.
    models: BTreeSet<String>,
}

/// Builds everything and shows it; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    if let Some(folder) = args.write.as_ref().filter(|folder| folder.exists()) {
        return Err(Error::file(folder, "is there already, expected a new folder"));
    }
    let gpu = open(args)?;
    let needed = needed(args, &gpu)?;
    let kernels: Vec<Kernel> = needed.keys().map(|(shader, constants)| kernel(shader, constants)).collect();
    let bar = args.output.progress(kernels.len() as u64);
    bar.set_message(format!("kernels of {}", gpu.family().name()));
    let compiled = gpu.compiled(&kernels, &[], &|| bar.inc(1));
    ProgressBar::finish_and_clear(&bar);
    if let Some(folder) = &args.write {
        compiled.iter().try_for_each(|one| write(folder, one))?;
    }
    args.output.say(&text(&gpu, &compiled))?;
    args.output.document("kernels", || document(&gpu, &compiled, &needed))?;
    let failed = compiled.iter().any(|one| one.executables.is_err());
    let spilled = compiled.iter().any(|one| spills(one) > 0.0);
    Ok(i32::from(failed || (spilled && !args.allow_spills)))
}

/// The adapter, telling, with the family that is asked for.
fn open(args: &Args) -> Result<Gpu> {
    let gpu = args.device.open_by(Gpu::open_telling)?;
    let Some(family) = &args.kernels else { return Ok(gpu) };
    let family = KernelFamily::parse(family)?;
    if !selftest::families(&gpu).contains(&family) {
        let why =
            "expected igemm: cc wants a software adapter with 512 threads and 32 KiB a workgroup, and 64-bit integers";
        return Err(Error::invalid("--kernels", format!("'{}' does not run on {}, {why}", family.name(), gpu.name())));
    }
    Ok(gpu.with_family(family))
}

/// Shader and constants.
type Key = (&'static str, Vec<(&'static str, i64)>);

fn kernel(shader: &'static str, constants: &[(&'static str, i64)]) -> Kernel {
    Kernel { shader, constants: constants.to_vec() }
}

/// The networks, by name, and whether variants compute them.
fn networks(args: &Args) -> Result<Vec<(String, Graph, bool)>> {
    if args.models.is_empty() {
        let cases = tested().flat_map(|(name, cases)| cases().into_iter().map(move |case| (name, case)));
        return cases.map(|(name, case)| Ok((name.to_string(), graph_of(&case)?, VARIED.contains(name)))).collect();
    }
    let open = |path: &PathBuf| Ok((path.display().to_string(), args.network.open(path)?.graph, true));
    args.models.iter().map(open).collect()
}

/// Every kernel of every program.
fn needed(args: &Args, gpu: &Gpu) -> Result<BTreeMap<Key, Needed>> {
    let k = args.directions;
    let programs = [("values", [0, 0]), ("tangents", [k, 0]), ("cotangents", [0, k]), ("both", [k, k])];
    let variants = variants(args, gpu)?;
    let (mut all, mut shaders): (BTreeMap<Key, Needed>, BTreeSet<&str>) = Default::default();
    for (model, graph, varied) in networks(args)? {
        for variant in variants.iter().take(if varied { variants.len() } else { 1 }) {
            let choices = Choices::always(variant);
            for (what, [tangents, cotangents]) in programs {
                let target = Target { buffer_bytes: None, choices: choices.clone().into(), ..gpu.target() };
                let planned = alone(&graph, Builder::both(target, tangents, cotangents), lower);
                let program = match planned {
                    Ok((program, _)) => program,
                    // Ops that plans make of several have no adjoint of their own.
                    Err(_) if args.models.is_empty() && cotangents > 0 => continue,
                    Err(error) => return Err(error),
                };
                shaders.extend(program.steps().map(|step| step.kernel.shader));
                let wanted = |shader: &str| args.shader.as_deref().is_none_or(|only| only == shader);
                for step in program.steps().filter(|step| wanted(step.kernel.shader)) {
                    let key = (step.kernel.shader, step.kernel.constants.clone());
                    let needed = all.entry(key).or_default();
                    needed.programs.insert(what);
                    needed.models.insert(model.clone());
                    if program.chosen.values().any(|chosen| chosen == variant) {
                        needed.variants.insert(variant);
                    }
                }
            }
        }
    }
    match (all.is_empty(), &args.shader) {
        (true, Some(shader)) => {
            let there = shaders.into_iter().collect::<Vec<_>>().join(", ");
            Err(Error::invalid("--shader", format!("'{shader}' is no kernel of these networks; there are {there}")))
        }
        _ => Ok(all),
    }
}

/// Those that are asked for and run on the adapter, the first first.
fn variants(args: &Args, gpu: &Gpu) -> Result<Vec<&'static str>> {
    let first = crate::ops::conv::VARIANTS[0].name;
    let (can, cannot) = selftest::variants(gpu);
    let all: Vec<&str> = match gpu.family() {
        KernelFamily::Gpu => [first].into_iter().chain(can.iter().map(|v| v.name)).collect(),
        KernelFamily::Cpu => vec![first],
    };
    let Some(only) = &args.variant else { return Ok(all) };
    match all.iter().find(|name| *name == only) {
        Some(name) => Ok(vec![name]),
        None => {
            let lacks = cannot.iter().find(|c| c.0 == only).map_or("is not one".into(), |c| format!("lacks {}", c.1));
            Err(Error::invalid("--variant", format!("'{only}' {lacks}; there are {}", all.join(", "))))
        }
    }
}

fn spills(one: &Compiled) -> f64 {
    one.executables.as_ref().ok().and_then(|parts| told(parts, "spills")).unwrap_or(0.0)
}

/// Shader and the constants that are not 0, as a file may be called.
fn name(kernel: &Kernel) -> String {
    let constants = kernel.constants.iter().filter(|c| c.1 != 0);
    constants.fold(kernel.shader.to_string(), |name, (constant, value)| match value {
        1 => format!("{name}-{constant}"),
        value => format!("{name}-{constant}{value}"),
    })
}

/// The kernel's text, and the driver's.
fn write(folder: &Path, one: &Compiled) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let put = |file: String, text: &str| {
        let path = folder.join(file);
        std::fs::write(&path, text).map_err(|e| Error::file(path, e))
    };
    let name = name(&one.kernel);
    put(format!("{name}.wgsl"), &one.wgsl)?;
    for (i, part) in one.executables.iter().flatten().enumerate() {
        for form in &part.representations {
            let form_name: String = form.name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
            put(format!("{name}.{i}.{form_name}.txt"), &form.text)?;
        }
    }
    Ok(())
}

fn text(gpu: &Gpu, compiled: &[Compiled]) -> String {
    let headings = ["kernel", "registers", "spills", "scratch", "shared", "occupancy", "code", "instructions"];
    let rows: Vec<[String; 8]> = compiled
        .iter()
        .filter_map(|one| {
            let parts = one.executables.as_ref().ok()?;
            let number = |what| told(parts, what).map_or("-".to_string(), |value| count(value as u64));
            let [a, b, c, d, e, f, g] = TOLD.map(|row| number(row.0));
            Some([name(&one.kernel), a, b, c, d, e, f, g])
        })
        .collect();
    let failed = compiled.iter().filter_map(|one| Some((name(&one.kernel), one.executables.as_ref().err()?)));
    let mut out = format!("{}\n{} kernels of family {}", gpu.describe(), compiled.len(), gpu.family().name());
    out.push_str(if gpu.tells() { "\n\n" } else { "; nothing is told here of what the driver made\n\n" });
    out.push_str(&table(std::array::from_fn(|i| (headings[i], i > 0)), &rows));
    for (name, error) in failed {
        out.push_str(&format!("\n{name} does not compile: {error}\n"));
    }
    let spilled: Vec<String> = compiled.iter().filter(|one| spills(one) > 0.0).map(|one| name(&one.kernel)).collect();
    if !spilled.is_empty() {
        out.push_str(&format!("\n{} kernels spill registers to memory: {}\n", spilled.len(), spilled.join(", ")));
    }
    out
}

fn document(gpu: &Gpu, compiled: &[Compiled], needed: &BTreeMap<Key, Needed>) -> Value {
    let part = |part: &Executable| {
        let statistics: Map<String, Value> = part.statistics.iter().map(|s| (s.name.clone(), json!(s.value))).collect();
        json!({ "name": part.name, "subgroup": part.subgroup, "statistics": statistics })
    };
    let kernel = |(one, needed): (&Compiled, &Needed)| {
        let constants: Map<String, Value> =
            one.kernel.constants.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        let parts = one.executables.as_deref().unwrap_or_default();
        let mut kernel = json!({
            "name": name(&one.kernel), "shader": one.kernel.shader, "constants": constants,
            "programs": needed.programs, "variants": needed.variants, "models": needed.models,
            "executables": parts.iter().map(part).collect::<Vec<_>>(),
            "error": one.executables.as_ref().err().map(ToString::to_string),
        });
        for (what, _) in TOLD {
            kernel[what] = told(parts, what).into();
        }
        kernel
    };
    let kernels: Vec<Value> = compiled.iter().zip(needed.values()).map(kernel).collect();
    json!({ "adapter": gpu.identity(), "family": gpu.family().name(), "tells": gpu.tells(), "kernels": kernels })
}
