//! Cases of ONNX files: values, tangents, cotangents and a sub-Jacobian in f64 of the module that each was exported from, and of the file itself,
//! against the GPU, the twin of the imported graph, and the file's own nodes in f64. In: a folder with case.json, case.safetensors and
//! the files that it names. Out: a row for each quantity of each file.
use super::case::Case;
use super::cotangents::At;
use super::{Report, Row, TWIN, compare, to_f32};
use crate::data;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluator, Room};
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::onnx::{File, Reference, Roles, Tensor, import};
use crate::twin;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// f32 kernels against f64: PyTorch's own float32 run of these files is off by up to 1e-5.
const FORWARD: f64 = 2e-5;
/// The same kernels, seen through the derivative.
const JVP: f64 = 1e-4;
/// The file's nodes against a third party's evaluation of the same file in f64: both have its constants as they are.
const FILE: f64 = 1e-8;
/// Against the module, whose constants the file holds rounded to f32: phases of a thousand differ by 1e-5 of a turn.
const MODULE: f64 = 1e-5;
/// Where a case says how far PyTorch's float32 is from f64, ours may be so many times as far: the order of sums differs.
const AS_FAR: f64 = 5.0;
/// The file that `graph.*` is about.
const MAIN: &str = "model.onnx";

/// What is read of a case.json; its other keys describe the case to people.
#[derive(serde::Deserialize)]
struct About {
    files: BTreeMap<String, Inputs>,
    #[serde(default)]
    checks: serde_json::Value,
}

#[derive(serde::Deserialize)]
struct Inputs {
    inputs: Vec<Input>,
}

#[derive(serde::Deserialize)]
struct Input {
    name: String,
    role: String,
}

/// Whether a folder is a case of ONNX files.
pub(super) fn is_one(folder: &Path) -> bool {
    folder.join("case.json").is_file()
}

/// Checks every file of the case that is there; `model` stands for the first, of a case whose weights lie elsewhere.
pub(super) fn verify(gpu: &Gpu, folder: &Path, model: Option<&Path>) -> Result<Report> {
    let at = folder.join("case.json");
    let about: About = serde_json::from_str(&data::text(&at)?).map_err(|e| Error::file(&at, e))?;
    let case = Case::of_tensors(folder, "onnx")?;
    let place = |name: &str| if name == MAIN { model.map(PathBuf::from) } else { None };
    let mut rows = vec![];
    for (name, Inputs { inputs }) in &about.files {
        let path = place(name).unwrap_or_else(|| folder.join(name));
        if !path.is_file() {
            if name == MAIN {
                let message = "is not there: a case whose weights must not be passed on; take them where case.json says, and \
                               give --model FILE.onnx";
                return Err(Error::file(path, message));
            }
            continue; // other exports of the same network are left out for their size
        }
        let own = name == MAIN && case.has("graph.f");
        let checked = One { case: &case, inputs, file: Arc::new(File::open(&path)?), own, far: far(&about.checks) };
        let found = checked.rows(gpu).map_err(|e| Error::file(&path, e))?;
        rows.extend(found.into_iter().map(|row| Row { quantity: format!("{name}: {}", row.quantity), ..row }));
    }
    Ok(Report { case: folder.to_path_buf(), family: "onnx".into(), rows })
}

/// How far PyTorch's float32 is from f64 in values and derivatives, where the case says so. Tangents and cotangents pass the same
/// knees (a ReLU within rounding of 0), and which of them a sum's order moves is chance: the larger of the two counts.
fn far(checks: &serde_json::Value) -> [f64; 2] {
    let said = checks.as_object().into_iter().flatten().find(|(key, _)| key.starts_with("float32 torch"));
    let [f, jvp, vjp] = ["f", "jvp", "vjp"].map(|key| said.and_then(|(_, of)| of.get(key)?.as_f64()).unwrap_or(0.0));
    [f, jvp.max(vjp)]
}

/// A file of a case.
struct One<'a> {
    case: &'a Case,
    inputs: &'a [Input],
    file: Arc<File>,
    /// Whether `graph.*` is of this file.
    own: bool,
    far: [f64; 2],
}

/// The worst of the samples so far, by quantity, in the order in which they are first seen.
#[derive(Default)]
struct Found(Vec<Row>);

impl Found {
    fn see(&mut self, row: Row) {
        match self.0.iter_mut().find(|r| r.quantity == row.quantity) {
            Some(known) if row.error > known.error => *known = row,
            Some(_) => {}
            None => self.0.push(row),
        }
    }
}

/// A sample of a file.
struct Sample {
    number: usize,
    label: f64,
    /// Of the file.
    graph: Graph,
    /// Of its input and its output.
    sizes: [usize; 2],
    x: Vec<f32>,
    /// Tangents.
    v: Vec<f32>,
    /// Cotangents.
    u: Vec<f32>,
}

impl Sample {
    fn place(&self) -> String {
        format!("sample {}, label {}", self.number, self.label)
    }

    /// What was got beside what was wanted, `each` numbers in a part.
    fn row(&self, quantity: &str, (got, want): (&[f64], &[f64]), each: usize, tolerance: f64) -> Row {
        let of = quantity.split([',', ' ']).next().unwrap_or(quantity).trim_end_matches('s').to_string();
        let at = |i: usize| match want.len() == each {
            true => self.place(),
            false => format!("{of} {i}, {}", self.place()),
        };
        Row { tolerance: Some(tolerance), ..compare(quantity, got, want, each, at) }
    }
}

impl One<'_> {
    fn rows(&self, gpu: &Gpu) -> Result<Vec<Row>> {
        let x = self.case.tensors.get("x").ok_or_else(|| self.case.error("x", "missing"))?;
        let mut found = Found::default();
        for sample in 0..x.shape.first().copied().unwrap_or(0) {
            self.sample(gpu, sample, &mut found)?;
        }
        Ok(found.0)
    }

    /// Shape behind the first axis, and the numbers of one sample.
    fn part(&self, name: &str, sample: usize) -> Result<(&[usize], &[f64])> {
        let tensor = self.case.tensors.get(name).ok_or_else(|| self.case.error(name, "missing"))?;
        let Some((&n, shape)) = tensor.shape.split_first().filter(|(n, _)| **n > sample) else {
            return Err(self.case.error(name, format!("shape {:?}, expected a row for sample {sample}", tensor.shape)));
        };
        let each = tensor.values.len() / n;
        Ok((shape, &tensor.values[sample * each..(sample + 1) * each]))
    }

    /// As many numbers as are expected.
    fn numbers(&self, name: &str, sample: usize, count: usize) -> Result<&[f64]> {
        let (shape, values) = self.part(name, sample)?;
        match values.len() == count {
            true => Ok(values),
            false => Err(self.case.error(name, format!("shape {shape:?} of a sample, expected {count} numbers"))),
        }
    }

    /// The roles of the file's inputs at a sample, and the label.
    fn roles(&self, sample: usize) -> Result<(Roles, f64)> {
        let mut roles = Roles {
            x: String::new(),
            label: None,
            contexts: BTreeMap::new(),
            shape: vec![],
            output: self.file.outputs.first().map(|p| p.name.clone()).unwrap_or_default(),
            channels: None,
        };
        let mut label = 0.0;
        for Input { name, role } in self.inputs {
            let (shape, values) = self.part(role, sample)?;
            let port = self.file.inputs.iter().find(|p| p.name == *name);
            match role.as_str() {
                "x" => {
                    let axes = port.and_then(|p| p.shape.as_ref()).into_iter().flatten().skip(1);
                    roles.shape = axes.zip(shape).filter(|(axis, _)| axis.is_err()).map(|(_, n)| *n).collect();
                    roles.x.clone_from(name);
                }
                "t" => {
                    label = values.first().copied().unwrap_or(0.0);
                    roles.label = Some(name.clone());
                }
                _ => {
                    let shape: Vec<usize> = [1].iter().chain(shape).copied().collect();
                    let whole = port.and_then(|p| p.element).is_some_and(|e| !e.is_float());
                    let tensor = match whole {
                        true => Tensor::int(shape, values.iter().map(|&v| v as i64).collect()),
                        false => Tensor::float(shape, values.iter().map(|&v| Dual::constant(v)).collect()),
                    };
                    roles.contexts.insert(name.clone(), vec![tensor]);
                }
            }
        }
        Ok((roles, label))
    }

    /// Directions of a sample, `each` numbers in one.
    fn directions(&self, name: &str, sample: usize, each: usize) -> Result<Vec<f32>> {
        let (_, all) = self.part(name, sample)?;
        Ok(to_f32(self.numbers(name, sample, all.len() / each * each)?))
    }

    fn sample(&self, gpu: &Gpu, number: usize, found: &mut Found) -> Result<()> {
        let (roles, label) = self.roles(number)?;
        let imported = import(&self.file, &roles)?;
        let (d, out) = (imported.input.len(), imported.output.len());
        let mut graph = imported.graph;
        graph.labels = Some(vec![label]);
        let x = to_f32(self.numbers("x", number, d)?);
        let (v, u) = (self.directions("v", number, d)?, self.directions("u", number, out)?);
        let sample = Sample { number, label, graph, sizes: [d, out], x, v, u };
        self.in_f64(&sample, roles, found)?;
        self.on_device(gpu, &sample, found)
    }

    /// In f64, along the first tangent and of the first cotangent: the file itself, and the graph that was made of it.
    fn in_f64(&self, sample: &Sample, roles: Roles, found: &mut Found) -> Result<()> {
        let &Sample { number, label, ref graph, sizes: [d, out], ref x, ref v, ref u } = sample;
        let (names, near) =
            if self.own { (["graph.f", "graph.jvp", "graph.vjp"], FILE) } else { (["f", "jvp", "vjp"], MODULE) };
        let f = self.numbers(names[0], number, out)?;
        let jvp = &self.numbers(names[1], number, v.len() / d * out)?[..out];
        let vjp = &self.numbers(names[2], number, u.len() / out * d)?[..d];
        let mut see = |quantity, got: &[f64], want: &[f64], tolerance| {
            found.see(sample.row(quantity, (got, want), want.len(), tolerance));
        };
        let along = Dual::along(x, &v[..d]);
        let both = |duals: &[Dual]| duals.iter().map(|y| (y.v, y.d)).unzip::<f64, f64, Vec<f64>, Vec<f64>>();
        let (values, slopes) = both(&Reference::new(self.file.clone(), roles)?.evaluate(&along, label, 0)?);
        see("forward, f64 of the file", &values, f, near);
        see("tangent, f64 of the file", &slopes, jvp, near);
        let (values, slopes) = both(&twin::evaluate(graph, &along, 0)?);
        see("forward, f64 twin of the graph", &values, f, near.max(TWIN));
        see("tangent, f64 twin of the graph", &slopes, jvp, near.max(TWIN));
        let gets = At { graph, x, k: 0 }.in_f64(&u[..out])?;
        see("cotangent, f64 twin of the graph", &gets, vjp, near.max(TWIN));
        Ok(())
    }

    /// On the device: all tangents, the columns of the sub-Jacobian, all cotangents beside the tangents again.
    fn on_device(&self, gpu: &Gpu, sample: &Sample, found: &mut Found) -> Result<()> {
        let &Sample { number, ref graph, sizes: [d, out], ref x, ref v, ref u, .. } = sample;
        let [forward, derivative] = [(FORWARD, self.far[0]), (JVP, self.far[1])].map(|(t, far)| t.max(AS_FAR * far));
        let (_, from) = self.whole("idx_in")?;
        let (_, to) = self.whole("idx_out")?;
        let (from, to) = (self.components("idx_in", from, d)?, self.components("idx_out", to, out)?);
        let room = Room { samples: 1, tangents: (v.len() / d).max(from.len()), cotangents: 0 };
        let mut evaluator = Evaluator::with_tangents(gpu, graph, &[0], room)?;
        let mut along = |tangents: &[f32]| -> Result<(Vec<f64>, Vec<f64>)> {
            let (n, mut values, mut all) = (evaluator.tangents(), vec![], vec![]);
            for some in tangents.chunks(n * d) {
                let mut v = some.to_vec();
                v.resize(n * d, 0.0);
                let (y, jv) = evaluator.jvp(x, &v, &[0])?;
                values = y.iter().map(|&y| f64::from(y)).collect();
                all.extend(jv[..some.len() / d * out].iter().map(|&y| f64::from(y)));
            }
            Ok((values, all))
        };
        let mut see = |quantity, got: &[f64], want: &[f64], each, tolerance| {
            found.see(sample.row(quantity, (got, want), each, tolerance));
        };
        let (values, slopes) = along(v)?;
        see("forward", &values, self.numbers("f", number, out)?, out, forward);
        see("tangents", &slopes, self.numbers("jvp", number, v.len() / d * out)?, out, derivative);
        let mut units = vec![0f32; from.len() * d];
        from.iter().enumerate().for_each(|(j, &i)| units[j * d + i] = 1.0);
        let (_, columns) = along(&units)?;
        let m = from.len();
        let block: Vec<f64> = to.iter().flat_map(|&i| (0..m).map(move |j| j * out + i)).map(|at| columns[at]).collect();
        see("sub-Jacobian", &block, self.numbers("subjac", number, m * to.len())?, block.len(), derivative);
        drop(evaluator); // its memory is needed
        let at = At { graph, x, k: 0 };
        let made = at.on_device(gpu, v, u)?;
        see("cotangents", &made.jtu, self.numbers("vjp", number, u.len() / out * d)?, d, derivative);
        found.see(at.law(v, u, &made, &sample.place())?);
        Ok(())
    }

    /// A tensor that is the same for all samples.
    fn whole(&self, name: &str) -> Result<(&[usize], &[f64])> {
        let tensor = self.case.tensors.get(name).ok_or_else(|| self.case.error(name, "missing"))?;
        Ok((&tensor.shape, &tensor.values))
    }

    /// Indices, each below `d`.
    fn components(&self, name: &str, values: &[f64], d: usize) -> Result<Vec<usize>> {
        let index = |&v: &f64| match v >= 0.0 && v.fract() == 0.0 && v < d as f64 {
            true => Ok(v as usize),
            false => Err(self.case.error(name, format!("{v}, expected whole numbers below {d}"))),
        };
        values.iter().map(index).collect()
    }
}
