//! Cotangents of a network at one point: J'u on the device and by the twin of the adjoint graph, and the law that ties it to J v.
//! In: a network and its point, tangents v, cotangents u. Out: J v and J'u of one plan, and a row for the law.
use super::{Row, Worst};
use crate::dual::Dual;
use crate::error::Result;
use crate::evaluate::{Evaluator, Room};
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::passes::adjoint::adjoint;
use crate::twin;

/// |<u, J v> - <J'u, v>| of the larger of |u||J v| and |J'u||v|: both are f32 sums of the same products in another order.
pub const LAW: f64 = 1e-6;

/// Tangents, and cotangents, at a time, at most: a case has few, and memory is not the matter here.
const MOST: usize = 16;

/// A network at a point.
pub(super) struct At<'a> {
    pub graph: &'a Graph,
    pub x: &'a [f32],
    pub k: usize,
}

/// J v of every tangent and J'u of every cotangent.
pub(super) struct Products {
    pub jv: Vec<f64>,
    pub jtu: Vec<f64>,
}

impl At<'_> {
    fn sizes(&self) -> Result<[usize; 2]> {
        Ok(self.graph.end_shapes()?.map(|s| s.len()))
    }

    /// On the device, of tangents `v` and cotangents `u` in the same runs.
    pub fn on_device(&self, gpu: &Gpu, v: &[f32], u: &[f32]) -> Result<Products> {
        let [d, out] = self.sizes()?;
        let room = Room { samples: 1, tangents: (v.len() / d).min(MOST), cotangents: (u.len() / out).min(MOST) };
        let mut evaluator = Evaluator::with_tangents(gpu, self.graph, &[self.k], room)?;
        let (t, k) = (evaluator.tangents() * d, evaluator.cotangents() * out);
        let mut made = Products { jv: vec![], jtu: vec![] };
        // Where one kind is done before the other, zeros take its place.
        let some = |all: &[f32], each: usize, run: usize| {
            let mut some: Vec<f32> = all.iter().skip(run * each).take(each).copied().collect();
            some.resize(each, 0.0);
            some
        };
        for run in 0..v.len().div_ceil(t.max(1)).max(u.len().div_ceil(k.max(1))) {
            let found = evaluator.products_of(self.x, &some(v, t, run), &some(u, k, run), &[self.k], &[0])?;
            made.jv.extend(found.jv.into_iter().map(f64::from));
            made.jtu.extend(found.jtu.into_iter().map(f64::from));
        }
        made.jv.truncate(v.len() / d * out);
        made.jtu.truncate(u.len() / out * d);
        Ok(made)
    }

    /// By the twin of the adjoint graph, in f64.
    pub fn in_f64(&self, u: &[f32]) -> Result<Vec<f64>> {
        let (adjoint, [_, out]) = (adjoint(self.graph)?, self.sizes()?);
        let (x, mut made) = (Dual::lift(self.x), vec![]);
        for u in u.chunks_exact(out) {
            let gets = twin::outputs(&adjoint, &[&x, &Dual::lift(u)], self.k, 0)?.swap_remove(1);
            made.extend(gets.iter().map(|g| g.v));
        }
        Ok(made)
    }

    /// <u, J v> = <J'u, v> for every pair.
    pub fn law(&self, v: &[f32], u: &[f32], of: &Products, place: &str) -> Result<Row> {
        let [d, out] = self.sizes()?;
        let dot = |a: &[f32], b: &[f64]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum::<f64>();
        let norm = |a: &[f64]| a.iter().map(|a| a * a).sum::<f64>().sqrt();
        let own = |a: &[f32]| a.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>().sqrt();
        let (mut worst, tangents) = (Worst::default(), v.len() / d);
        for (i, (u, jtu)) in u.chunks_exact(out).zip(of.jtu.chunks_exact(d)).enumerate() {
            for (j, (v, jv)) in v.chunks_exact(d).zip(of.jv.chunks_exact(out)).enumerate() {
                let size = (own(u) * norm(jv)).max(norm(jtu) * own(v));
                worst.see(i * tangents + j, (dot(u, jv) - dot(v, jtu)).abs() / size);
            }
        }
        let (i, j) = (worst.at / tangents.max(1), worst.at % tangents.max(1));
        let worst_at = format!("cotangent {i}, tangent {j}, {place}");
        Ok(Row { quantity: "u.Jv = v.J'u".into(), error: worst.error, tolerance: Some(LAW), worst: worst_at })
    }
}
