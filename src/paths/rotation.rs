//! Rotation of the noise: y_i = a x_0 + sigma (cos(2 pi u) eps + sin(2 pi u) P eps), u = i/N (paper, section 3.2).
//! In: an anchor. Out: nodes, and the table of P for the shader: components paired at random, (P eps)_i = eps_j and
//! (P eps)_j = -eps_i, so that |y - a x_0| is the same at every node. With odd D one component stays fixed.
use super::philox::{Purpose, Stream};
use super::{Anchor, ClosedPath, Curve, Lane, SmoothPath, Space, Table, check_sizes, eps};
use crate::error::Result;
use crate::spec::Params;
use std::f64::consts::TAU;
use std::sync::Arc;

/// The path; it has no parameters.
#[derive(Clone, Copy, Debug)]
pub struct Rotation;

pub(super) fn make(_: Space, _: &mut Params) -> Result<Arc<dyn ClosedPath>> {
    Ok(Arc::new(Rotation))
}

/// Bit of a `pairs` entry: (P eps) here is minus the partner's eps.
pub const MINUS: u32 = 1 << 31;
/// Bit of a `pairs` entry: this component does not turn.
pub const FIXED: u32 = 1 << 30;

impl ClosedPath for Rotation {
    fn name(&self) -> &'static str {
        "rotation"
    }

    fn shader(&self) -> &'static str {
        "path_rotation"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table::Images, Table::PerAnchor("pairs")]
    }

    fn rows(&self, _: &str, anchor: &Anchor, _: u32) -> Vec<u32> {
        pairs(anchor.seed, anchor.sample, anchor.k, anchor.x0.len())
    }

    fn check(&self, dim: usize, segments: usize, _: usize) -> Result<()> {
        check_sizes(self.name(), dim, 2, segments)
    }

    /// p0 .. p3 = cos and sin at the first node, cos and sin at the second.
    fn fill_lane(&self, anchor: &Anchor, segment: u32, lane: &mut Lane) {
        [lane.p0, lane.p1] = angle(anchor, segment).map(|v| v as f32);
        [lane.p2, lane.p3] = angle(anchor, segment + 1).map(|v| v as f32);
    }

    fn point(&self, anchor: &Anchor, node: u32) -> Vec<f64> {
        anchor.noised(&turned(anchor, angle(anchor, node), 1.0))
    }

    fn smooth(&self) -> Option<&dyn SmoothPath> {
        Some(self)
    }
}

impl SmoothPath for Rotation {
    fn curve(&self) -> Curve {
        Curve::Periodic
    }

    /// t is the angle. The shader's second node is put at y + y', and its point at the first end of that step.
    fn fill_tangent(&self, _: &Anchor, _: u32, t: f64, lane: &mut Lane) {
        let (sin, cos) = t.sin_cos();
        [lane.p0, lane.p1] = [cos, sin].map(|v| v as f32);
        [lane.p2, lane.p3] = [cos - sin, sin + cos].map(|v| v as f32);
        lane.shift = -0.5;
    }

    fn tangent(&self, anchor: &Anchor, _: u32, t: f64) -> [Vec<f64>; 2] {
        let (sin, cos) = t.sin_cos();
        let sigma = f64::from(anchor.sigma as f32);
        let step = turned(anchor, [-sin, cos], 0.0).into_iter().map(|z| sigma * z).collect();
        [anchor.noised(&turned(anchor, [cos, sin], 1.0)), step]
    }
}

/// cos eps + sin P eps, with `fixed` times eps where a component does not turn.
fn turned(anchor: &Anchor, [cos, sin]: [f64; 2], fixed: f64) -> Vec<f64> {
    let eps = eps(anchor, 0);
    let table = pairs(anchor.seed, anchor.sample, anchor.k, eps.len());
    let component = |(c, entry): (usize, u32)| {
        let partner = eps[(entry & !(MINUS | FIXED)) as usize];
        match entry {
            e if e & FIXED != 0 => fixed * eps[c],
            e if e & MINUS != 0 => cos * eps[c] - sin * partner,
            _ => cos * eps[c] + sin * partner,
        }
    };
    table.into_iter().enumerate().map(component).collect()
}

/// [cos, sin] of a node's angle; exactly [1, 0] at node 0 and therefore at node N.
fn angle(anchor: &Anchor, node: u32) -> [f64; 2] {
    let (sin, cos) = (TAU * f64::from(anchor.wrap(node)) / f64::from(anchor.segments)).sin_cos();
    [cos, sin]
}

/// The pairing of (seed, sample, k): for each component its partner's index, with `MINUS` where (P eps) is minus the
/// partner's eps; the component left over by an odd `dim` has its own index with `FIXED`.
/// Neighbours of a random permutation (Fisher and Yates) are partners.
pub fn pairs(seed: u64, sample: u32, k: u32, dim: usize) -> Vec<u32> {
    let stream = Stream { seed, purpose: Purpose::Pairing, draw: 0, sample, k };
    let mut table = vec![0; dim];
    for pair in stream.permutation(dim, dim).chunks(2) {
        match *pair {
            [i, j] => (table[i as usize], table[j as usize]) = (j, i | MINUS),
            [i] => table[i as usize] = i | FIXED,
            _ => {}
        }
    }
    table
}
