//! Convolutions of the MNIST network on one adapter: vorticity's kernels and burn's, in turns in one run, and their ratio.
//!
//!     cargo run --release -- [--rounds 21] [--batch 64] [--repeat 1] [--software] [--json]
//!     cargo run --release --features spirv -- ...       burn with its SPIR-V compiler, where the adapter allows it
//!
//! What one time is, for both: the input tensor and the weights are on the device; the clock starts, the convolution with
//! its bias is recorded and submitted (`--repeat` times), the host waits until the device has finished, the clock stops.
//! Nothing is uploaded or read back while it runs. vorticity runs the steps that its planner makes of a graph of this one
//! convolution, less the two that turn `[N, C, H, W]` into its own layout and back. burn runs `conv2d` with its defaults
//! (fusion, autotune; both done before the first round) on two inputs: one that lies in memory as `[N, C, H, W]`, as a
//! user makes it, and one that lies as `[N, H, W, C]`, as burn's own convolutions leave it. The ratio takes the faster.
//! Before it is timed, each result is compared: the same weights and the same input, largest difference over largest value.
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use serde_json::json;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;
use vorticity::gpu::{AdapterChoice, Executor, Gpu};
use vorticity::graph::Graph;
use vorticity::ops::{conv::Conv, depthwise::Depthwise};
use vorticity::paths::Lane;
use vorticity::plan::{Ports, lower};
use vorticity::program::{Action, BufferId, Program, Role};
use vorticity::shape::Shape;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Of the largest value; f32 sums of at most 128 products of order-one numbers.
const TOLERANCE: f64 = 1e-5;
/// Calls before the first timed one: burn compiles and tunes in the first.
const WARM_UP: usize = 5;

struct Args {
    rounds: usize,
    batch: usize,
    repeat: usize,
    software: bool,
    json: bool,
}

impl Args {
    fn parse() -> Result<Self> {
        let mut args = Self { rounds: 21, batch: 64, repeat: 1, software: false, json: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || -> Result<usize> {
                let text = words.next().ok_or(format!("{word} needs a number"))?;
                text.parse().ok().filter(|&n| n > 0).ok_or(format!("{word}: '{text}' is not a positive number").into())
            };
            match word.as_str() {
                "--rounds" => args.rounds = number()?,
                "--batch" => args.batch = number()?,
                "--repeat" => args.repeat = number()?,
                "--software" => args.software = true,
                "--json" => args.json = true,
                _ => return Err(format!("'{word}' is not one of --rounds --batch --repeat --software --json").into()),
            }
        }
        Ok(args)
    }
}

/// One convolution, stride 1, output as high and wide as the input.
struct Case {
    input: usize,
    output: usize,
    /// One filter per channel.
    depthwise: bool,
    kernel: usize,
    side: usize,
}

const CASES: [Case; 5] = [
    Case { input: 64, output: 64, depthwise: false, kernel: 1, side: 28 },
    Case { input: 128, output: 128, depthwise: false, kernel: 1, side: 14 },
    Case { input: 32, output: 32, depthwise: false, kernel: 1, side: 28 },
    Case { input: 64, output: 64, depthwise: true, kernel: 3, side: 28 },
    Case { input: 1, output: 64, depthwise: false, kernel: 3, side: 28 },
];

impl Case {
    fn name(&self) -> String {
        let Self { input, output, kernel: k, side, .. } = self;
        let kind = if self.depthwise { "depthwise " } else { "" };
        format!("{kind}{k}x{k} {input}->{output} at {side}x{side}")
    }

    /// Input channels that each filter sees.
    fn depth(&self) -> usize {
        if self.depthwise { 1 } else { self.input }
    }

    /// `[output, depth, kernel, kernel]`.
    fn weight(&self) -> Vec<f32> {
        noise(self.output * self.depth() * self.kernel * self.kernel, 1)
    }

    fn bias(&self) -> Vec<f32> {
        noise(self.output, 2)
    }

    fn graph(&self) -> Result<Graph> {
        let (weight, bias): (Arc<[f32]>, Arc<[f32]>) = (self.weight().into(), self.bias().into());
        let mut graph = Graph::new(Shape::new(self.input, self.side, self.side));
        let x = [graph.input()];
        if self.depthwise {
            graph.push("peer", Depthwise { channels: self.input, stride: 1, weight, bias }, &x)?;
        } else {
            let (in_channels, out_channels, kernel) = (self.input, self.output, self.kernel);
            let padding = kernel / 2;
            let conv = Conv { in_channels, out_channels, kernel, stride: 1, padding, weight, bias, silu: false };
            graph.push("peer", conv, &x)?;
        }
        Ok(graph)
    }
}

/// Numbers that look random and are the same everywhere, in -1..1.
fn noise(n: usize, salt: u64) -> Vec<f32> {
    let mut state = salt;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
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
}

impl Ours {
    /// `output` decides whether each run reads the result back: `Download` to check it, `Scratch` to time.
    fn new(gpu: &Gpu, case: &Case, x: &[f32], batch: usize, repeat: usize, output: Role) -> Result<Self> {
        let graph = case.graph()?;
        let mut program = Program::default();
        let row = |shape: Shape| 4 * shape.flat_stride() as u64;
        let ports = Ports {
            input: program.buffer("x", row(graph.shape(graph.input())), Role::Scratch),
            output: program.buffer("y", row(graph.shape(graph.output())), Role::Scratch),
            lanes: program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
        };
        lower(&graph, &[0], gpu.family(), ports, &mut program)?;
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
        let pixels = case.side * case.side;
        executor.upload(input, &channels_last(x, case.input, pixels, case.input.next_multiple_of(4)))?;
        executor.upload(ports.lanes, &vec![Lane::default(); batch])?;
        Ok(Self { executor, output: result, batch })
    }

    /// `[N, H, W, C]`; all cases have a multiple of 4 output channels.
    fn result(&mut self) -> Result<Vec<f32>> {
        Ok(self.executor.run(self.batch, self.output)?)
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
        let (c, side, k) = (case.input, case.side, case.kernel);
        let x = if last {
            let x = TensorData::new(channels_last(x, c, side * side, c), [batch, side, side, c]);
            Tensor::from_data(x, device).permute([0, 3, 1, 2])
        } else {
            Tensor::from_data(TensorData::new(x.to_vec(), [batch, c, side, side]), device)
        };
        let weight = TensorData::new(case.weight(), [case.output, case.depth(), k, k]);
        let bias = TensorData::new(case.bias(), [case.output]);
        let groups = if case.depthwise { c } else { 1 };
        let theirs = Self {
            device: device.clone(),
            x,
            weight: Tensor::from_data(weight, device),
            bias: Tensor::from_data(bias, device),
            options: ConvOptions::new([1, 1], [k / 2, k / 2], [1, 1], groups),
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

fn best_and_median(times: &[f64]) -> (f64, f64) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2])
}

/// The version that the lock file names.
fn version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let after = lock.split_once(&format!("name = \"{package}\"\nversion = \"")).map_or("?\"", |s| s.1);
    after.split('"').next().unwrap_or("?")
}

fn main() -> Result<()> {
    let args = Args::parse()?;
    let gpu = Gpu::open(if args.software { &AdapterChoice::Software } else { &AdapterChoice::Best })?;
    let kind = if gpu.is_software() { DeviceKind::Cpu } else { DeviceKind::DefaultDevice };
    let (device, setup) = Device::wgpu_options().device_kind(kind).init_with_setup()?;
    let theirs = setup.adapter.get_info();
    if theirs.name != gpu.name() {
        return Err(format!("burn chose '{}', vorticity '{}'", theirs.name, gpu.name()).into());
    }
    let Args { rounds, batch, repeat, .. } = args;
    let compiler = if cfg!(feature = "spirv") { "SPIR-V where the adapter allows it" } else { "WGSL" };
    let versions = ["vorticity", "burn", "cubecl", "cubek", "wgpu"].map(|p| format!("{p} {}", version(p)));
    let mut report = vec![];
    if !args.json {
        println!("adapter      {}", gpu.describe());
        println!("burn's       {} ({}, {} {})", theirs.name, theirs.backend, theirs.driver, theirs.driver_info);
        println!("versions     {}; burn compiles to {compiler}", versions.join(", "));
        println!("timed        {rounds} rounds in turns, batch {batch}, f32, {repeat} calls per wait; ms per call");
        println!();
        let names = ["vorticity", "burn, NCHW input", "burn, NHWC input"].map(|n| format!("{n:>19}"));
        println!("{:<27} {}   ours/burn", "", names.join(" "));
        let columns = "      best   median ".repeat(3);
        println!("{:<27} {columns}    medians   difference", "convolution");
    }
    for case in &CASES {
        let x = noise(batch * case.input * case.side * case.side, 3);
        let mut ours = Ours::new(&gpu, case, &x, batch, repeat, Role::Scratch)?;
        let mut plain = Theirs::new(&device, case, &x, batch, repeat, false)?;
        let mut last = Theirs::new(&device, case, &x, batch, repeat, true)?;
        let start = Instant::now();
        for _ in 0..WARM_UP {
            (ours.time()?, plain.time()?, last.time()?);
        }
        let warm_up = start.elapsed().as_secs_f64();
        // After the warm-up, so that the kernels checked are those that burn settled on.
        let want = Ours::new(&gpu, case, &x, batch, 1, Role::Download)?.result()?;
        let error = difference(&plain.result()?, &want).max(difference(&last.result()?, &want));
        if error > TOLERANCE {
            return Err(format!("{}: results differ by {error:.1e}", case.name()).into());
        }

        let mut times = [const { vec![] }; 3];
        for round in 0..rounds {
            // Each is first, second and third equally often.
            for i in 0..3 {
                let which = (round + i) % 3;
                let seconds = match which {
                    0 => ours.time()?,
                    1 => plain.time()?,
                    _ => last.time()?,
                };
                times[which].push(seconds * 1e3 / repeat as f64);
            }
        }
        let [(best, median), (plain_best, plain_median), (last_best, last_median)] =
            [0, 1, 2].map(|i| best_and_median(&times[i]));
        let ratio = median / plain_median.min(last_median);
        if args.json {
            let entry = |best: f64, median: f64, all: &[f64]| json!({ "best": best, "median": median, "all": all });
            report.push(json!({
                "convolution": case.name(), "warm_up_seconds": warm_up, "difference": error,
                "ms": {
                    "vorticity": entry(best, median, &times[0]),
                    "burn_nchw": entry(plain_best, plain_median, &times[1]),
                    "burn_nhwc": entry(last_best, last_median, &times[2]),
                },
                "ratio_of_medians": ratio,
            }));
        } else {
            println!(
                "{:<27} {best:>10.3} {median:>8.3} {plain_best:>10.3} {plain_median:>8.3} {last_best:>10.3} \
                 {last_median:>8.3} {ratio:>11.2} {error:>12.1e}",
                case.name()
            );
        }
    }
    if args.json {
        let report = json!({
            "adapter": gpu.describe(), "kernels": gpu.family().name(), "versions": versions,
            "burn_compiler": compiler, "rounds": rounds, "batch": batch, "repeat": repeat, "convolutions": report,
        });
        println!("{report:#}");
    }
    Ok(())
}
