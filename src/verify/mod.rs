//! Golden cases: third-party PyTorch results in f64 against the GPU, the f64 twin and the schedules.
//! In: a case folder and an adapter. Out: a `Report`, one `Row` per quantity with its error, its tolerance and the
//! worst place; nothing is printed here.
mod case;
mod cotangents;
mod jacobian;
mod loops;
mod onnx;

pub use case::{Case, Tensor};
pub use cotangents::LAW;

use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::evaluate::Evaluator;
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::model::{self, AUTOENCODERS, Autoencoder, Codebook, Weights};
use crate::shape::Shape;
use crate::twin;
use case::Told;
use std::path::{Path, PathBuf};

/// f32 kernels against f64: some 70 convolutions in a row, each with sums of up to a few hundred products. PyTorch's own
/// float32 run of the MNIST case is off by 8e-7, this program's by 7e-7; ten times that is still far below what any wrong
/// weight, tap or channel does.
pub const FORWARD: f64 = 1e-5;
/// The twin computes in f64, but on the weights that the kernels see: BatchNorm folded into the convolutions and rounded
/// to f32 (6e-8 each). On the MNIST case that shows as 2.3e-7, so the twin is not at 1e-15 from the reference.
pub const TWIN: f64 = 2e-6;
/// The same rounded weights, seen through the derivative: 4.8e-7 on the MNIST case, largest for a one-hot tangent.
pub const TANGENT: f64 = 5e-6;
/// The same kernels, seen through the derivative; PyTorch's own float32 run of the MNIST case is off by 2.5e-6.
pub const JVP: f64 = 5e-5;
/// Of sum |J_aa|, whose terms have both signs and errors that are independent.
pub const DIVERGENCE: f64 = 1e-5;
/// Of S = sum |terms|: errors of the terms are independent, so their sum is far below the largest term's.
pub const INTEGRAL: f64 = 5e-6;
/// Of the largest term of the loop.
pub const TERM: f64 = 1e-5;
/// What f64 sums over one path may lose to their order.
pub const GEOMETRY: f64 = 1e-12;
/// f64 products of a thousand factors, cosines from another library.
pub const SCHEDULE: f64 = 1e-12;

/// One checked quantity.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was compared.
    pub quantity: String,
    /// NaN or infinite if something compared was not a number.
    pub error: f64,
    /// None: for information only.
    pub tolerance: Option<f64>,
    /// The sample, tangent, segment or timestep where the error is largest.
    pub worst: String,
}

impl Row {
    /// True if within tolerance; a NaN is not.
    pub fn passed(&self) -> bool {
        self.tolerance.is_none_or(|t| self.error <= t)
    }
}

/// Everything that was checked of one case.
#[derive(Clone, Debug)]
pub struct Report {
    /// Folder of the case.
    pub case: PathBuf,
    /// Name in `model::FAMILIES`.
    pub family: String,
    /// One per quantity.
    pub rows: Vec<Row>,
}

impl Report {
    /// True if every row did.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(Row::passed)
    }
}

/// Checks the case in `folder` with the kernels of `Gpu::target`.
pub fn verify(gpu: &Gpu, folder: &Path) -> Result<Report> {
    verify_model(gpu, folder, None)
}

/// `verify`, where `model` is the network of a case of ONNX files whose weights lie elsewhere.
pub fn verify_model(gpu: &Gpu, folder: &Path, model: Option<&Path>) -> Result<Report> {
    if onnx::is_one(folder) {
        return onnx::verify(gpu, folder, model);
    }
    if let Some(model) = model {
        return Err(Error::file(
            model,
            "a model is given for a case that is none of ONNX files, expected a case.json there",
        ));
    }
    let case = Case::open(folder)?;
    // A bad value is one of the case's config; a bad weights file names itself.
    let name = |e| match e {
        Error::Invalid { .. } => Error::file(folder.join("config.json"), e),
        e => e,
    };
    if AUTOENCODERS.iter().any(|a| a.name == case.family) {
        return autoencoder(gpu, &case, name);
    }
    let (mut graph, _) = model::network(&case.family, &case.hyper, &case.weights()).map_err(name)?;
    for wanted in model::family(&case.family)?.conditions(&case.hyper).map_err(name)? {
        let sizes: Vec<usize> = wanted.shape.iter().skip(1).map(|n| n.unwrap_or(1)).collect();
        let (_, values) = case.rows(&wanted.name, &sizes)?;
        let rows = values.chunks_exact(sizes.iter().product()).map(<[f64]>::to_vec);
        graph.rows.give(&wanted.name, &rows.collect::<Vec<_>>())?;
    }
    check(gpu, &case, &graph)
}

/// The three maps of an autoencoder, those of them that the case has, each like a network that is told nothing and for images
/// of its own x's size; no derivative goes through a codebook.
fn autoencoder(gpu: &Gpu, case: &Case, named: impl Fn(Error) -> Error) -> Result<Report> {
    let weights = Weights::open(&case.weights())?;
    let at = |image, latent| Autoencoder::at(&case.family, &case.hyper, &weights, image, latent).map_err(&named);
    let mut rows = vec![];
    for (prefix, name) in [("enc", "encoder"), ("dec", "decoder"), ("rec", "reconstruction")] {
        let (x, part, told) = (format!("{prefix}.x"), case.map(&format!("{prefix}.")), Told::nothing());
        if !case.has(&x) {
            continue;
        }
        let sides = case.sides(&x);
        let networks = if prefix == "dec" { at(None, sides)? } else { at(sides, None)? };
        let graph = &match (prefix, &networks.space.codebook) {
            ("enc", _) => networks.encoder,
            ("dec", _) => networks.decoder,
            (_, None) => networks.reconstruction()?,
            (_, Some(codebook)) => {
                rows.extend(quantised(gpu, case, &networks, codebook)?);
                continue;
            }
        };
        let (_, dims) = sizes(graph.end_shapes()?[0]);
        let (n, x) = part.rows("x", &dims)?;
        let mut evaluator = Evaluator::new(gpu, graph, &[0], n)?;
        let mut found = forward(&part, &told, x, &vec![0; n], graph, &mut evaluator)?;
        found.extend(jacobian::check(gpu, &part, &told, graph, x, 0)?);
        if part.has("v") {
            found.push(tangents(&part, &told, x, 0, graph)?);
        }
        rows.extend(found.into_iter().map(|row| Row { quantity: format!("{name}: {}", row.quantity), ..row }));
    }
    if rows.is_empty() {
        return Err(case.error("enc.x", "missing, and so are dec.x and rec.x"));
    }
    Ok(Report { case: case.folder.clone(), family: case.family.clone(), rows })
}

/// The nearest vectors of given latents, which are exact, and images that are encoded, moved to vectors and decoded.
fn quantised(gpu: &Gpu, case: &Case, networks: &Autoencoder, codebook: &Codebook) -> Result<Vec<Row>> {
    let at = |i: usize| format!("sample {i}");
    let half = |graph: &Graph, x: &[f32], n: usize| Evaluator::new(gpu, graph, &[0], n)?.evaluate(x, &vec![0; n]);
    let doubled = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
    let (_, dims) = sizes(networks.image);
    let (n, x) = case.rows("rec.x", &dims)?;
    let nearest = |latents: &[f32]| codebook.nearest(latents, networks.latent.pixels());
    let decoded = half(&networks.decoder, &nearest(&half(&networks.encoder, &to_f32(x), n)?), n)?;
    let (out, out_dims) = sizes(networks.decoded);
    let want = case.exactly("rec.y", n, &out_dims)?;
    let whole = compare("reconstruction: forward", &doubled(decoded), want, out, at);
    let mut rows = vec![Row { tolerance: Some(FORWARD), ..whole }];
    if case.has("quant.x") {
        let (d, dims) = sizes(networks.latent);
        let (n, latents) = case.rows("quant.x", &dims)?;
        let vectors = doubled(nearest(&to_f32(latents)));
        let row = compare("codebook: nearest vectors", &vectors, case.exactly("quant.y", n, &dims)?, d, at);
        rows.push(Row { tolerance: Some(0.0), ..row });
    }
    Ok(rows)
}

/// Checks a network against a case.
pub fn check(gpu: &Gpu, case: &Case, graph: &Graph) -> Result<Report> {
    let [shape, _] = graph.end_shapes()?;
    let dims = [shape.c, shape.h, shape.w];
    let (n, x) = case.rows("x", &dims)?;
    let told = Told::of(case);
    let (ks, graph) = (told.timesteps(case, "", n)?, &told.tell(graph));
    let loops = loops::read(case, &told, shape)?;

    let mut timesteps: Vec<usize> = ks.iter().copied().chain(loops.iter().map(|l| l.k)).collect();
    timesteps.sort_unstable();
    timesteps.dedup();
    // Enough lanes for a whole loop; the evaluator makes do with fewer.
    let lanes = if loops.is_empty() { n } else { 64 };
    let mut evaluator = Evaluator::new(gpu, graph, &timesteps, lanes)?;

    let mut rows = forward(case, &told, x, &ks, graph, &mut evaluator)?;
    rows.extend(jacobian::check(gpu, case, &told, graph, x, ks[0])?);
    if case.has("v") {
        rows.push(tangents(case, &told, x, ks[0], graph)?);
    }
    for l in &loops {
        rows.extend(l.check(&mut evaluator)?);
    }
    rows.extend(schedule(case)?);
    Ok(Report { case: case.folder.clone(), family: case.family.clone(), rows })
}

/// Raw outputs of the GPU and of the twin, per sample: a batch's largest outputs would hide the others' errors.
fn forward(
    case: &Case,
    told: &Told,
    x: &[f64],
    ks: &[usize],
    graph: &Graph,
    evaluator: &mut Evaluator,
) -> Result<Vec<Row>> {
    let n = ks.len();
    let [(d, _), (out, dims)] = graph.end_shapes()?.map(sizes);
    // Some third-party code rounds its time embedding to f32 even in f64; where the case has both, ours is the other.
    let name = if case.has("y_exact_emb") { "y_exact_emb" } else { "y" };
    let want = case.exactly(name, n, &dims)?;
    let x = to_f32(x);
    // Where there are several conditions, each sample has its own.
    let under: Vec<usize> = (0..n).map(|i| if graph.rows.conditions() > 1 { i } else { 0 }).collect();
    let gpu: Vec<f64> = evaluator.evaluate_of(&x, ks, &under)?.into_iter().map(f64::from).collect();
    let mut twin = Vec::with_capacity(n * out);
    for ((x, &k), &condition) in x.chunks(d).zip(ks).zip(&under) {
        twin.extend(twin::under(graph, &Dual::lift(x), k, condition)?.iter().map(|v| v.v));
    }
    let at = |i: usize| format!("sample {i}, {}", told.name(ks[i]));
    let row = |quantity: &str, got: &[f64], tolerance| Row { tolerance, ..compare(quantity, got, want, out, at) };
    let mut rows = vec![row("forward", &gpu, Some(FORWARD)), row("forward, f64 twin", &twin, Some(TWIN))];
    if case.has("y32") {
        let (got, want) = (case.exactly("y32", n, &dims)?, case.exactly("y", n, &dims)?);
        rows.push(compare("forward, PyTorch in float32", got, want, out, at));
    }
    Ok(rows)
}

/// The twin's derivatives of the raw output at sample 0.
fn tangents(case: &Case, told: &Told, x: &[f64], k: usize, graph: &Graph) -> Result<Row> {
    let [(d, dims), (out, out_dims)] = graph.end_shapes()?.map(sizes);
    let (n, v) = case.rows("v", &dims)?;
    let want = case.exactly("jvp", n, &out_dims)?;
    let x = to_f32(&x[..d]);
    let mut got = Vec::with_capacity(n * out);
    for v in to_f32(v).chunks(d) {
        got.extend(twin::evaluate(graph, &Dual::along(&x, v), k)?.iter().map(|y: &Dual| y.d));
    }
    let at = |i: usize| format!("tangent {i}, sample 0, {}", told.name(k));
    Ok(Row { tolerance: Some(TANGENT), ..compare("tangents, f64 twin", &got, want, out, at) })
}

/// The family's schedule, absolute; the third-party float32 buffer's own error for information.
fn schedule(case: &Case) -> Result<Vec<Row>> {
    let schedule = match model::family(&case.family)?.schedule {
        Some(schedule) if case.has("alphabar_f64") => schedule,
        _ => return Ok(vec![]),
    };
    let (steps, want) = case.rows("alphabar_f64", &[])?;
    let stated = case.hyper.get("timesteps").and_then(serde_json::Value::as_u64);
    if stated.is_some_and(|t| t != steps as u64) {
        return Err(case.error("alphabar_f64", format!("{steps} timesteps, config.json's hyper has {stated:?}")));
    }
    let got = schedule.alphabar(steps);
    let row = |quantity: &str, other: &[f64], tolerance| {
        let mut worst = Worst::default();
        got.iter().zip(other).enumerate().for_each(|(k, (a, b))| worst.see(k, (a - b).abs()));
        Row { quantity: quantity.into(), error: worst.error, tolerance, worst: format!("t {}", worst.at) }
    };
    let mut rows = vec![row("schedule, alphabar", want, Some(SCHEDULE))];
    if case.has("alphabar") {
        rows.push(row("schedule, third-party float32", case.exactly("alphabar", steps, &[])?, None));
    }
    Ok(rows)
}

/// Largest error so far and its index; NaN is the largest of all.
#[derive(Default)]
struct Worst {
    error: f64,
    at: usize,
}

impl Worst {
    fn see(&mut self, at: usize, error: f64) {
        let error = if error.is_nan() { f64::INFINITY } else { error };
        if error > self.error {
            *self = Self { error, at };
        }
    }
}

/// max |got - want| / max |want| of each chunk of `d`, the worst chunk; no tolerance yet.
fn compare(quantity: &str, got: &[f64], want: &[f64], d: usize, at: impl Fn(usize) -> String) -> Row {
    let mut worst = Worst::default();
    for (i, (got, want)) in got.chunks(d).zip(want.chunks(d)).enumerate() {
        let scale = want.iter().fold(0f64, |m, w| m.max(w.abs()));
        // 0/0 is NaN: a reference of zeros compares with nothing.
        got.iter().zip(want).for_each(|(g, w)| worst.see(i, (g - w).abs() / scale));
    }
    if got.len() != want.len() {
        worst = Worst { error: f64::INFINITY, at: 0 };
    }
    Row { quantity: quantity.into(), error: worst.error, tolerance: None, worst: at(worst.at) }
}

/// Number of components, and `[C, H, W]`.
fn sizes(shape: Shape) -> (usize, [usize; 3]) {
    (shape.len(), [shape.c, shape.h, shape.w])
}

/// Numbers that were float32 in the file.
fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}
