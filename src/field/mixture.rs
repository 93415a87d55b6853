//! Score of a mixture of isotropic Gaussians: data sum_c w_c N(mu_c, v_c I), noised to sum_c w_c N(a mu_c, V_c I) with
//! V_c = a^2 v_c + sigma^2. s = sum_c r_c (a mu_c - x) / V_c, r_c proportional to w_c V_c^(-D/2) exp(-|x - a mu_c|^2 / 2 V_c).
//! A gradient field with structure: what a perfect network would be.
use super::{Field, FieldLaunch, vjp_of_gradient};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::model::{Process, Weights, facts};
use crate::program::{Access, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;
use crate::spec::Params;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Components that one workgroup holds.
const MOST: usize = 256;

struct Mixture {
    shape: Shape,
    process: Process,
    file: PathBuf,
    sha256: String,
    /// `[components][D]`
    means: Arc<[f32]>,
    variances: Arc<[f32]>,
    /// ln of the normalised weights.
    log_weights: Vec<f64>,
}

pub(super) fn mixture(shape: Shape, process: Process, params: &mut Params) -> Result<Arc<dyn Field>> {
    let Some(file) = params.take_file() else {
        return Err(Error::invalid("field:mixture", "needs file=PATH, a safetensors file with means and variances"));
    };
    let fail = |m: String| Error::file(&file, m);
    let tensors = Weights::open(&file)?;
    let variances = tensors.take_1d("variances")?;
    let n = variances.len();
    if n == 0 || n > MOST {
        return Err(fail(format!("{n} components, expected 1..={MOST}")));
    }
    let means = match tensors.take("means", &[n, shape.c, shape.h, shape.w]) {
        Ok(means) => means,
        Err(_) => tensors.take("means", &[n, shape.len()])?,
    };
    let weights = if tensors.has("weights") { tensors.take("weights", &[n])? } else { vec![1.0; n].into() };
    tensors.finish(&[])?;
    if let Some(v) = variances.iter().find(|v| **v < 0.0) {
        return Err(fail(format!("tensor 'variances': {v} is negative")));
    }
    if let Some(w) = weights.iter().find(|w| **w <= 0.0) {
        return Err(fail(format!("tensor 'weights': {w} is not positive")));
    }
    let total: f64 = weights.iter().map(|&w| w as f64).sum();
    let log_weights = weights.iter().map(|&w| (w as f64 / total).ln()).collect();
    let sha256 = crate::data::sha256_file(&file)?;
    Ok(Arc::new(Mixture { shape, process, file, sha256, means, variances, log_weights }))
}

impl Mixture {
    /// (1/V_c, ln w_c - D/2 ln V_c up to a constant) of every component at timestep k.
    fn table(&self, k: usize) -> Result<Vec<[f64; 2]>> {
        let (a, sigma) = self.process.noise(k)?;
        let half = self.shape.len() as f64 / 2.0;
        let row = |(&v, w): (&f32, &f64)| {
            let noisy = a * a * v as f64 + sigma * sigma;
            [1.0 / noisy, w - half * noisy.ln()]
        };
        let mut rows: Vec<[f64; 2]> = self.variances.iter().zip(&self.log_weights).map(row).collect();
        let top = rows.iter().fold(f64::NEG_INFINITY, |m, r| m.max(r[1]));
        rows.iter_mut().for_each(|r| r[1] -= top);
        Ok(rows)
    }
}

impl Field for Mixture {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn coefficients(&self, _: usize) -> Result<(f64, f64)> {
        Ok((0.0, 0.0))
    }

    fn launch(&self, cx: FieldLaunch) -> Result<()> {
        let (d, flat, n) = (self.shape.len(), self.shape.flat_stride(), self.variances.len());
        let mut table = Vec::with_capacity(2 * n * cx.timesteps.len());
        for &k in cx.timesteps {
            table.extend(self.table(k)?.iter().flatten().map(|&v| v as f32));
        }
        let means = cx.program.constant("mixture means", &self.means);
        let table = cx.program.constant("mixture table", &table);
        cx.program.push(Step {
            label: "field mixture".into(),
            op: "field",
            kernel: Kernel { shader: "field_mixture", constants: vec![] },
            bindings: vec![
                ("lanes", cx.lanes, Access::Read),
                ("x", cx.x, Access::Read),
                ("means", means, Access::Read),
                ("table", table, Access::Read),
                ("s", cx.s, Access::Write),
            ],
            role: LaneRole::All,
            immediates: vec![
                ("dim", d as u32),
                ("flat", flat as u32),
                ("components", n as u32),
                ("group", cx.program.group()),
            ],
            grid: Grid { items: 1, workgroup: 1, groups: 1 },
            flops: (7 * d * n) as u64,
            bytes: (8 * (n + 1) * d) as u64,
        });
        Ok(())
    }

    fn has_tangents(&self) -> bool {
        true
    }

    fn has_adjoint(&self) -> bool {
        true
    }

    fn twin(&self, x: &[Dual], k: usize, _: usize) -> Result<Vec<Dual>> {
        let (a, _) = self.process.noise(k)?;
        let table = self.table(k)?;
        let d = x.len();
        let gap = |c: usize, i: usize| Dual::constant(a * self.means[c * d + i] as f64) - x[i];
        let square = |c| (0..d).map(|i| gap(c, i) * gap(c, i)).sum::<Dual>();
        let logs: Vec<Dual> =
            (0..table.len()).map(|c| Dual::constant(table[c][1]) - square(c) * (0.5 * table[c][0])).collect();
        let top = Dual::constant(logs.iter().fold(f64::NEG_INFINITY, |m, l| m.max(l.v)));
        let shares: Vec<Dual> = logs.iter().map(|&l| (l - top).exp()).collect();
        let total: Dual = shares.iter().copied().sum();
        let value = |i| (0..shares.len()).map(|c| shares[c] / total * gap(c, i) * table[c][0]).sum();
        Ok((0..d).map(value).collect())
    }

    fn twin_vjp(&self, x: &[f64], u: &[f64], k: usize, sample: usize) -> Result<Vec<f64>> {
        vjp_of_gradient(self, x, u, k, sample)
    }

    fn describe(&self) -> serde_json::Value {
        json!({
            "kind": "closed form", "name": "mixture", "shape": self.shape.to_string(),
            "components": self.variances.len(), "process": self.process.config, "sources": facts::sources(&self.facts()), "file_sha256": self.sha256,
            "file": self.file.file_name().map(|n| n.to_string_lossy()),
        })
    }
}
