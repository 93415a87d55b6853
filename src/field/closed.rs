//! Closed forms that are linear in x: s_i = alpha x_i + omega (x_{i+1} - x_{i-1}), indices cyclic over the D components.
//! gaussian: alpha = -1/(a^2 + sigma^2), omega = 0 (a gradient). rotor: alpha = 0 (antisymmetric). tilted: alpha = -1.
//! subspace: alpha = -1/(a^2 + sigma^2) for the first `rank` components, in which the data lie, and -1/sigma^2 for the others.
use super::{Field, FieldLaunch};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::model::{Process, facts};
use crate::program::{Access, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;
use crate::spec::Params;
use serde_json::json;
use std::sync::Arc;

struct Linear {
    name: &'static str,
    shape: Shape,
    process: Process,
    /// alpha as a function of (a, sigma).
    alpha: fn(f64, f64) -> f64,
    omega: f64,
    /// So many components have alpha = -1/(a^2 + sigma^2) in place of their own.
    rank: usize,
}

pub(super) fn gaussian(shape: Shape, process: Process, _: &mut Params) -> Result<Arc<dyn Field>> {
    let alpha = |a, sigma| -1.0 / (a * a + sigma * sigma);
    Ok(Arc::new(Linear { name: "gaussian", shape, process, alpha, omega: 0.0, rank: 0 }))
}

pub(super) fn rotor(shape: Shape, process: Process, params: &mut Params) -> Result<Arc<dyn Field>> {
    let omega = params.finite("omega", 1.0)?;
    Ok(Arc::new(Linear { name: "rotor", shape, process, alpha: |_, _| 0.0, omega, rank: 0 }))
}

pub(super) fn tilted(shape: Shape, process: Process, params: &mut Params) -> Result<Arc<dyn Field>> {
    let omega = params.finite("omega", 1.0)?;
    Ok(Arc::new(Linear { name: "tilted", shape, process, alpha: |_, _| -1.0, omega, rank: 0 }))
}

pub(super) fn subspace(shape: Shape, process: Process, params: &mut Params) -> Result<Arc<dyn Field>> {
    let rank = params.take("rank")?.unwrap_or(1);
    if rank == 0 || rank > shape.len() {
        let found = format!("rank={rank}, expected 1..={}, the components of a point", shape.len());
        return Err(Error::invalid(&params.place, found));
    }
    let alpha = |_, sigma| -1.0 / (sigma * sigma);
    Ok(Arc::new(Linear { name: "subspace", shape, process, alpha, omega: 0.0, rank }))
}

impl Linear {
    /// alpha at timestep k: of the first `rank` components, and of the others.
    fn alphas(&self, k: usize) -> Result<[f64; 2]> {
        let (a, sigma) = self.process.noise(k)?;
        Ok([-1.0 / (a * a + sigma * sigma), (self.alpha)(a, sigma)])
    }

    /// alpha x_i + omega (x_{i+1} - x_{i-1}) of duals.
    fn at(&self, x: &[Dual], [inner, alpha]: [f64; 2], omega: f64) -> Vec<Dual> {
        let (d, at) = (x.len(), |i: usize| x[i % x.len()]);
        let own = |i: usize| if i < self.rank { inner } else { alpha };
        (0..d).map(|i| at(i) * own(i) + (at(i + 1) - at(i + d - 1)) * omega).collect()
    }
}

impl Field for Linear {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn coefficients(&self, k: usize) -> Result<(f64, f64)> {
        Ok((self.alphas(k)?[1], 0.0))
    }

    fn launch(&self, cx: FieldLaunch) -> Result<()> {
        let flat = self.shape.flat_stride();
        cx.program.push(Step {
            label: format!("field {}", self.name),
            op: "field",
            kernel: Kernel { shader: "field_linear", constants: vec![] },
            bindings: vec![("lanes", cx.lanes, Access::Read), ("x", cx.x, Access::Read), ("s", cx.s, Access::Write)],
            role: LaneRole::All,
            immediates: vec![
                ("dim", self.shape.len() as u32),
                ("flat", flat as u32),
                ("omega", (self.omega as f32).to_bits()),
                ("rank", self.rank as u32),
                ("group", cx.program.group()),
                ("transposed", cx.program.group() - cx.program.cotangents()),
            ],
            grid: Grid { items: flat as u32, workgroup: 256, groups: 1 },
            flops: 4 * flat as u64,
            bytes: 8 * flat as u64,
        });
        Ok(())
    }

    /// The field is linear without a constant, so tangents are treated like points.
    fn has_tangents(&self) -> bool {
        true
    }

    fn has_adjoint(&self) -> bool {
        true
    }

    fn twin(&self, x: &[Dual], k: usize, _: usize) -> Result<Vec<Dual>> {
        Ok(self.at(x, self.alphas(k)?, self.omega))
    }

    /// The transpose turns the other way round.
    fn twin_vjp(&self, _: &[f64], u: &[f64], k: usize, _: usize) -> Result<Vec<f64>> {
        let u: Vec<Dual> = u.iter().map(|&u| Dual::constant(u)).collect();
        Ok(self.at(&u, self.alphas(k)?, -self.omega).iter().map(|y| y.v).collect())
    }

    fn describe(&self) -> serde_json::Value {
        json!({
            "kind": "closed form", "name": self.name, "shape": self.shape.to_string(),
            "omega": self.omega, "rank": (self.rank > 0).then_some(self.rank), "process": self.process.config, "sources": facts::sources(&self.facts()),
        })
    }
}
