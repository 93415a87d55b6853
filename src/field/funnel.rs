//! Score of Neal's funnel: y ~ N(0, 9), x_i given y ~ N(0, e^y), i = 1..n, n = D - 1; component 0 is y. Noised:
//! p(y, x) = N(y; 0, S) E prod_i N(x_i; 0, V(y0)), y0 ~ N(m, v) what y says of the clean y, V(y0) = a^2 e^(y0) + sigma^2,
//! S = 9 a^2 + sigma^2, m = 9 a y / S, v = 9 sigma^2 / S. With y0 = m + sqrt(v) z before differentiating, and averages <>
//! over z: `s_x = -x <1/V>`, `s_y = -y/S + (9 a/S) <g>`, g = d/dy0 of ln prod: nothing cancels however small sigma is.
use super::{Field, FieldLaunch, vjp_of_gradient};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::model::{Process, facts};
use crate::program::{Access, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;
use crate::spec::Params;
use serde_json::json;
use std::sync::Arc;

/// Fewest components: y and one x.
pub(super) const LEAST: usize = 2;
/// Variance of y.
const VARIANCE: f64 = 9.0;
/// Nodes of the trapezoid rule, the threads of a workgroup. It runs twice, over all of z where weight may lie and over what
/// the first run finds. Against four times as many nodes (f64; samples, and points far off the distribution; k = 0..999):
/// 2e-13 of the score and 5e-10 of its Jacobian at D = 64, 2e-12 and 4e-10 at D = 784.
const NODES: usize = 256;
/// Standard deviations of z beyond the outermost peaks: e^-32.
const MARGIN: f64 = 8.0;
/// Log-weights that the second run leaves out: those so far below the largest.
const DEPTH: f64 = 40.0;
/// -ln W(1).
const OMEGA: f64 = 0.5672;

struct Funnel {
    shape: Shape,
    process: Process,
}

pub(super) fn funnel(shape: Shape, process: Process, _: &mut Params) -> Result<Arc<dyn Field>> {
    if shape.len() < LEAST {
        let found = format!("shape {shape} has {} component, expected at least {LEAST}: y and one x", shape.len());
        return Err(Error::invalid("field:funnel", found));
    }
    Ok(Arc::new(Funnel { shape, process }))
}

/// Independent standard normals to a sample, in place.
pub(super) fn of_normals(z: &mut [f64]) {
    let [y, x @ ..] = z else { return };
    *y *= VARIANCE.sqrt();
    let scale = (*y / 2.0).exp();
    x.iter_mut().for_each(|x| *x *= scale);
}

/// What a timestep adds to the formulas.
struct Level {
    /// ln a^2.
    log_a2: f64,
    /// sigma^2.
    s2: f64,
    /// 1/S.
    inverse: f64,
    /// 9 a/S: m = gain y.
    gain: f64,
    /// sqrt(v).
    tau: f64,
}

/// W(b) of w e^w = b from above, given ln b: W <= b, and W = ln b - ln W <= ln b - ln W(1) from b = 1 on.
fn lambert(ln_b: f64) -> f64 {
    if ln_b < 0.0 { ln_b.exp() } else { ln_b + OMEGA }
}

impl Level {
    fn of(process: &Process, k: usize) -> Result<Self> {
        process.require_signal(k, "the funnel's quadrature")?;
        let (a, sigma) = process.noise(k)?;
        let s2 = sigma * sigma;
        let total = VARIANCE * a * a + s2;
        let tau = (VARIANCE * s2 / total).sqrt();
        Ok(Self { log_a2: 2.0 * a.ln(), s2, inverse: 1.0 / total, gain: VARIANCE * a / total, tau })
    }

    /// What the bounds of z are made of: ln(v / 2 a^2), ln(v n a^2 / 2 sigma^2), v n / 2.
    fn bounds(&self, n: f64) -> [f64; 3] {
        let most = 0.5 * self.tau * self.tau * n;
        [(0.5 * self.tau * self.tau).ln() - self.log_a2, most.ln() + self.log_a2 - self.s2.ln(), most]
    }

    /// As `Level` of `shaders/field_funnel.wgsl` has it.
    fn row(&self, n: f64) -> [f32; 8] {
        let [up, down, most] = self.bounds(n);
        [self.log_a2, self.s2, self.gain, self.inverse, self.tau, up, down, most].map(|v| v as f32)
    }

    /// ln of the weight of z, up to a constant; `square` is |x|^2.
    fn log_weight(&self, n: f64, m: f64, square: f64, z: f64) -> f64 {
        let v = (m + self.log_a2 + self.tau * z).exp() + self.s2;
        -0.5 * (z * z + n * v.ln() + square / v)
    }

    /// First and last z that matter. Peaks lie between 0 and the z at which V = |x|^2 / n, where the likelihood is largest,
    /// and where its slope still can hold the prior's: z/tau = g, g <= |x|^2 / (2 a^2 e^(y0)) and -g <= n/2 min(1, V/sigma^2).
    fn window(&self, n: f64, m: f64, square: f64) -> [f64; 2] {
        let [up, down, most] = self.bounds(n);
        let gap = (square / n - self.s2).max(f64::MIN_POSITIVE).ln() - self.log_a2 - m;
        let above = gap.max(0.0).min(lambert(square.max(f64::MIN_POSITIVE).ln() + up - m));
        let below = (-gap).max(0.0).min(most).min(lambert(down + m));
        let wide = [-below / self.tau - MARGIN, above / self.tau + MARGIN];
        let weights = nodes(wide).map(|z| self.log_weight(n, m, square, z));
        let top = weights.iter().fold(f64::NEG_INFINITY, |m, &w| m.max(w));
        let inside = |w: &f64| *w >= top - DEPTH;
        let (first, last) = (weights.iter().position(inside), weights.iter().rposition(inside));
        let (first, last) = (first.unwrap_or(0), last.unwrap_or(NODES - 1));
        let z = nodes(wide);
        [z[first.saturating_sub(1)], z[(last + 1).min(NODES - 1)]]
    }
}

/// The nodes of an interval.
fn nodes([from, to]: [f64; 2]) -> [f64; NODES] {
    std::array::from_fn(|i| from + (to - from) * i as f64 / (NODES - 1) as f64)
}

impl Field for Funnel {
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
        let (d, flat) = (self.shape.len(), self.shape.flat_stride());
        let mut rows = Vec::with_capacity(8 * cx.timesteps.len());
        for &k in cx.timesteps {
            rows.extend(Level::of(&self.process, k)?.row((d - 1) as f64));
        }
        let levels = cx.program.constant("funnel levels", &rows);
        cx.program.push(Step {
            label: "field funnel".into(),
            op: "field",
            kernel: Kernel { shader: "field_funnel", constants: vec![] },
            bindings: vec![
                ("lanes", cx.lanes, Access::Read),
                ("x", cx.x, Access::Read),
                ("levels", levels, Access::Read),
                ("s", cx.s, Access::Write),
            ],
            role: LaneRole::All,
            immediates: vec![("dim", d as u32), ("flat", flat as u32), ("group", cx.program.group())],
            grid: Grid { items: 1, workgroup: 1, groups: 1 },
            flops: (6 * d + 200 * NODES) as u64,
            bytes: (16 * d) as u64,
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
        let level = Level::of(&self.process, k)?;
        let Some((&y, x)) = x.split_first() else { return Ok(vec![]) };
        let (n, constant) = (x.len() as f64, Dual::constant);
        let (m, square) = (y * level.gain, x.iter().map(|&x| x * x).sum::<Dual>());
        // The integral does not depend on where the nodes are, so neither do its derivatives.
        let terms = nodes(level.window(n, m.v, square.v)).map(|z| {
            let growth = (m + constant(level.log_a2 + level.tau * z)).exp();
            let v = growth + constant(level.s2);
            let log = constant(-0.5 * z * z) - (v.ln() * n + square / v) * 0.5;
            (log, constant(1.0) / v, growth / v * (square / v - constant(n)) * 0.5)
        });
        let top = terms.iter().fold(f64::NEG_INFINITY, |m, t| m.max(t.0.v));
        let weights = terms.map(|t| (t.0 - constant(top)).exp());
        let total: Dual = weights.iter().copied().sum();
        let mean = |of: fn(&(Dual, Dual, Dual)) -> Dual| {
            weights.iter().zip(&terms).map(|(&w, t)| w * of(t)).sum::<Dual>() / total
        };
        let (u, g) = (mean(|t| t.1), mean(|t| t.2));
        let along_y = g * level.gain - y * level.inverse;
        Ok(std::iter::once(along_y).chain(x.iter().map(|&x| x * u * -1.0)).collect())
    }

    fn twin_vjp(&self, x: &[f64], u: &[f64], k: usize, sample: usize) -> Result<Vec<f64>> {
        vjp_of_gradient(self, x, u, k, sample)
    }

    fn describe(&self) -> serde_json::Value {
        json!({
            "kind": "closed form", "name": "funnel", "shape": self.shape.to_string(), "variance": VARIANCE,
            "process": self.process.config, "sources": facts::sources(&self.facts()), "nodes": NODES,
        })
    }
}
