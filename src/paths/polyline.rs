//! A closed polyline that the user hands in: N nodes in the space of the noisy data, joined by straight segments, the last
//! to the first. In: the nodes, of a file or of the caller. Out: the same, whatever the timestep; no randomness.
use super::{Anchor, ClosedPath, Lane, Space, Table, check_sizes};
use crate::data;
use crate::error::{Error, Result};
use crate::spec::{Params, Spec};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The path.
#[derive(Clone, Debug)]
pub struct Polyline {
    /// `[N, D]` for all samples, or `[samples, N, D]`.
    nodes: Vec<f32>,
    sha256: String,
}

impl Polyline {
    /// The loop through these nodes, `[N, D]` for all samples, or one loop for each, `[samples, N, D]`.
    pub fn new(nodes: Vec<f32>) -> Self {
        let bytes: Vec<u8> = nodes.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { sha256: data::sha256_bytes(&bytes), nodes }
    }

    /// A node of the anchor's sample.
    fn node(&self, anchor: &Anchor, node: u32) -> &[f32] {
        let (d, loop_of) = (anchor.x0.len(), anchor.segments as usize * anchor.x0.len());
        let first = if self.nodes.len() > loop_of { anchor.sample as usize * loop_of } else { 0 };
        let at = first + anchor.wrap(node) as usize * d;
        self.nodes.get(at..at + d).unwrap_or_default()
    }
}

pub(super) fn make((shape, range): Space, params: &mut Params) -> Result<Arc<dyn ClosedPath>> {
    let Some(file) = params.take_file() else {
        let expected =
            "needs file=FILE, its nodes: floating-point NPY, NPZ or safetensors (FILE#tensor) of [N, C, H, W]";
        return Err(Error::invalid(&params.place, expected));
    };
    let nodes = data::load_shaped(Spec::from(file.as_os_str()), usize::MAX, range, Some(shape))?;
    Ok(Arc::new(Polyline { nodes: nodes.values, sha256: nodes.sha256 }))
}

impl ClosedPath for Polyline {
    fn name(&self) -> &'static str {
        "polyline"
    }

    /// Of the file's bytes; of nodes that the caller made, of the values' little-endian bytes.
    fn parameters(&self) -> Map<String, Value> {
        Map::from_iter([("sha256".into(), self.sha256.clone().into())])
    }

    fn shader(&self) -> &'static str {
        "path_polyline"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table::PerLane("nodes", 2)]
    }

    fn rows(&self, _: &str, anchor: &Anchor, segment: u32) -> Vec<u32> {
        let ends = [segment, segment + 1].map(|node| self.node(anchor, node));
        ends.into_iter().flatten().map(|v| v.to_bits()).collect()
    }

    /// The nodes must be one loop of `segments` for all samples or one for each, and finite.
    fn check(&self, dim: usize, segments: usize, samples: usize) -> Result<()> {
        check_sizes(self.name(), dim, 1, segments)?;
        let (found, n) = (self.nodes.len(), segments * dim);
        if found != n && found != samples * n {
            let count = if found.is_multiple_of(dim) { (found / dim).to_string() } else { format!("{found} numbers") };
            let want = format!(
                "expected N = {segments} of {dim} components, or {samples} times as many (one loop per sample)"
            );
            return Err(Error::invalid("polyline", format!("{count} nodes, {want}")));
        }
        match self.nodes.iter().position(|v| !v.is_finite()) {
            None => Ok(()),
            Some(i) => {
                let place = format!("polyline node {}, component {}", i / dim, i % dim);
                Err(Error::invalid(place, format!("{} is not finite", self.nodes[i])))
            }
        }
    }

    fn fill_lane(&self, _: &Anchor, _: u32, _: &mut Lane) {}

    fn point(&self, anchor: &Anchor, node: u32) -> Vec<f64> {
        self.node(anchor, node).iter().map(|&v| f64::from(v)).collect()
    }
}
