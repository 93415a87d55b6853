//! ONNX's own tests of operators: what the f64 interpreter and the devices make of each, against the outputs that it brings. Those that
//! are small lie in assets/onnx; `tools/onnx_node_tests.py run` has all of them, and writes docs/ONNX_NODE_TESTS.md.
use crate::common::{families, gpu, noise};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vorticity::dual::Dual;
use vorticity::evaluate::{Evaluator, Room};
use vorticity::gpu::Gpu;
use vorticity::onnx::{Data, Element, File, Roles, Tensor, import};
use vorticity::twin;

/// Where the tests lie if nobody says otherwise.
const SMALL: &str = "assets/onnx/node_tests.safetensors.gz";

/// Most that the device's values may be off by, of the largest: sums of tens of numbers in f32.
const NEAR: f64 = 2e-5;

/// The same of derivatives: differences of such sums.
const NEAR_SLOPES: f64 = 1e-4;

/// What became of a test.
enum Outcome {
    /// On the device, in every family, with derivatives, along each of so many inputs.
    Device(usize),
    /// By the interpreter; nothing that it makes has a derivative by an input.
    Host,
    /// By the interpreter; no graph can be made of it.
    Interpreted(String),
    /// No part of it is run.
    Refused(String),
    /// Something is wrong.
    Failed(String),
}

/// Operator, version and outcome of a test.
struct Tested {
    name: String,
    operator: String,
    outcome: Outcome,
}

/// A test as `tools/onnx_node_tests.py` packs it.
struct Case<'a> {
    name: &'a str,
    all: &'a SafeTensors<'a>,
}

impl Case<'_> {
    fn bytes(&self, part: &str) -> Option<Vec<u8>> {
        Some(self.all.tensor(&format!("{}|{part}", self.name)).ok()?.data().to_vec())
    }

    fn file(&self, part: &str) -> Option<Result<File, String>> {
        let bytes = self.bytes(part)?;
        Some(File::of(Path::new("test.onnx"), bytes.into()).map_err(|e| e.to_string()))
    }

    fn tensor(&self, part: &str) -> Option<Tensor> {
        let found = self.all.tensor(&format!("{}|{part}", self.name)).ok()?;
        let (shape, data) = (found.shape().to_vec(), found.data());
        Some(match found.dtype() {
            Dtype::F32 => Tensor::float(shape, Dual::lift(&bytemuck::pod_collect_to_vec::<u8, f32>(data))),
            Dtype::F64 => {
                let values = bytemuck::pod_collect_to_vec::<u8, f64>(data);
                Tensor::float(shape, values.into_iter().map(Dual::constant).collect())
            }
            Dtype::I64 => Tensor::int(shape, bytemuck::pod_collect_to_vec(data)),
            _ => Tensor::bool(shape, data.iter().map(|b| *b != 0).collect()),
        })
    }
}

/// Values or derivatives.
fn part(tensor: &Tensor, take: fn(&Dual) -> f64) -> Vec<f64> {
    match &tensor.data {
        Data::Float(v) => v.iter().map(take).collect(),
        Data::Int(v) => v.iter().map(|&n| n as f64).collect(),
        Data::Bool(v) => v.iter().map(|&b| f64::from(b)).collect(),
    }
}

/// Largest distance, of the largest number wanted; of numbers that are not finite, whether they are the same.
fn gap(found: &[f64], wanted: &[f64]) -> f64 {
    let most = wanted.iter().filter(|w| w.is_finite()).fold(f64::MIN_POSITIVE, |m, w| m.max(w.abs()));
    if found.len() != wanted.len() {
        return f64::INFINITY;
    }
    let each = found.iter().zip(wanted).map(|(f, w)| match (f, w) {
        _ if f == w || f.is_nan() && w.is_nan() => 0.0,
        _ => Some((f - w).abs() / most).filter(|g| !g.is_nan()).unwrap_or(f64::INFINITY),
    });
    each.fold(0.0, f64::max)
}

/// Only numbers that are finite in both: shaders need not know infinity.
fn finite(found: &[f64], wanted: &[f64]) -> [Vec<f64>; 2] {
    let both = found.iter().zip(wanted).filter(|(_, w)| w.is_finite() && w.abs() < f64::from(f32::MAX));
    let (f, w) = both.map(|(f, w)| (*f, *w)).unzip();
    [f, w]
}

/// How near these outputs of this type can be, of the largest: their own last digits, which other code rounds to as it goes, or the four
/// decimals that somebody wrote down.
fn near(element: Option<Element>, wanted: &[f64]) -> f64 {
    let most = wanted.iter().filter(|w| w.is_finite()).fold(0.0, |m: f64, w| m.max(w.abs()));
    let written = most > 0.0 && wanted.iter().all(|w| (w * 1e4 - (w * 1e4).round()).abs() < 1e-3);
    match element {
        Some(Element::F16) => 4e-3,
        Some(Element::Bf16) => 4e-2,
        _ if written => 1e-5 + 1e-4 / most,
        _ => 1e-5,
    }
}

fn run(case: &Case, gpu: &Gpu) -> Tested {
    let file = case.file("model").unwrap();
    let operator = case.name.trim_start_matches("test_").to_string();
    match file {
        Err(why) => Tested { name: case.name.into(), operator, outcome: Outcome::Refused(why) },
        Ok(file) => {
            let operator = file.nodes.last().map_or(operator, |n| n.proto.op_type.clone());
            let outcome = outcome(case, &file, gpu).unwrap_or_else(|outcome| outcome);
            Tested { name: case.name.into(), operator, outcome }
        }
    }
}

/// The interpreter first, then the device by every input that it may be asked about.
fn outcome(case: &Case, file: &File, gpu: &Gpu) -> Result<Outcome, Outcome> {
    let mut given = BTreeMap::new();
    for (i, port) in file.inputs.iter().enumerate() {
        let value = case.tensor(&format!("in|{i}"));
        let value = value.ok_or_else(|| Outcome::Refused(format!("input '{}' is no tensor of numbers", port.name)))?;
        given.insert(port.name.as_str(), value);
    }
    let made = file.evaluate(given).map_err(|e| Outcome::Refused(e.to_string()))?;
    for (j, (port, made)) in file.outputs.iter().zip(&made).enumerate() {
        let Some(wanted) = case.tensor(&format!("out|{j}")) else { continue };
        let [found, numbers] = [made, &wanted].map(|t| part(t, |x| x.v));
        let off = gap(&found, &numbers);
        if made.shape != wanted.shape || made.data.kind() != wanted.data.kind() || off > near(port.element, &numbers) {
            let message = format!("output {j} {:?} {}: {off:.1e} off", made.shape, made.data.kind());
            return Err(Outcome::Failed(format!("{message}, expected {:?} {}", wanted.shape, wanted.data.kind())));
        }
    }
    let (mut seen, mut reasons) = (0, vec![]);
    for i in 0..file.inputs.len() {
        let Some(file) = case.file(&format!("of|{i}")) else { continue };
        let x = case.tensor(&format!("in|{i}")).unwrap();
        let by = match file {
            Ok(file) => by(&Arc::new(file), &part(&x, |x| x.v), case, gpu)?,
            Err(why) => By::Refused(why),
        };
        match by {
            By::Nothing => {}
            By::Seen => seen += 1,
            By::Refused(why) => reasons.push(why),
        }
    }
    Ok(match (seen, reasons.is_empty()) {
        (0, true) => Outcome::Host,
        (0, false) => Outcome::Interpreted(reasons.swap_remove(0)),
        (n, _) => Outcome::Device(n),
    })
}

/// What came of one input as x.
enum By {
    /// No output of real numbers depends on it.
    Nothing,
    /// The device agrees.
    Seen,
    /// No graph can be made.
    Refused(String),
}

/// Every output of real numbers, with its derivative along a tangent of x.
fn by(file: &Arc<File>, x: &[f64], case: &Case, gpu: &Gpu) -> Result<By, Outcome> {
    let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
    let v = noise(x.len(), 1);
    let name = file.inputs[0].name.clone();
    let shape: Vec<usize> = file.inputs[0].shape.iter().flatten().filter_map(|n| n.clone().ok()).collect();
    let at = |step: f64, d: f64| {
        let moved = x.iter().zip(&v).map(|(&x, &v)| Dual::new(f64::from(x) + step * f64::from(v), d * f64::from(v)));
        let tensor = Tensor::float(shape.clone(), moved.collect());
        file.evaluate(BTreeMap::from([(name.as_str(), tensor)]))
    };
    // Sizes and the like, which may not move.
    let (here, behind, before) = match (at(0.0, 1.0), at(-1e-6, 0.0), at(1e-6, 0.0)) {
        (Ok(here), Ok(behind), Ok(before)) => (here, behind, before),
        (Err(e), ..) | (_, Err(e), _) | (.., Err(e)) => return Ok(By::Refused(e.to_string())),
    };
    let mut found = By::Nothing;
    for (j, port) in file.outputs.iter().enumerate() {
        if !matches!(here[j].data, Data::Float(_)) {
            continue;
        }
        let [values, slopes] = [|x: &Dual| x.v, |x: &Dual| x.d].map(|take| part(&here[j], take));
        let quotient = |a: &Tensor, b: &Tensor| -> Vec<f64> {
            part(a, |x| x.v).iter().zip(part(b, |x| x.v)).map(|(a, b)| (b - a) / 1e-6).collect()
        };
        agree(&slopes, &quotient(&behind[j], &here[j]), &quotient(&here[j], &before[j]))
            .map_err(|e| Outcome::Failed(format!("derivative of '{}': {e}", port.name)))?;
        let (x_name, output) = (name.clone(), port.name.clone());
        let roles = Roles { x: x_name, label: None, contexts: BTreeMap::new(), shape: vec![], output, channels: None };
        let imported = match import(file, &roles) {
            Ok(imported) => imported,
            Err(e) if e.to_string().contains("does not depend on x") && slopes.iter().all(|d| *d == 0.0) => continue,
            Err(e) => return Ok(By::Refused(e.to_string())),
        };
        let mut graph = imported.graph;
        graph.labels = Some(vec![0.0]);
        let failed = |place: &str, off: [f64; 2]| {
            Outcome::Failed(format!("{place}, '{}': {:.1e} and {:.1e} off", port.name, off[0], off[1]))
        };
        let twin = twin::evaluate(&graph, &Dual::along(&x, &v), 0).map_err(|e| Outcome::Failed(e.to_string()))?;
        let most = |v: &[f64]| v.iter().filter(|v| v.is_finite()).fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
        let off = |y: &[f64], d: &[f64]| {
            let [[y, w], [d, s]] = [finite(y, &values), finite(d, &slopes)];
            // Where all slopes cancel, what is left is rounding of what cancels.
            let share = most(&s) / most(&s).max(0.01 * most(&w));
            [gap(&y, &w), gap(&d, &s) * share]
        };
        let [ty, td] = [|x: &Dual| x.v, |x: &Dual| x.d].map(|take| twin.iter().map(take).collect::<Vec<f64>>());
        let gaps = off(&ty, &td);
        if gaps.iter().any(|g| *g > 1e-6) {
            return Err(failed("twin", gaps));
        }
        for family in families(gpu) {
            let gpu = gpu.clone().with_family(family);
            let room = Room { samples: 1, tangents: 1, cotangents: 0 };
            let made = Evaluator::with_tangents(&gpu, &graph, &[0], room).and_then(|mut e| e.jvp(&x, &v, &[0]));
            let (y, d) = made.map_err(|e| Outcome::Failed(format!("{}: {e}", family.name())))?;
            let [y, d] = [y, d].map(|v| v.into_iter().map(f64::from).collect::<Vec<f64>>());
            let gaps = off(&y, &d);
            if gaps[0] > NEAR || gaps[1] > NEAR_SLOPES {
                return Err(failed(family.name(), gaps));
            }
            let Some(wanted) = case.tensor(&format!("out|{j}")) else { continue };
            let [y, wanted] = finite(&y, &part(&wanted, |x| x.v));
            let off = gap(&y, &wanted);
            if off > near(port.element, &wanted).max(NEAR) {
                return Err(failed(&format!("{} and the test's output", family.name()), [off, 0.0]));
            }
        }
        found = By::Seen;
    }
    Ok(found)
}

/// A derivative lies between the difference quotients of both sides, which differ at a kink.
fn agree(slopes: &[f64], behind: &[f64], before: &[f64]) -> Result<(), String> {
    let scale = slopes.iter().filter(|d| d.is_finite()).fold(1.0, |m: f64, d| m.max(d.abs()));
    for (i, ((d, a), b)) in slopes.iter().zip(behind).zip(before).enumerate() {
        let (least, most) = (a.min(*b) - 1e-4 * scale, a.max(*b) + 1e-4 * scale);
        if a.is_finite() && b.is_finite() && a.abs().max(b.abs()) < 1e5 && !(least..=most).contains(d) {
            return Err(format!("number {i} is {d}, quotients are {a} and {b}"));
        }
    }
    Ok(())
}

fn packed() -> Vec<u8> {
    match std::env::var_os("VORTICITY_NODE_TESTS") {
        Some(path) => std::fs::read(path).unwrap(),
        None => {
            let file = std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(SMALL)).unwrap();
            let mut bytes = vec![];
            flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
            bytes
        }
    }
}

#[test]
fn none_of_the_standards_own_tests_fails() {
    let bytes = packed();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<&str> = all.names().into_iter().filter_map(|n| n.strip_suffix("|model")).collect();
    names.sort_unstable();
    let gpu = gpu();
    let filter = std::env::var("VORTICITY_NODE_FILTER").unwrap_or_default();
    let tested: Vec<Tested> =
        names.into_iter().filter(|n| n.contains(&filter)).map(|name| run(&Case { name, all: &all }, &gpu)).collect();
    let failed: Vec<String> = tested
        .iter()
        .filter_map(|t| if let Outcome::Failed(why) = &t.outcome { Some(format!("{}: {why}", t.name)) } else { None })
        .collect();
    let mut report = String::new();
    for t in &tested {
        let (kind, why) = match &t.outcome {
            Outcome::Device(n) => ("device", n.to_string()),
            Outcome::Host => ("host", String::new()),
            Outcome::Interpreted(why) => ("interpreted", why.clone()),
            Outcome::Refused(why) => ("refused", why.clone()),
            Outcome::Failed(why) => ("failed", why.clone()),
        };
        writeln!(report, "{}\t{}\t{kind}\t{why}", t.name, t.operator).unwrap();
    }
    if let Some(path) = std::env::var_os("VORTICITY_NODE_REPORT") {
        std::fs::write(PathBuf::from(path), &report).unwrap();
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    let passed = |kind: fn(&Outcome) -> bool| tested.iter().filter(|t| kind(&t.outcome)).count();
    let (device, host) = (passed(|o| matches!(o, Outcome::Device(_))), passed(|o| matches!(o, Outcome::Host)));
    assert!(!filter.is_empty() || device >= 590 && host >= 240, "{device} pass on the device, {host} on the host");
}
