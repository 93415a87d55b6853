//! A golden case: the folder's `config.json` (family and hyper-parameters) and `case.safetensors`, by name.
//! Every tensor is held in f64, which keeps float32 and the timesteps exactly; shapes are checked when one is asked for.
use crate::data;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::model::{FAMILIES, autoencoder_family};
use safetensors::Dtype;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Numbers and their shape, C order.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// In C order.
    pub values: Vec<f64>,
}

/// An open golden case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Where it lies.
    pub folder: PathBuf,
    /// Name in `model::FAMILIES` or `model::AUTOENCODERS`.
    pub family: String,
    /// The family's hyper-parameters.
    pub hyper: serde_json::Value,
    /// Of `case.safetensors`, by name.
    pub tensors: BTreeMap<String, Tensor>,
}

/// What is read of a golden `config.json`; its other keys describe the case to people.
#[derive(serde::Deserialize)]
struct Config {
    family: String,
    hyper: serde_json::Value,
}

impl Case {
    /// Reads `config.json` and `case.safetensors`.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        if !folder.is_dir() {
            let message =
                "not a directory; a case is a folder with config.json, model.safetensors and case.safetensors";
            return Err(Error::file(folder, message));
        }
        let path = folder.join("config.json");
        let text = data::text(&path)?;
        let found: serde_json::Value = serde_json::from_str(&text).map_err(|e| Error::file(&path, e))?;
        // A folder that diffusers wrote is its network's own hyper-parameters.
        let Config { family, hyper } = if let Some(class) = found.get("_class_name") {
            let family = class.as_str().and_then(autoencoder_family).unwrap_or("unet2d_diffusers");
            Config { family: family.into(), hyper: found }
        } else {
            serde_json::from_value(found).map_err(|e| Error::file(&path, e))?
        };

        let tensors = tensors(&folder.join("case.safetensors"))?;
        let mut case = Self { folder: folder.to_path_buf(), family, hyper, tensors };
        case.sized();
        Ok(case)
    }

    /// The tensors of a folder alone.
    pub(super) fn of_tensors(folder: &Path, family: &str) -> Result<Self> {
        let tensors = tensors(&folder.join("case.safetensors"))?;
        Ok(Self { folder: folder.to_path_buf(), family: family.into(), hyper: serde_json::Value::Null, tensors })
    }

    /// A network's images are as large as the case's x, whatever `hyper` says: the classes do not know their sizes.
    fn sized(&mut self) {
        let family = FAMILIES.iter().find(|f| f.name == self.family);
        if let (Some(family), Some([h, w]), Some(hyper)) = (family, self.sides("x"), self.hyper.as_object_mut()) {
            hyper.insert(family.size.into(), if h == w { json!(h) } else { json!([h, w]) });
        }
    }

    /// Height and width of the images in a tensor `[N, C, H, W]`.
    pub(super) fn sides(&self, name: &str) -> Option<[usize; 2]> {
        match self.tensors.get(name)?.shape[..] {
            [_, _, h, w] => Some([h, w]),
            _ => None,
        }
    }

    /// The case's weights, by our name or by that of diffusers.
    pub fn weights(&self) -> PathBuf {
        let theirs = self.folder.join("diffusion_pytorch_model.safetensors");
        if theirs.is_file() { theirs } else { self.folder.join("model.safetensors") }
    }

    /// True if there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// An error about one tensor of `case.safetensors`.
    pub fn error(&self, name: &str, message: impl std::fmt::Display) -> Error {
        Error::file(self.folder.join("case.safetensors"), format!("tensor '{name}': {message}"))
    }

    /// The tensor's values and its first dimension; each row must have `shape` and only finite numbers.
    pub fn rows(&self, name: &str, shape: &[usize]) -> Result<(usize, &[f64])> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.error(name, "missing"))?;
        match tensor.shape.split_first() {
            Some((&n, rest)) if n > 0 && rest == shape => match tensor.values.iter().position(|v| !v.is_finite()) {
                Some(i) => Err(self.error(name, format!("element {i} is {}", tensor.values[i]))),
                None => Ok((n, &tensor.values)),
            },
            _ => {
                let rest: String = shape.iter().map(|n| format!(", {n}")).collect();
                Err(self.error(name, format!("shape {:?}, expected [N{rest}] with N > 0", tensor.shape)))
            }
        }
    }

    /// The same, with the first dimension known.
    pub fn exactly(&self, name: &str, n: usize, shape: &[usize]) -> Result<&[f64]> {
        let (found, values) = self.rows(name, shape)?;
        if found != n {
            return Err(self.error(name, format!("{found} rows, expected {n}")));
        }
        Ok(values)
    }

    /// The only number of a tensor of shape `[1]`.
    pub fn scalar(&self, name: &str) -> Result<f64> {
        Ok(self.exactly(name, 1, &[])?[0])
    }

    /// Indices of components, each below `d`.
    pub(super) fn components(&self, name: &str, d: usize) -> Result<Vec<usize>> {
        let (n, _) = self.rows(name, &[])?;
        let indices = self.whole(name, n)?;
        match indices.iter().find(|&&i| i >= d) {
            Some(i) => Err(self.error(name, format!("{i}, expected less than {d}"))),
            None => Ok(indices),
        }
    }

    /// The case of one of an autoencoder's maps: the tensors whose names begin with `prefix`, without it. Vectors of a
    /// sample are made `[C, 1, 1]`, as graphs have them.
    pub(super) fn map(&self, prefix: &str) -> Self {
        let with_axes = |tensor: &Tensor| {
            let mut tensor = tensor.clone();
            if tensor.shape.len() == 2 {
                tensor.shape.extend([1, 1]);
            }
            tensor
        };
        let part = |(name, tensor): (&String, &Tensor)| {
            let name = name.strip_prefix(prefix)?;
            Some((name.to_string(), if name == "subjac" { tensor.clone() } else { with_axes(tensor) }))
        };
        Self { tensors: self.tensors.iter().filter_map(part).collect(), ..self.clone() }
    }

    /// `n` numbers that are whole: timesteps or indices.
    fn whole(&self, name: &str, n: usize) -> Result<Vec<usize>> {
        let index = |&v: &f64| {
            let whole = v >= 0.0 && v.fract() == 0.0 && v < 1e9;
            if whole { Ok(v as usize) } else { Err(self.error(name, format!("{v} is not a timestep"))) }
        };
        self.exactly(name, n, &[])?.iter().map(index).collect()
    }
}

/// What a case tells its network: timesteps `t`, or, where it has none, noise levels `sigma`, which are numbered here.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Every sigma of the case, ascending; the number of one is its timestep.
    sigmas: Option<Vec<f64>>,
    /// The network is told nothing.
    none: bool,
}

impl Told {
    pub fn of(case: &Case) -> Self {
        if case.has("t") || !case.has("sigma") {
            return Self { sigmas: None, none: false };
        }
        let named = case.tensors.iter().filter(|(name, _)| *name == "sigma" || name.ends_with(".sigma"));
        let mut sigmas: Vec<f64> = named.flat_map(|(_, tensor)| tensor.values.iter().copied()).collect();
        sigmas.sort_by(f64::total_cmp);
        sigmas.dedup();
        Self { sigmas: Some(sigmas), none: false }
    }

    /// Nothing.
    pub const fn nothing() -> Self {
        Self { sigmas: None, none: true }
    }

    /// The network, which knows them.
    pub fn tell(&self, graph: &Graph) -> Graph {
        Graph { labels: self.sigmas.clone(), ..graph.clone() }
    }

    /// `n` timesteps: `t` or `sigma` behind the prefix.
    pub fn timesteps(&self, case: &Case, prefix: &str, n: usize) -> Result<Vec<usize>> {
        let Some(sigmas) = &self.sigmas else {
            let name = format!("{prefix}t");
            // Autoencoders are not told any.
            return if prefix.is_empty() && self.none { Ok(vec![0; n]) } else { case.whole(&name, n) };
        };
        let name = format!("{prefix}sigma");
        let number = |sigma: &f64| {
            sigmas.binary_search_by(|s| s.total_cmp(sigma)).map_err(|_| case.error(&name, format!("{sigma} is new")))
        };
        case.exactly(&name, n, &[])?.iter().map(number).collect()
    }

    /// A timestep as the case has it.
    pub fn name(&self, k: usize) -> String {
        match self.sigmas.as_ref().and_then(|s| s.get(k)) {
            Some(sigma) => format!("sigma {sigma}"),
            None if self.none => "no timestep".into(),
            None => format!("t {k}"),
        }
    }
}

/// Every tensor of a safetensors file, in f64.
fn tensors(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = data::bytes(path)?;
    let (data, header) =
        data::tensors::of_file(&bytes).map_err(|e| Error::file(path, format!("not a whole safetensors file: {e}")))?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in header.tensors() {
        let (begin, end) = tensor.data_offsets;
        let values = to_f64(tensor.dtype, &bytes[data + begin..data + end]).ok_or_else(|| {
            let message = format!("tensor '{name}': type {:?}, expected F32, F64 or I64", tensor.dtype);
            Error::file(path, message)
        })?;
        tensors.insert(name, Tensor { shape: tensor.shape.clone(), values });
    }
    Ok(tensors)
}

fn to_f64(dtype: Dtype, data: &[u8]) -> Option<Vec<f64>> {
    Some(match dtype {
        Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b) as f64).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::I64 => data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        _ => return None,
    })
}
