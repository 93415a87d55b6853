//! Whether the kernels can be trusted on this adapter: every op in every family of kernels, and every closed path with
//! every closed-form field and the reduction, against their f64 twins. In: an adapter. Out: one `Check` per case.
use crate::choice::Choices;
use crate::data::{Images, Levels};
use crate::dual::Dual;
use crate::error::Result;
use crate::evaluate::{Evaluator, Room};
use crate::field::{self, ScoreScale};
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::measures::circulation::{CirculationRun, Options, Quadrature};
use crate::ops::affine::Affine;
use crate::ops::channels::Channels;
use crate::ops::conv::{BOUND, VARIANTS, Variant};
use crate::ops::curve::Pointwise;
use crate::ops::filter::{Filter, Taps};
use crate::ops::resample::Resample;
use crate::ops::{Case, OPS, Tested};
use crate::passes::FUSED;
use crate::paths::normal::normals;
use crate::paths::philox::{Purpose, Stream};
use crate::paths::polyline::Polyline;
use crate::paths::{self, ClosedPath, PATHS};
use crate::rows::Rows;
use crate::rows::functions::Lookup;
use crate::shape::Shape;
use crate::target::KernelFamily;
use crate::threads::in_parallel;
use crate::twin;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Of an op's largest output: f32 sums of at most a few thousand products of order-one numbers lose a few units of 6e-8.
pub const OP: f64 = BOUND;
/// The same where convolutions go by tiles (Winograd): twice a direct one's rounding in the mean, up to thrice at worst.
pub const TILED: f64 = 3.0 * OP;
/// Of |s||d|, a term of a loop: points are good to 2e-6 of their size, and the fields here follow them with slopes of
/// order one; in 300 dimensions |s||d| is some ten times a typical term.
pub const TERM: f64 = 1e-5;

/// Tangents per sample of an op's case.
const TANGENTS: usize = 2;

/// One comparison.
#[derive(Clone, Debug)]
pub struct Check {
    /// Op, or what runs on which path.
    pub what: String,
    /// The case and its shapes.
    pub case: String,
    /// None where there is one kernel for all adapters.
    pub family: Option<KernelFamily>,
    /// The variant of convolutions, where it is not the family's own.
    pub variant: Option<&'static str>,
    /// Relative; infinite if anything was not a number.
    pub error: f64,
    /// Most that `error` may be.
    pub tolerance: f64,
}

impl Check {
    /// A NaN does not pass.
    pub fn passed(&self) -> bool {
        self.error <= self.tolerance
    }
}

/// The families that the adapter can run.
pub fn families(gpu: &Gpu) -> Vec<KernelFamily> {
    let mut all = vec![KernelFamily::Gpu];
    if gpu.family() == KernelFamily::Cpu {
        all.push(KernelFamily::Cpu);
    }
    all
}

/// The variants of convolutions that the adapter can run, and those that it cannot, with what it lacks; both without the
/// first, which is what `families` has.
pub fn variants(gpu: &Gpu) -> (Vec<&'static Variant>, Vec<(&'static str, String)>) {
    let (mut can, mut cannot) = (vec![], vec![]);
    for variant in &VARIANTS[1..] {
        match gpu.lacks(variant.needs) {
            None => can.push(variant),
            Some(lacks) => cannot.push((variant.name, lacks)),
        }
    }
    (can, cannot)
}

/// Every op that a program may have: those of graphs, and those that plans make of several.
pub fn tested() -> impl Iterator<Item = &'static Tested> {
    OPS.iter().chain(FUSED)
}

/// Ops that variants compute.
pub const VARIED: [&str; 3] = ["conv", "fused_conv", "up_conv"];

/// Everything, on as many threads as there are cores: most of the time goes into compilers, the driver's among them.
pub fn run(gpu: &Gpu) -> Result<Vec<Check>> {
    let mut jobs: Vec<Job> = vec![];
    for (name, cases) in tested() {
        for case in cases().into_iter().map(Arc::new) {
            for family in families(gpu) {
                let case = case.clone();
                jobs.push(Box::new(move || op(gpu, name, &case, family)));
            }
            for variant in variants(gpu).0.into_iter().filter(|_| VARIED.contains(name)) {
                let case = case.clone();
                jobs.push(Box::new(move || varied(gpu, name, &case, variant)));
            }
        }
    }
    for family in families(gpu) {
        jobs.push(Box::new(move || angles(gpu, family)));
    }
    for (name, ..) in PATHS {
        let path = path(name)?;
        for spec in ["field:gaussian", "field:rotor?omega=1", "field:tilted?omega=1"] {
            let adaptive = path.smooth().map(|_| Quadrature::Adaptive { tolerance: 0.5 });
            for quadrature in [Quadrature::Midpoint].into_iter().chain(adaptive) {
                let path = path.clone();
                jobs.push(Box::new(move || circulation(gpu, &path, spec, quadrature)));
            }
        }
    }
    in_parallel(jobs.len(), |i| jobs[i]()).into_iter().collect()
}

/// What makes one check.
type Job<'a> = Box<dyn Fn() -> Result<Check> + Sync + Send + 'a>;

/// An op's case on three samples at different timesteps against the twin: values alone, then values with two tangents.
pub fn op(gpu: &Gpu, name: &str, case: &Case, family: KernelFamily) -> Result<Check> {
    let graph = graph_of(case)?;
    let (error, tiled) = compared(gpu, &graph, family)?;
    let [input, output] = graph.end_shapes()?;
    let case = format!("{}: {input} to {output}", case.name);
    let tolerance = if tiled { TILED } else { OP };
    Ok(Check { what: name.into(), case, family: Some(family), variant: None, error, tolerance })
}

/// `op` of a convolution, by a variant.
pub fn varied(gpu: &Gpu, name: &str, case: &Case, variant: &Variant) -> Result<Check> {
    let gpu = gpu.clone().with_choices(Choices::always(variant.name));
    Ok(Check { variant: Some(variant.name), ..op(&gpu, name, case, KernelFamily::Gpu)? })
}

/// Factor of `angles`: a power of two, exact, that takes noise to angles of up to 20000.
pub const TURNS: f64 = 4096.0;

/// Sines of large angles: right only where the compiler adds in the order that the kernel says. One that takes sums for
/// associative (fast math) is off by 1e-3.
fn angles(gpu: &Gpu, family: KernelFamily) -> Result<Check> {
    let shape = Shape::new(8, 6, 6);
    let mut graph = Graph::new(shape);
    let large = graph.push("large", Affine { gain: TURNS, table: None, shift: 0.0 }, &[graph.input("x")?])?;
    let sine = graph.push("sine", Pointwise::Sin, &[large])?;
    // Tangents have the factor too.
    let small = graph.push("small", Affine { gain: 1.0 / TURNS, table: None, shift: 0.0 }, &[sine])?;
    graph.output("y", small)?;
    let (error, _) = compared(gpu, &graph, family)?;
    let case = format!("sines of angles up to 20000: {shape}");
    Ok(Check { what: "order of sums".into(), case, family: Some(family), variant: None, error, tolerance: OP })
}

/// The largest error of a graph's values and tangents on the adapter, of the largest value and tangent.
pub fn compare(gpu: &Gpu, graph: &Graph, family: KernelFamily) -> Result<f64> {
    compared(gpu, graph, family).map(|found| found.0)
}

/// `compare`, and whether some convolution went by tiles.
fn compared(gpu: &Gpu, graph: &Graph, family: KernelFamily) -> Result<(f64, bool)> {
    let [input, output] = graph.end_shapes()?;
    let (d, out, ks) = (input.len(), output.len(), [3, 0, 4]);
    let (x, v) = (noise(ks.len() * d, 1), noise(ks.len() * TANGENTS * d, 6));
    let gpu = gpu.clone().with_family(family);
    let alone = Evaluator::new(&gpu, graph, &[0, 3, 4], ks.len())?.evaluate(&x, &ks)?;
    let room = Room { samples: ks.len(), tangents: TANGENTS, cotangents: 0 };
    let mut evaluator = Evaluator::with_tangents(&gpu, graph, &[0, 3, 4], room)?;
    let (y, jv) = evaluator.jvp(&x, &v, &ks)?;
    let tiled = evaluator.program().steps().any(|step| step.op == "winograd_in");
    let mut error = 0f64;
    let mut see = |got: &[f32], want: &[f64]| {
        let scale = want.iter().fold(f64::MIN_POSITIVE, |most, w| most.max(w.abs()));
        for (got, want) in got.iter().zip(want) {
            let gap = (f64::from(*got) - want).abs() / scale;
            error = if gap.is_nan() { f64::INFINITY } else { error.max(gap) };
        }
    };
    for (i, v) in v.chunks_exact(d).enumerate() {
        let sample = i / TANGENTS;
        let want = twin::evaluate(graph, &Dual::along(&x[sample * d..(sample + 1) * d], v), ks[sample])?;
        let (values, along): (Vec<f64>, Vec<f64>) = want.iter().map(|w| (w.v, w.d)).unzip();
        see(&alone[sample * out..(sample + 1) * out], &values);
        see(&y[sample * out..(sample + 1) * out], &values);
        see(&jv[i * out..(i + 1) * out], &along);
    }
    Ok((error, tiled))
}

/// Shape and segments of the loops.
const LOOP: (Shape, usize) = (Shape::new(3, 10, 10), 20);

/// A path with its usual parameters; the one that wants nodes has random ones.
fn path(name: &str) -> Result<Arc<dyn ClosedPath>> {
    let (shape, points) = LOOP;
    match name {
        "polyline" => Ok(Arc::new(Polyline::new(noise(points * shape.len(), 5)))),
        name => paths::open(name, (shape, [-1.0, 1.0])),
    }
}

/// Every term of two short loops of a closed-form field (of adaptive ones, of their first levels) against the twins of
/// path, field and sum.
fn circulation(gpu: &Gpu, path: &Arc<dyn ClosedPath>, spec: &str, quadrature: Quadrature) -> Result<Check> {
    let (shape, points) = LOOP;
    let images = Images { shape, count: 1, values: noise(shape.len(), 2), levels: Levels::Real, sha256: String::new() };
    let field = field::open(spec, Some(shape), ScoreScale::Definition)?;
    let options = Options {
        paths: vec![path.clone()],
        timesteps: vec![100, 800],
        samples: 1,
        points,
        seed: 3,
        quadrature,
        quadrature_check: 0.0,
        verify_points: 400, // more than there are: all
        ..Options::default()
    };
    let job = CirculationRun::new(gpu, &field, &images, options)?;
    let terms = job.verified_points();
    let result = job.run(&mut |_| ControlFlow::Continue(()))?;
    let first = |name: &str| result.column(name).map_or(f64::NAN, |c| c.values[0]);
    let error = first("arithmetic") / first("score_norm_sum");
    let error = if error.is_nan() { f64::INFINITY } else { error };
    Ok(Check {
        what: format!("path {}", path.name()),
        case: format!(
            "{spec}, {shape}, {terms} terms{}",
            if quadrature == Quadrature::Midpoint { "" } else { ", as a curve" }
        ),
        family: None,
        variant: None,
        error,
        tolerance: TERM,
    })
}

/// A case as a network: the input holds the case's tensors stacked, is cut apart again, doubled or averaged where the op wants it, and
/// goes through the op.
pub fn graph_of(case: &Case) -> Result<Graph> {
    let total: usize = case.inputs.iter().map(|s| s.c).sum();
    let x = match case.inputs.first() {
        Some(first) => Shape { c: total, ..*first },
        None => case.op.shape(&[])?,
    };
    let mut graph = Graph::new(x);
    let id = graph.input("x")?;
    let mut first = 0;
    let mut inputs = vec![];
    for s in &case.inputs {
        let part = graph.push("part", Channels::range(first, s.c), &[id])?;
        let (own, wanted) = ((x.h, x.w), (s.h, s.w));
        inputs.push(match wanted {
            wanted if wanted == own => part,
            (1, 1) => {
                let mean = |n: usize| Taps::new(&[(0..n).map(|i| (i, 1.0 / n as f64)).collect()]);
                graph.push("mean", Filter { rows: mean(own.0), columns: mean(own.1) }, &[part])?
            }
            _ => graph.push("doubled", Resample::nearest(), &[part])?,
        });
        first += s.c;
    }
    if let Some(width) = case.row {
        let row = graph.rows.apply(Lookup { table: noise(5 * width, 3).into(), rows: 5, width }, &[Rows::LABEL])?;
        graph.rows.push("row", row)?;
    }
    let y = graph.push_arc(case.name, case.op.clone(), &inputs)?;
    graph.output("y", y)?;
    Ok(graph)
}

/// Normals that are the same everywhere.
fn noise(n: usize, sample: u32) -> Vec<f32> {
    let stream = Stream { seed: 0, purpose: Purpose::Eps, draw: 0, sample, k: 0 };
    normals(&stream, n).into_iter().map(|z| z as f32).collect()
}
