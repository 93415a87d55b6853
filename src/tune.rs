//! The tuner: which variant of the convolutions is the fastest on an adapter. In: an adapter and the networks that will run
//! on it. Out: the same adapter with a choice for each of their classes of work, timed once and kept in the user's cache.
//! Timings decide on the last bits of results, so choices are facts of a run; `Mode::File` repeats those of another.
use crate::choice::{Choices, Class, Needs};
use crate::data::sha256_bytes;
use crate::error::{Error, Result};
use crate::gpu::{Executor, Gpu, tiles};
use crate::graph::Graph;
use crate::ops::conv::{BOUND, Conv, Padding, VARIANTS};
use crate::ops::weight_format::WeightFormat;
use crate::passes::{Ports, alone, lower};
use crate::paths::Lane;
use crate::program::{Builder, Program};
use crate::shaders::SOURCES;
use crate::shape::Shape;
use crate::target::{KernelFamily, Target};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Rounds that are timed after the first; their median counts.
const ROUNDS: usize = 5;
/// Seconds after which a class has no further round.
const SECONDS: f64 = 2.0;
/// Seconds of work in a timed round: many times what a submission costs.
const ROUND: f64 = 0.01;
/// Floating-point operations of a trial on GPUs.
const WORK: usize = 4_000_000_000;
/// Of cache files.
const SCHEMA: u64 = 1;

/// Where choices come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The cache, or timings; on software adapters nothing is chosen.
    Auto,
    /// Nothing is timed: the vendor's built-in tile.
    Off,
    /// As `Auto` on software adapters too, which then run the kernels of GPUs.
    Force,
    /// `variants` of a manifest or a cache file; as with `Force`, everywhere the kernels of GPUs.
    File(PathBuf),
}

impl Mode {
    /// `auto`, `off`, `force`, or the name of a file.
    pub fn parse(text: &str) -> Self {
        match text {
            "auto" => Self::Auto,
            "off" => Self::Off,
            "force" => Self::Force,
            file => Self::File(file.into()),
        }
    }
}

/// The devices with choices for all convolutions of the networks; devices of one kind choose alike. `say` is told of work
/// that takes a while, and of what went wrong without harm.
pub fn tuned(gpus: Vec<Gpu>, mode: &Mode, graphs: &[&Graph], say: &mut dyn FnMut(&str)) -> Result<Vec<Gpu>> {
    let mut done: Vec<Gpu> = Vec::with_capacity(gpus.len());
    for gpu in gpus {
        let gpu = portable(gpu, mode);
        let alike = done.iter().find(|other| other.identity() == gpu.identity());
        let choices = match (alike, untimed(&gpu, mode, graphs)?) {
            (_, Some(choices)) => choices,
            (Some(other), None) => (**other.choices()).clone(),
            (None, None) => choose(&gpu, graphs, say)?,
        };
        done.push(gpu.with_choices(choices));
    }
    Ok(done)
}

/// The device with the choices of `tuned` as far as nothing has to be timed for them, and how many kinds of convolution that
/// would time first.
pub fn known(gpu: Gpu, mode: &Mode, graphs: &[&Graph], say: &mut dyn FnMut(&str)) -> Result<(Gpu, usize)> {
    let gpu = portable(gpu, mode);
    if let Some(choices) = untimed(&gpu, mode, graphs)? {
        return Ok((gpu.with_choices(choices), 0));
    }
    let (classes, cache) = (classes(&gpu, graphs)?, Cache::open(&gpu, say));
    let missing = classes.iter().filter(|class| cache.choices.of(class).is_none()).count();
    Ok((gpu.with_choices(cache.choices.of_classes(&classes, VARIANTS[0].name)), missing))
}

/// The device with the family that has variants, where the mode wants that one everywhere.
fn portable(gpu: Gpu, mode: &Mode) -> Gpu {
    match mode {
        Mode::Force | Mode::File(_) => gpu.with_family(KernelFamily::Gpu),
        Mode::Auto | Mode::Off => gpu,
    }
}

/// The choices of a mode that times nothing here; none where the cache has them.
fn untimed(gpu: &Gpu, mode: &Mode, graphs: &[&Graph]) -> Result<Option<Choices>> {
    Ok(match mode {
        Mode::Off => Some(built_in(gpu, graphs)?),
        Mode::Auto if gpu.is_software() => Some(Choices::default()),
        Mode::File(path) => Some(of_file(gpu, path)?.of_classes(&classes(gpu, graphs)?, VARIANTS[0].name)),
        Mode::Auto | Mode::Force => None,
    })
}

/// What is chosen without timing, by vendor (PCI numbers): the tile whose inner loop the vendor's compilers make the most of
/// without spilling (docs/COMPILERS.md). Others run the table's first.
const BUILT_IN: [(u32, &str); 2] = [(0x1002, "igemm 128x64"), (0x10de, "igemm 128x64")];

fn built_in(gpu: &Gpu, graphs: &[&Graph]) -> Result<Choices> {
    match BUILT_IN.iter().find(|row| row.0 == gpu.vendor() && !gpu.is_software()) {
        Some((_, variant)) => Ok(Choices::always(variant).of_classes(&classes(gpu, graphs)?, VARIANTS[0].name)),
        None => Ok(Choices::default()),
    }
}

/// The classes of work of the networks' values, each once; those that their reverse sweeps alone have run the table's first.
fn classes(gpu: &Gpu, graphs: &[&Graph]) -> Result<Vec<Class>> {
    let mut all = vec![];
    for graph in graphs {
        all.extend(plan(gpu, graph)?.0.chosen.into_keys());
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn plan(gpu: &Gpu, graph: &Graph) -> Result<(Program, Ports)> {
    // What is cut into bands is chosen as a whole.
    alone(graph, Builder::new(Target { buffer_bytes: None, ..gpu.target() }, 0), lower)
}

/// The variants that a file says; all must be known, and run here.
fn of_file(gpu: &Gpu, path: &Path) -> Result<Choices> {
    let text = std::fs::read(path).map_err(|e| Error::file(path, e))?;
    let value: Value = serde_json::from_slice(&text).map_err(|e| Error::file(path, e))?;
    let place = format!("{}, variants", path.display());
    // A manifest without them is of a run with none chosen.
    let choices = match value.get("variants") {
        Some(variants) => Choices::parse(&place, variants, &names())?,
        None if value.is_object() => Choices::default(),
        None => return Err(Error::file(path, "expected a manifest or a cache of the tuner: a JSON object")),
    };
    for variant in VARIANTS.iter().filter(|v| choices.names().any(|name| name == v.name)) {
        if let Some(lacks) = gpu.lacks(variant.needs) {
            return Err(Error::invalid(place, format!("'{}' cannot run on {}: {lacks}", variant.name, gpu.name())));
        }
    }
    Ok(choices)
}

fn names() -> Vec<&'static str> {
    VARIANTS.iter().map(|v| v.name).collect()
}

/// From the cache, and by timing what is not there.
fn choose(gpu: &Gpu, graphs: &[&Graph], say: &mut dyn FnMut(&str)) -> Result<Choices> {
    let classes = classes(gpu, graphs)?;
    let mut cache = Cache::open(gpu, say);
    let missing: Vec<&Class> = classes.iter().filter(|class| cache.choices.of(class).is_none()).collect();
    if !missing.is_empty() {
        say(&format!("timing {} kinds of convolution on {}, once", missing.len(), gpu.name()));
        for class in missing {
            let (fastest, seconds) = race(gpu, class, say)?;
            cache.choices.set(class, fastest);
            cache.seconds.insert(class.to_string(), seconds);
            // What is timed is kept, also if the rest is not waited for.
            if let Err(error) = cache.write() {
                say(&format!("choices are not kept: {error}"));
            }
        }
    }
    Ok(cache.choices.of_classes(&classes, VARIANTS[0].name))
}

/// The fastest variant of a class whose results agree with the first's, and the seconds per lane of all that do.
fn race(gpu: &Gpu, class: &Class, say: &mut dyn FnMut(&str)) -> Result<(&'static str, Value)> {
    let graph = trial(class)?;
    let able = VARIANTS.iter().filter(|v| gpu.lacks(v.needs).is_none());
    let able: Vec<(&str, Gpu)> = able.map(|v| (v.name, gpu.clone().with_choices(Choices::always(v.name)))).collect();
    // Compiling takes most of the time, and compilers run beside each other.
    let made: Vec<Result<(Runner, Vec<f32>)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = able.iter().map(|(_, gpu)| scope.spawn(|| Runner::new(gpu, &graph, class))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let (mut runners, mut reference) = (vec![], None);
    for (&(variant, _), made) in able.iter().zip(made) {
        let (runner, found) = match made {
            Ok(made) => made,
            Err(error) if reference.is_none() || matches!(error, Error::DeviceLost { .. }) => return Err(error),
            Err(error) => {
                say(&format!("{variant} does not run on {}: {error}", gpu.name()));
                continue;
            }
        };
        let reference = reference.get_or_insert_with(|| found.clone());
        let (error, bound) = (apart(&found, reference), 2.0 * BOUND);
        if error.is_nan() || error > bound {
            let name = gpu.name();
            say(&format!("{variant} is wrong on {name}: {class} is off by {error:.1e}, expected {bound:.1e}"));
            continue;
        }
        runners.push((variant, runner));
    }
    let timed = in_turns(&runners)?;
    let all = timed.iter().map(|&(variant, seconds)| (variant.to_string(), seconds.into())).collect::<Map<_, _>>();
    let fastest = timed.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(VARIANTS[0].name, |t| t.0);
    Ok((fastest, all.into()))
}

/// Seconds per lane of each, medians of rounds in which all take turns: a clock that rises while an adapter warms up rises for all.
/// The first round does not count.
fn in_turns(runners: &[(&'static str, Runner<'_>)]) -> Result<Vec<(&'static str, f64)>> {
    let start = Instant::now();
    let repeats =
        runners.iter().map(|(_, runner)| Ok((ROUND / runner.seconds(1)?.max(1e-6)).clamp(1.0, 100.0) as usize));
    let repeats = repeats.collect::<Result<Vec<_>>>()?;
    let mut times = vec![vec![]; runners.len()];
    for round in 0..=ROUNDS {
        if round > 1 && start.elapsed().as_secs_f64() > SECONDS {
            break;
        }
        for (((_, runner), &repeat), times) in runners.iter().zip(&repeats).zip(&mut times) {
            let seconds = runner.seconds(repeat)?;
            if round > 0 {
                times.push(seconds / runner.lanes as f64);
            }
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    };
    Ok(runners.iter().zip(&mut times).map(|((variant, _), times)| (*variant, median(times))).collect())
}

/// max |a - b| / max |b|; NaN if any number is.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let most = b.iter().fold(f64::MIN_POSITIVE, |most, v| most.max(f64::from(v.abs())));
    let gap = |worst: f64, (a, b): (&f32, &f32)| {
        let gap = f64::from((a - b).abs());
        if gap.is_nan() || worst.is_nan() { f64::NAN } else { worst.max(gap) }
    };
    a.iter().zip(b).fold(0.0, gap) / most
}

/// A network of one convolution of the class.
fn trial(class: &Class) -> Result<Graph> {
    let Class { kernel, stride, inputs, outputs, pixels_log2, half } = *class;
    let (h, w) = (1 << (pixels_log2 / 2), 1 << pixels_log2.div_ceil(2));
    let side = |n: usize| (n - 1) * stride + kernel;
    let pseudo = |n: usize| (0..n).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect::<Vec<_>>();
    let conv = Conv {
        in_channels: inputs,
        out_channels: outputs,
        kernel,
        stride,
        padding: Padding::all(0),
        weight: pseudo(outputs * inputs * kernel * kernel).into(),
        bias: pseudo(outputs).into(),
    };
    let mut graph = Graph::new(Shape::new(inputs, side(h), side(w)));
    let y = graph.push(TRIAL, conv, &[graph.input("x")?])?;
    graph.output("y", y)?;
    if half {
        graph.held = WeightFormat::F16;
    }
    Ok(graph)
}

/// Node of `trial`.
const TRIAL: &str = "trial";

/// A variant of a class, chosen by its adapter: compiled, with inputs.
struct Runner<'a> {
    executor: Executor<'a>,
    lanes: usize,
}

impl<'a> Runner<'a> {
    /// Also what it makes of the inputs.
    fn new(gpu: &'a Gpu, graph: &Graph, class: &Class) -> Result<(Self, Vec<f32>)> {
        let (program, ports) = plan(gpu, graph)?;
        let [input, output] = graph.end_shapes()?;
        let lanes = tiles::lanes(gpu, &program, None, pixels(gpu, class).div_ceil(output.pixels()) as u64)?;
        let mut executor = Executor::new(gpu, program, lanes)?;
        let x: Vec<f32> = (0..lanes * input.flat_stride()).map(|i| (i * 104_729 % 1013) as f32 / 506.5 - 1.0).collect();
        executor.upload(ports.inputs[0], &x)?;
        executor.upload(ports.lanes, &vec![Lane::default(); lanes])?;
        let found = executor.run(lanes, ports.outputs[0])?; // compiles
        Ok((Self { executor, lanes }, found))
    }

    /// Of one dispatch among so many.
    fn seconds(&self, repeat: usize) -> Result<f64> {
        let own = format!("{TRIAL}: ");
        let times = self.executor.time_actions(self.lanes, repeat, 1)?;
        let own = times.iter().filter(|(step, _)| step.is_some_and(|(s, _)| s.label.starts_with(&own)));
        Ok(own.map(|(_, seconds)| seconds).sum())
    }
}

/// Pixels of all lanes in a trial: on GPUs so many that the work takes long beside a dispatch on the largest, and not seconds on the
/// smallest.
fn pixels(gpu: &Gpu, class: &Class) -> usize {
    let each = 2 * class.kernel * class.kernel * class.inputs * class.outputs;
    if gpu.is_software() { 1 << 8 } else { (WORK / each).clamp(1 << 13, 1 << 18) }
}

/// What was timed on an adapter: one file in the user's cache folder per adapter, driver and version of the kernels.
struct Cache {
    /// None where there is no such folder.
    path: Option<PathBuf>,
    key: Value,
    choices: Choices,
    /// Seconds per lane by class and variant, for people.
    seconds: Map<String, Value>,
}

impl Cache {
    /// Empty if there is none, or none that can be used.
    fn open(gpu: &Gpu, say: &mut dyn FnMut(&str)) -> Self {
        let key = key(gpu);
        let name = format!("tune-{}.json", &sha256_bytes(key.to_string().as_bytes())[..16]);
        let path = dirs::cache_dir().map(|folder| folder.join("vorticity").join(name));
        let mut cache = Self { path, key, choices: Choices::default(), seconds: Map::new() };
        if let Some(text) = cache.path.as_ref().and_then(|path| std::fs::read(path).ok())
            && let Err(error) = cache.take(&text)
        {
            say(&format!("the cache is made anew: {error}"));
        }
        cache
    }

    fn take(&mut self, text: &[u8]) -> Result<()> {
        let place = self.path.clone().unwrap_or_default();
        let value: Value = serde_json::from_slice(text).map_err(|e| Error::file(&place, e))?;
        if value["schema"] != SCHEMA || value["key"] != self.key {
            let message =
                format!("is of schema {} and {}, expected {SCHEMA} and {}", value["schema"], value["key"], self.key);
            return Err(Error::file(place, message));
        }
        self.choices = Choices::parse(&place.display().to_string(), &value["variants"], &names())?;
        self.seconds = value["seconds"].as_object().cloned().unwrap_or_default();
        Ok(())
    }

    /// Appears whole.
    fn write(&self) -> Result<()> {
        let Some(path) = &self.path else {
            return Err(Error::invalid("cache", "this user has no folder for caches"));
        };
        let folder = path.parent().unwrap_or(path);
        let fail = |e: std::io::Error| Error::file(path, e);
        std::fs::create_dir_all(folder).map_err(fail)?;
        let value = json!({
            "schema": SCHEMA, "key": self.key, "variants": self.choices.json(), "seconds": self.seconds,
        });
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
        file.write_all(format!("{value:#}\n").as_bytes()).map_err(fail)?;
        file.persist(path).map_err(|e| fail(e.error))?;
        Ok(())
    }
}

/// Adapter, driver, back end, this program and its kernels.
fn key(gpu: &Gpu) -> Value {
    let kernels: String = SOURCES.iter().flat_map(|(name, text)| [*name, "\n", *text]).collect();
    let mut key = json!(gpu.identity());
    key["checked"] = gpu.lacks(Needs::Trust).is_some().into();
    key["program"] = env!("CARGO_PKG_VERSION").into();
    key["shaders"] = sha256_bytes(kernels.as_bytes()).into();
    key
}
