//! A closed polyline that the user hands in: N nodes in the space of the noisy data, joined by straight segments, the last
//! to the first. In: the nodes, which the anchor carries. Out: the same, whatever the timestep; no randomness.
use super::{Anchor, ClosedPath, Lane, check_sizes};
use crate::error::Result;

pub struct Polyline;

impl ClosedPath for Polyline {
    fn name(&self) -> &'static str {
        "polyline"
    }

    fn shader(&self) -> &'static str {
        "path_polyline"
    }

    fn uses_pairs(&self) -> bool {
        false
    }

    fn uses_nodes(&self) -> bool {
        true
    }

    fn check(&self, dim: usize, segments: usize, _: u32) -> Result<()> {
        check_sizes(self.name(), dim, 1, segments)
    }

    /// The lane's two nodes lie in the rows of the images: `anchor` and the one after it.
    fn fill_lane(&self, _: &Anchor, _: u32, _: &mut Lane) {}

    fn point(&self, anchor: &Anchor, node: u32) -> Vec<f64> {
        anchor.node(node).iter().map(|&v| f64::from(v)).collect()
    }
}
