//! Graph to program: fuse, put channels where kernels can read them, cut into bands what no buffer holds, share buffers by liveness, emit the steps. Plain data in and out, no GPU.
//! In: a `Graph` and the timesteps of the run. Out: steps appended to a `Builder`, which knows the target, reading and writing flat buffers.
mod banded;
mod bands;
mod fuse;
mod fused;
mod layout;
mod liveness;
mod prune;
mod readable;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::held::Held;
use crate::ops::{Launch, Place, View};
use crate::program::{BufferId, Builder, Role};
use crate::shape::Shape;
use crate::target::{KernelFamily, Target};
use std::collections::BTreeMap;

pub use fuse::{RULES, Rule};
pub use fused::FUSED;

/// What a network's plan connects to.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Flat `[lane][D]` input and output.
    pub input: BufferId,
    /// Flat output of the network.
    pub output: BufferId,
    /// Per-lane table (`paths::Lane`).
    pub lanes: BufferId,
}

/// What a network is fused for.
#[derive(Clone, Copy)]
struct Setting<'a> {
    target: &'a Target,
    /// K
    tangents: u32,
    /// How the device holds weights.
    held: Held,
}

/// A network between passes.
struct Draft {
    graph: Graph,
    /// `[C, H, W]` of every node's output before it was cut into bands of rows.
    whole: Vec<Shape>,
}

impl Draft {
    /// Of a network that is not cut.
    fn of(graph: Graph) -> Self {
        let whole = graph.nodes.iter().map(|node| node.shape).collect();
        Self { graph, whole }
    }

    fn push(&mut self, node: Node, whole: Shape) -> NodeId {
        self.graph.nodes.push(node);
        self.whole.push(whole);
        NodeId(self.graph.nodes.len() - 1)
    }
}

/// The network that is planned for a target and K tangents, its ops fused, and the names of the rules by which, in order (`RULES`).
pub fn fused(graph: &Graph, target: &Target, tangents: u32) -> (Graph, Vec<&'static str>) {
    fuse::fuse(&prune::prune(graph), Setting { target, tangents, held: graph.held })
}

/// Appends the network's steps, for the program's tangents too, fused. `timesteps` are the distinct timesteps of the run; a
/// lane's `row` indexes them.
pub fn lower(graph: &Graph, timesteps: &[usize], ports: Ports, program: &mut Builder) -> Result<()> {
    let (fused, _) = fused(graph, program.target(), program.tangents());
    lower_as_is(fused, timesteps, ports, program)
}

/// The same, node by node: what fusion is compared with.
pub fn lower_as_is(mut graph: Graph, timesteps: &[usize], ports: Ports, program: &mut Builder) -> Result<()> {
    graph = prune::prune(&graph);
    let last = graph.output();
    graph.push("output", crate::ops::output::Output, &[last])?;
    let largest = graph.nodes.iter().map(|n| n.shape.pixels()).max().unwrap_or(1);
    let (mut draft, mut layout) = readable::readable(Draft::of(graph))?;
    if let Some(room) = program.budget()
        && let Some(cut) = bands::cut(&draft.graph, &layout.bytes(&draft.graph), room)?
    {
        (draft, layout) = readable::readable(cut)?;
        let bytes = layout.bytes(&draft.graph);
        if let Some((node, bytes)) = draft.graph.nodes.iter().zip(bytes).find(|(_, bytes)| *bytes > room) {
            let message =
                format!("{} ({}) takes {bytes} bytes per lane, a buffer may have {room}", node.shape, node.name);
            return Err(Error::OutOfMemory { place: "plan".into(), message });
        }
    }
    let Draft { graph, whole } = draft;
    let slots = liveness::assign(&graph, &layout);
    let buffers: Vec<BufferId> = slots
        .bytes
        .iter()
        .enumerate()
        .map(|(i, &bytes)| program.buffer(format!("slot {i}"), bytes, Role::Scratch))
        .collect();
    let buffer = |root: usize| slots.of_root[root].map_or(ports.output, |slot| buffers[slot]);
    let mut rows: Vec<Vec<Vec<f64>>> = vec![Vec::with_capacity(timesteps.len()); graph.rows.len()];
    for &k in timesteps {
        rows.iter_mut().zip(graph.rows_at(k)?).for_each(|(table, row)| table.push(row));
    }

    if program.target().family == KernelFamily::Cpu {
        // `quotient` of shaders/lib/cpu.wgsl: pixels of all lanes stay below 2^23.
        let pixels = graph.nodes.iter().map(|n| n.shape.pixels() as u64).max().unwrap_or(1);
        program.limit_lanes((1 << 23) / pixels);
    }
    let mut shared = BTreeMap::new();
    for ((node, leaf), &whole) in graph.nodes.iter().zip(&layout.leaves).zip(&whole) {
        let Some(leaf) = leaf else { continue };
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &id in &node.inputs {
            let found = layout.found(&graph, id)?;
            let (buffer, stride) = (buffer(found.root), layout.strides[found.root]);
            let (segments, slots) = found.readable();
            inputs.push(View { buffer, shape: graph.shape(id), stride, segments, slots });
        }
        let output = Place {
            buffer: buffer(leaf.root),
            shape: node.shape,
            stride: layout.strides[leaf.root],
            offset: leaf.offset,
            blocks: leaf.blocks,
            slots: leaf.slots.clone(),
        };
        node.op.launch(&mut Launch {
            program,
            node: &node.name,
            held: graph.held,
            direct: graph.direct,
            largest,
            inputs,
            output,
            whole,
            lanes: ports.lanes,
            rows: &rows,
            flat_in: ports.input,
            flat_out: ports.output,
            timesteps: timesteps.len(),
            shared: &mut shared,
        })?;
    }
    Ok(())
}
