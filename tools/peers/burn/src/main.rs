//! Every convolution of a network on one adapter: vorticity's kernels and burn's, in turns in one run, and their ratio.
//!
//!     cargo run --release -- ../../../assets/models/mnist [--rounds 7] [--batch 64] [--repeat 1] [--only TEXT] [--software] [--json]
//!     cargo run --release --features spirv -- ...       burn with its SPIR-V compiler, where the adapter allows it
//!
//! What one time is, for both: the input tensor and the weights are on the device; the clock starts, the convolution with
//! its bias is recorded and submitted (`--repeat` times), the host waits until the device has finished, the clock stops.
//! Nothing is uploaded or read back while it runs. vorticity runs the steps that its planner makes of a graph of this one
//! convolution, less the two that turn `[N, C, H, W]` into its own layout and back. burn runs `conv2d` with its defaults
//! (fusion, autotune; both done before the first round) on two inputs: one that lies in memory as `[N, C, H, W]`, as a
//! user makes it, and one that lies as `[N, H, W, C]`, as burn's own convolutions leave it. The ratio takes the faster.
//! Before it is timed, each result is compared: the same weights and the same input, largest difference over largest value.
//! Each distinct shape of the network is timed and counted as often as the network has it; the totals are of all of them,
//! one after another. `--only` takes the shapes whose names contain a text.
mod cases;

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use cases::{Case, noise};
use serde_json::json;
use std::error::Error;
use std::time::Instant;
use vorticity::gpu::{AdapterChoice, Executor, Gpu};
use vorticity::paths::Lane;
use vorticity::passes::{Ports, lower};
use vorticity::program::{Action, BufferId, Builder, Program, Role};
use vorticity::shape::Shape;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Of the largest value; f32 sums of at most 128 products of order-one numbers.
const TOLERANCE: f64 = 1e-5;
/// Calls before the first timed one: burn compiles and tunes in the first.
const WARM_UP: usize = 5;

struct Args {
    model: String,
    rounds: usize,
    batch: usize,
    repeat: usize,
    only: String,
    software: bool,
    json: bool,
}

impl Args {
    fn parse() -> Result<Self> {
        let (model, only) = Default::default();
        let mut args = Self { model, rounds: 7, batch: 64, repeat: 1, only, software: false, json: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut text = || words.next().ok_or(format!("{word} needs a value"));
            let number = |text: String| -> Result<usize> {
                text.parse().ok().filter(|&n| n > 0).ok_or(format!("{word}: '{text}' is not a positive number").into())
            };
            match word.as_str() {
                "--rounds" => args.rounds = number(text()?)?,
                "--batch" => args.batch = number(text()?)?,
                "--repeat" => args.repeat = number(text()?)?,
                "--only" => args.only = text()?,
                "--software" => args.software = true,
                "--json" => args.json = true,
                _ if word.starts_with('-') || !args.model.is_empty() => {
                    let known = "MODEL --rounds --batch --repeat --only --software --json";
                    return Err(format!("'{word}' is not one of {known}").into());
                }
                _ => args.model = word,
            }
        }
        if args.model.is_empty() { Err("which network? give a model directory".into()) } else { Ok(args) }
    }
}

/// `[n][c][p]` to `[n][p][width]` with zeros from channel c on.
fn channels_last(x: &[f32], c: usize, pixels: usize, width: usize) -> Vec<f32> {
    let mut y = vec![0.0; x.len() / c * width];
    for (i, v) in x.iter().enumerate() {
        y[(i / (c * pixels) * pixels + i % pixels) * width + i / pixels % c] = *v;
    }
    y
}

/// The steps of one convolution in an executor of their own.
struct Ours {
    executor: Executor,
    output: BufferId,
    batch: usize,
    channels: usize,
}

impl Ours {
    /// `output` decides whether each run reads the result back: `Download` to check it, `Scratch` to time.
    fn new(gpu: &Gpu, case: &Case, x: &[f32], batch: usize, repeat: usize, output: Role) -> Result<Self> {
        let graph = case.graph()?;
        let mut program = Builder::new(gpu.target(), 0);
        let row = |shape: Shape| 4 * shape.flat_stride() as u64;
        let [x_shape, y_shape] = graph.end_shapes()?;
        let ports = Ports::one(
            program.buffer("x", row(x_shape), Role::Scratch),
            program.buffer("y", row(y_shape), Role::Scratch),
            program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
        );
        lower(&graph, &[0], &ports, &mut program)?;
        let mut program = program.finish()?;
        // Without the changes of layout: the input buffer is filled from here.
        program.actions.retain(|a| !matches!(a, Action::Dispatch(step) if ["input", "output"].contains(&step.op)));
        let bound = |program: &Program, name| {
            let step = program.steps().next().ok_or("the convolution has no step")?;
            let found = step.bindings.iter().find(|b| b.0 == name);
            found.map(|b| b.1).ok_or(format!("'{}' binds no {name}", step.label))
        };
        let (input, result) = (bound(&program, "x")?, bound(&program, "y")?);
        // The layout change at the end may have asked for an image of what the convolution writes.
        program.actions.retain(|a| !matches!(a, Action::Mirror { buffer, .. } if *buffer != input));
        program.buffers[input.0].role = Role::Upload;
        program.buffers[result.0].role = output;
        program.actions = (0..repeat).flat_map(|_| program.actions.clone()).collect();

        let executor = Executor::new(gpu, program, batch)?;
        let Shape { c, .. } = case.input;
        executor.upload(input, &channels_last(x, c, case.input.pixels(), c.next_multiple_of(4)))?;
        executor.upload(ports.lanes, &vec![Lane::default(); batch])?;
        Ok(Self { executor, output: result, batch, channels: case.output.c })
    }

    /// `[N, H, W, C]`.
    fn result(&mut self) -> Result<Vec<f32>> {
        let padded = self.executor.run(self.batch, self.output)?;
        let pixels = padded.chunks_exact(self.channels.next_multiple_of(4));
        Ok(pixels.flat_map(|pixel| &pixel[..self.channels]).copied().collect())
    }

    fn time(&mut self) -> Result<f64> {
        let start = Instant::now();
        let pending = self.executor.submit(self.batch)?;
        self.executor.wait(pending, |_, _| ())?;
        Ok(start.elapsed().as_secs_f64())
    }
}

struct Theirs {
    device: Device,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions<2>,
    repeat: usize,
}

impl Theirs {
    fn new(device: &Device, case: &Case, x: &[f32], batch: usize, repeat: usize, last: bool) -> Result<Self> {
        let (Shape { c, h, w }, k, stride) = (case.input, case.kernel, case.stride);
        let x = if last {
            let x = TensorData::new(channels_last(x, c, h * w, c), [batch, h, w, c]);
            Tensor::from_data(x, device).permute([0, 3, 1, 2])
        } else {
            Tensor::from_data(TensorData::new(x.to_vec(), [batch, c, h, w]), device)
        };
        let weight = TensorData::new(case.weight(), [case.output.c, case.depth(), k, k]);
        let bias = TensorData::new(case.bias(), [case.output.c]);
        let groups = if case.depthwise { c } else { 1 };
        let theirs = Self {
            device: device.clone(),
            x,
            weight: Tensor::from_data(weight, device),
            bias: Tensor::from_data(bias, device),
            options: ConvOptions::new([stride, stride], [k / 2, k / 2], [1, 1], groups),
            repeat,
        };
        theirs.sync()?;
        Ok(theirs)
    }

    fn sync(&self) -> Result<()> {
        self.device.sync().map_err(|e| format!("burn: {e:?}").into())
    }

    fn call(&self) -> Tensor<4> {
        conv2d(self.x.clone(), self.weight.clone(), Some(self.bias.clone()), self.options.clone())
    }

    /// `[N, H, W, C]`.
    fn result(&self) -> Result<Vec<f32>> {
        let y = self.call().permute([0, 2, 3, 1]).into_data();
        y.try_to_vec::<f32>().map_err(|e| format!("burn: {e:?}").into())
    }

    fn time(&mut self) -> Result<f64> {
        let start = Instant::now();
        let outputs: Vec<_> = (0..self.repeat).map(|_| self.call()).collect();
        self.sync()?;
        let seconds = start.elapsed().as_secs_f64();
        drop(outputs);
        Ok(seconds)
    }
}

/// Largest difference over the largest value; infinite for a NaN.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    let scale = b.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
    let gap = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs() / scale;
    let worst = |m: f64, gap: f64| if gap.is_nan() { f64::INFINITY } else { m.max(gap) };
    if a.len() == b.len() { a.iter().zip(b).map(gap).fold(0.0, worst) } else { f64::INFINITY }
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(values: &[f64]) -> f64 {
    sorted(values.iter().copied())[values.len() / 2]
}

/// The version that the lock file names.
fn version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let after = lock.split_once(&format!("name = \"{package}\"\nversion = \"")).map_or("?\"", |s| s.1);
    after.split('"').next().unwrap_or("?")
}

/// What was measured of one convolution, ms per call, by round.
struct Times {
    ours: Vec<f64>,
    nchw: Vec<f64>,
    nhwc: Vec<f64>,
    warm_up_seconds: f64,
    difference: f64,
}

impl Times {
    /// burn's times on the input that suits it better.
    fn theirs(&self) -> &[f64] {
        if median(&self.nchw) <= median(&self.nhwc) { &self.nchw } else { &self.nhwc }
    }
}

/// Compares the results, then times in turns.
fn measure(args: &Args, gpu: &Gpu, device: &Device, case: &Case) -> Result<Times> {
    let &Args { rounds, batch, repeat, .. } = args;
    let x = noise(batch * case.input.len(), 3);
    let mut ours = Ours::new(gpu, case, &x, batch, repeat, Role::Scratch)?;
    let mut nchw = Theirs::new(device, case, &x, batch, repeat, false)?;
    let mut nhwc = Theirs::new(device, case, &x, batch, repeat, true)?;
    let start = Instant::now();
    for _ in 0..WARM_UP {
        (ours.time()?, nchw.time()?, nhwc.time()?);
    }
    let warm_up_seconds = start.elapsed().as_secs_f64();
    // After the warm-up, so that the kernels checked are those that burn settled on.
    let want = Ours::new(gpu, case, &x, batch, 1, Role::Download)?.result()?;
    let difference = difference(&nchw.result()?, &want).max(difference(&nhwc.result()?, &want));
    if difference > TOLERANCE {
        return Err(format!("{}: results differ by {difference:.1e}", case.name()).into());
    }
    let mut times = [const { vec![] }; 3];
    for round in 0..rounds {
        // Each is first, second and third equally often.
        for which in (0..3).map(|i| (round + i) % 3) {
            let seconds = match which {
                0 => ours.time()?,
                1 => nchw.time()?,
                _ => nhwc.time()?,
            };
            times[which].push(seconds * 1e3 / repeat as f64);
        }
    }
    let [ours, nchw, nhwc] = times;
    Ok(Times { ours, nchw, nhwc, warm_up_seconds, difference })
}

fn main() -> Result<()> {
    let args = Args::parse()?;
    let mut cases = cases::of_network(&args.model)?;
    cases.retain(|case| case.name().contains(&args.only));
    let gpu = Gpu::open(if args.software { &AdapterChoice::Software } else { &AdapterChoice::Best })?;
    let kind = if gpu.is_software() { DeviceKind::Cpu } else { DeviceKind::DefaultDevice };
    let (device, setup) = Device::wgpu_options().device_kind(kind).init_with_setup()?;
    let theirs = setup.adapter.get_info();
    if theirs.name != gpu.name() {
        return Err(format!("burn chose '{}', vorticity '{}'", theirs.name, gpu.name()).into());
    }
    let &Args { rounds, batch, repeat, .. } = &args;
    let compiler = if cfg!(feature = "spirv") { "SPIR-V where the adapter allows it" } else { "WGSL" };
    let versions = ["vorticity", "burn", "cubecl", "cubek", "wgpu"].map(|p| format!("{p} {}", version(p)));
    let say = |text: String| if !args.json { println!("{text}") };
    say(format!("adapter      {}", gpu.describe()));
    say(format!("burn's       {} ({}, {} {})", theirs.name, theirs.backend, theirs.driver, theirs.driver_info));
    say(format!("versions     {}; burn compiles to {compiler}", versions.join(", ")));
    say(format!("timed        {rounds} rounds in turns, batch {batch}, f32, {repeat} calls per wait; ms per call\n"));
    let names = ["vorticity", "burn, NCHW input", "burn, NHWC input"].map(|n| format!("{n:>19}"));
    say(format!("{:<32} {:>5} {}   burn/ours", "", "", names.join(" ")));
    let columns = "      best   median ".repeat(3);
    say(format!("{:<32} {:>5} {columns}    medians   difference", "convolution", "count"));

    let mut all = vec![];
    for case in &cases {
        let times = measure(&args, &gpu, &device, case)?;
        let columns = [&times.ours, &times.nchw, &times.nhwc].map(|t| {
            let sorted = sorted(t.iter().copied());
            format!("{:>10.3} {:>8.3}", sorted[0], sorted[sorted.len() / 2])
        });
        let ratio = median(times.theirs()) / median(&times.ours);
        let (columns, error) = (columns.join(" "), times.difference);
        say(format!("{:<32} {:>5} {columns} {ratio:>11.2} {error:>12.1e}", case.name(), case.count));
        all.push(times);
    }
    // The whole network's, round by round.
    let total = |times: fn(&Times) -> &[f64]| -> Vec<f64> {
        let of = |round: usize| all.iter().zip(&cases).map(|(t, case)| case.count as f64 * times(t)[round]).sum();
        (0..rounds).map(of).collect()
    };
    let (ours, theirs) = (total(|t| &t.ours), total(Times::theirs));
    let ratios = sorted(ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours));
    let count: usize = cases.iter().map(|c| c.count).sum();
    let what = if args.only.is_empty() { "all".into() } else { format!("named like '{}'", args.only) };
    say(format!(
        "\n{count} convolutions of the network ({what}), one after another: ours {:.1} ms, burn {:.1} ms, ratio {:.2} \
         (medians of {rounds} rounds; ratio {:.2} to {:.2})",
        median(&ours),
        median(&theirs),
        median(&ratios),
        ratios[0],
        ratios[rounds - 1]
    ));
    if args.json {
        let entry = |t: &[f64]| json!({ "median": median(t), "all": t });
        let of = |(times, case): (&Times, &Case)| {
            json!({
                "convolution": case.name(), "count": case.count, "warm_up_seconds": times.warm_up_seconds,
                "difference": times.difference, "ratio_of_medians": median(times.theirs()) / median(&times.ours),
                "ms": { "vorticity": entry(&times.ours), "burn_nchw": entry(&times.nchw), "burn_nhwc": entry(&times.nhwc) },
            })
        };
        let report = json!({
            "adapter": gpu.describe(), "kernels": gpu.family().name(), "versions": versions, "model": args.model,
            "burn_compiler": compiler, "rounds": rounds, "batch": batch, "repeat": repeat, "only": args.only,
            "convolutions": all.iter().zip(&cases).map(of).collect::<Vec<_>>(),
            "total": { "count": count, "vorticity": entry(&ours), "burn": entry(&theirs), "ratios": ratios },
        });
        println!("{report:#}");
    }
    Ok(())
}
