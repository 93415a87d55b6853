//! Projection: m noisings E_j = a x_0 + sigma eps_j of one x_0 in a ring, N/m nodes an arc (paper, section 3.2).
//! In: an anchor. Out: nodes, linear in the noise between the ends of their arc, then moved along their ray from the
//! origin to the radius that is linear between |E_j| and |E_{j+1}|: a straight chord would dip inside the shell.
use super::{Anchor, ClosedPath, Curve, Lane, SmoothPath, check_sizes, eps};
use crate::error::{Error, Result};

pub struct Projection;

impl ClosedPath for Projection {
    fn name(&self) -> &'static str {
        "projection"
    }

    fn shader(&self) -> &'static str {
        "path_projection"
    }

    fn uses_pairs(&self) -> bool {
        false
    }

    /// In few dimensions a chord may pass so near the origin that the rescaling is ill-conditioned: D >= 8.
    fn check(&self, dim: usize, segments: usize, arcs: u32) -> Result<()> {
        check_sizes(self.name(), dim, 8, segments)?;
        if arcs < 2 || !segments.is_multiple_of(arcs as usize) {
            let message =
                format!("{segments} segments in {arcs} arcs; it needs 2 or more arcs that divide the segments");
            return Err(Error::invalid("path projection", message));
        }
        Ok(())
    }

    fn fill_lane(&self, anchor: &Anchor, segment: u32, lane: &mut Lane) {
        let (arc, step) = arc(anchor, segment);
        let length = f64::from(arc_length(anchor));
        (lane.arc0, lane.arc1, lane.arcs) = (arc, (arc + 1) % anchor.arcs.max(1), anchor.arcs);
        // Both nodes are placed on the segment's own arc: f = 1 is the next arc's f = 0, which the shader knows.
        lane.p0 = (f64::from(step) / length) as f32;
        lane.p1 = (f64::from(step + 1) / length) as f32;
    }

    fn point(&self, anchor: &Anchor, node: u32) -> Vec<f64> {
        let (arc, step) = arc(anchor, node);
        if step == 0 {
            return anchor.noised(&eps(anchor, arc));
        }
        let [point, _] = self.tangent(anchor, arc, f64::from(step) / f64::from(arc_length(anchor)));
        point
    }

    fn smooth(&self) -> Option<&dyn SmoothPath> {
        Some(self)
    }
}

impl SmoothPath for Projection {
    fn curve(&self, arcs: u32) -> Curve {
        Curve::Arcs(arcs)
    }

    fn fill_tangent(&self, anchor: &Anchor, piece: u32, t: f64, lane: &mut Lane) {
        (lane.arc0, lane.arc1, lane.arcs) = (piece, (piece + 1) % anchor.arcs.max(1), anchor.arcs);
        (lane.p0, lane.p2, lane.shift) = (t as f32, 1.0, -0.5);
    }

    /// y = r c / |c| with the chord c = (1-t) E_0 + t E_1 and the radius r = (1-t) |E_0| + t |E_1|;
    /// y' = (r' - r c.c' / |c|^2) c / |c| + r c' / |c|.
    fn tangent(&self, anchor: &Anchor, piece: u32, t: f64) -> [Vec<f64>; 2] {
        let start = anchor.noised(&eps(anchor, piece));
        let end = anchor.noised(&eps(anchor, (piece + 1) % anchor.arcs.max(1)));
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

/// Nodes per arc, N/m.
fn arc_length(anchor: &Anchor) -> u32 {
    (anchor.segments / anchor.arcs.max(1)).max(1)
}

/// A node's arc and its place on it.
fn arc(anchor: &Anchor, node: u32) -> (u32, u32) {
    let node = anchor.wrap(node);
    (node / arc_length(anchor) % anchor.arcs.max(1), node % arc_length(anchor))
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}
