//! A closed polyline that the user hands in: N nodes in the space of the noisy data, joined by straight segments, the last
//! to the first. In: the nodes, which the anchor carries. Out: the same, whatever the timestep; no randomness.
use super::{Anchor, ClosedPath, Lane, check_sizes};
use crate::error::{Error, Result};

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

/// Refuses nodes that are not one loop of `segments` for all samples or one for each, or are not finite.
pub fn check_nodes(nodes: &[f32], dim: usize, segments: usize, samples: usize) -> Result<()> {
    let (found, n) = (nodes.len(), segments * dim);
    if found != n && found != samples * n {
        let count = if found.is_multiple_of(dim) { (found / dim).to_string() } else { format!("{found} numbers") };
        let want =
            format!("expected N = {segments} of {dim} components, or {samples} times as many (one loop per sample)");
        return Err(Error::invalid("polyline", format!("{count} nodes, {want}")));
    }
    match nodes.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(i) => {
            let place = format!("polyline node {}, component {}", i / dim, i % dim);
            Err(Error::invalid(place, format!("{} is not finite", nodes[i])))
        }
    }
}
