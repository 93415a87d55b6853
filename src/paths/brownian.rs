//! Brownian bridge about x_t: y_i = x_t + c X_{u_i}, X_u = W_u - (u/U) W_U, u_i = U i/N (paper, section 3.2).
//! In: an anchor. Out: nodes, each found alone by bisection of [0, N] (Levy's construction): about log2 N normals
//! a component. Leaves the typical set of the noise: an out-of-distribution probe.
use super::philox::{Purpose, Stream};
use super::{Anchor, ClosedPath, Lane, Space, check_sizes, eps, normal};
use crate::error::Result;
use crate::spec::Params;
use std::sync::Arc;

/// The path; it has no parameters.
#[derive(Clone, Copy, Debug)]
pub struct Brownian;

pub(super) fn make(_: Space, _: &mut Params) -> Result<Arc<dyn ClosedPath>> {
    Ok(Arc::new(Brownian))
}

/// U, the duration of the bridge: its standard deviation is sqrt(U)/2 half way.
const DURATION: f64 = 9.0;

impl ClosedPath for Brownian {
    fn name(&self) -> &'static str {
        "brownian"
    }

    fn shader(&self) -> &'static str {
        "path_brownian"
    }

    fn check(&self, dim: usize, segments: usize, _: usize) -> Result<()> {
        check_sizes(self.name(), dim, 1, segments)
    }

    /// p0 = c sqrt(U/N).
    fn fill_lane(&self, anchor: &Anchor, _segment: u32, lane: &mut Lane) {
        lane.p0 = scale(anchor) as f32;
    }

    fn point(&self, anchor: &Anchor, node: u32) -> Vec<f64> {
        let mut y = anchor.noised(&eps(anchor, 0));
        for (y, x) in y.iter_mut().zip(bridge(anchor, anchor.wrap(node))) {
            *y += scale(anchor) * x;
        }
        y
    }
}

/// Bridges are built with unit steps in i and scaled once: c sqrt(U/N).
fn scale(anchor: &Anchor) -> f64 {
    anchor.bridge_scale * (DURATION / f64::from(anchor.segments)).sqrt()
}

/// A bridge over [0, N] with unit variance per step, at one node. Given both ends of [lo, hi], the value at mid is normal
/// with mean on the chord and variance (mid - lo)(hi - mid)/(hi - lo).
fn bridge(anchor: &Anchor, node: u32) -> Vec<f64> {
    let Anchor { seed, sample, k, .. } = *anchor;
    let dim = anchor.x0.len();
    let (mut lo, mut hi) = (0, anchor.segments);
    let (mut x_lo, mut x_hi) = (vec![0.0; dim], vec![0.0; dim]);
    while lo != node {
        let mid = (lo + hi) / 2;
        let [left, right, width] = [mid - lo, hi - mid, hi - lo].map(f64::from);
        let spread = (left * right / width).sqrt();
        let z = normal::normals(&Stream { seed, purpose: Purpose::Bridge, draw: mid, sample, k }, dim);
        let x_mid = (0..dim).map(|c| (right * x_lo[c] + left * x_hi[c]) / width + spread * z[c]).collect();
        if node < mid {
            (hi, x_hi) = (mid, x_mid);
        } else {
            (lo, x_lo) = (mid, x_mid);
        }
    }
    x_lo
}
