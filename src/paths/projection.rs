//! Projection: m noisings E_j = a x_0 + sigma eps_j of one x_0 in a ring, N/m nodes an arc (paper, section 3.2).
//! In: an anchor. Out: nodes, linear in the noise between the ends of their arc, then moved along their ray from the
//! origin to the radius that is linear between |E_j| and |E_{j+1}|: a straight chord would dip inside the shell.
use super::{Anchor, ClosedPath, Curve, Lane, SmoothPath, Space, check_sizes, eps};
use crate::error::{Error, Result};
use crate::spec::Params;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The paper's m: noisings in the ring.
const ARCS: u32 = 10;

/// The path.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    /// m, which divides N.
    pub arcs: u32,
}

/// The paper's m = 10.
impl Default for Projection {
    fn default() -> Self {
        Self { arcs: ARCS }
    }
}

pub(super) fn make(_: Space, params: &mut Params) -> Result<Arc<dyn ClosedPath>> {
    Ok(Arc::new(Projection { arcs: params.take("arcs")?.unwrap_or(ARCS) }))
}

impl Projection {
    /// Nodes per arc, N/m.
    fn arc_length(&self, anchor: &Anchor) -> u32 {
        (anchor.segments / self.arcs.max(1)).max(1)
    }

    /// A node's arc and its place on it.
    fn arc(&self, anchor: &Anchor, node: u32) -> (u32, u32) {
        let (node, length) = (anchor.wrap(node), self.arc_length(anchor));
        (node / length % self.arcs.max(1), node % length)
    }

    fn next(&self, arc: u32) -> u32 {
        (arc + 1) % self.arcs.max(1)
    }
}

impl ClosedPath for Projection {
    fn name(&self) -> &'static str {
        "projection"
    }

    fn shader(&self) -> &'static str {
        "path_projection"
    }

    fn parameters(&self) -> Map<String, Value> {
        Map::from_iter([("arcs".into(), self.arcs.into())])
    }

    /// In few dimensions a chord may pass so near the origin that the rescaling is ill-conditioned: D >= 8.
    fn check(&self, dim: usize, segments: usize, _: usize) -> Result<()> {
        let arcs = self.arcs;
        check_sizes(self.name(), dim, 8, segments)?;
        if arcs < 2 || !segments.is_multiple_of(arcs as usize) {
            let message =
                format!("{segments} segments in {arcs} arcs; it needs 2 or more arcs that divide the segments");
            return Err(Error::invalid("path projection", message));
        }
        Ok(())
    }

    /// n0, n1 = the draws at the two ends of the arc. p0, p1 = how far along the arc the two nodes are, in [0, 1]; p2 = 1 if
    /// the step is y'(p0) instead.
    fn fill_lane(&self, anchor: &Anchor, segment: u32, lane: &mut Lane) {
        let (arc, step) = self.arc(anchor, segment);
        let length = f64::from(self.arc_length(anchor));
        (lane.n0, lane.n1) = (arc, self.next(arc));
        // Both nodes are placed on the segment's own arc: f = 1 is the next arc's f = 0, which the shader knows.
        lane.p0 = (f64::from(step) / length) as f32;
        lane.p1 = (f64::from(step + 1) / length) as f32;
    }

    fn point(&self, anchor: &Anchor, node: u32) -> Vec<f64> {
        let (arc, step) = self.arc(anchor, node);
        if step == 0 {
            return anchor.noised(&eps(anchor, arc));
        }
        let [point, _] = self.tangent(anchor, arc, f64::from(step) / f64::from(self.arc_length(anchor)));
        point
    }

    fn smooth(&self) -> Option<&dyn SmoothPath> {
        Some(self)
    }
}

impl SmoothPath for Projection {
    fn curve(&self) -> Curve {
        Curve::Arcs(self.arcs)
    }

    fn fill_tangent(&self, _: &Anchor, piece: u32, t: f64, lane: &mut Lane) {
        (lane.n0, lane.n1) = (piece, self.next(piece));
        (lane.p0, lane.p2, lane.shift) = (t as f32, 1.0, -0.5);
    }

    /// y = r c / |c| with the chord c = (1-t) E_0 + t E_1 and the radius r = (1-t) |E_0| + t |E_1|;
    /// y' = (r' - r c.c' / |c|^2) c / |c| + r c' / |c|.
    fn tangent(&self, anchor: &Anchor, piece: u32, t: f64) -> [Vec<f64>; 2] {
        let start = anchor.noised(&eps(anchor, piece));
        let end = anchor.noised(&eps(anchor, self.next(piece)));
        let chord: Vec<f64> = start.iter().zip(&end).map(|(s, e)| (1.0 - t) * s + t * e).collect();
        let slope: Vec<f64> = start.iter().zip(&end).map(|(s, e)| e - s).collect();
        let (r0, r1) = (norm(&start), norm(&end));
        let (radius, growth) = ((1.0 - t) * r0 + t * r1, r1 - r0);
        // Without noise and image (all zero) there is no ray to move along.
        let size = norm(&chord).max(f64::MIN_POSITIVE);
        let along: f64 = chord.iter().zip(&slope).map(|(c, s)| c / size * s).sum();
        let point = chord.iter().map(|c| c * (radius / size)).collect();
        let (on_chord, on_slope) = ((growth - radius * along / size) / size, radius / size);
        let step = chord.iter().zip(&slope).map(|(c, s)| on_chord * c + on_slope * s).collect();
        [point, step]
    }
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}
