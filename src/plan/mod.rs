//! Graph to program: fuse, cut into bands what no buffer holds, lay out channels, share buffers by liveness, emit the steps. Plain data in and out, no GPU.
//! In: a `Graph` and the timesteps of the run. Out: steps appended to a `Program`, reading and writing flat buffers.
mod bands;
mod fuse;
mod layout;
mod liveness;
mod repeat;
mod straight;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::ops::fold::Setting;
use crate::ops::{Family, Launch, Place, View};
use crate::program::{BufferId, Program, Role};
use std::collections::BTreeMap;

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

/// Appends the network's steps, for the program's tangents too, fused. `timesteps` are the distinct timesteps of the run; a
/// lane's `row` indexes them.
pub fn lower(graph: &Graph, timesteps: &[usize], family: Family, ports: Ports, program: &mut Program) -> Result<()> {
    let setting = Setting { family, tangents: program.tangents, held: graph.held };
    lower_as_is(
        fuse::fuse(&straight::straighten(&repeat::separate(graph))?, setting),
        timesteps,
        family,
        ports,
        program,
    )
}

/// The same, node by node: what fusion is compared with.
pub fn lower_as_is(
    mut graph: Graph,
    timesteps: &[usize],
    family: Family,
    ports: Ports,
    program: &mut Program,
) -> Result<()> {
    graph = straight::straighten(&repeat::separate(&graph))?;
    let last = graph.output();
    graph.push("output", crate::ops::output::Output::default(), &[last])?;
    let largest = graph.nodes.iter().map(|n| n.shape.pixels()).max().unwrap_or(1);
    let mut layout = layout::Layout::of(&graph)?;
    if let Some(room) = program.room
        && let Some(cut) = bands::cut(&graph, &layout.bytes(&graph), room)?
    {
        graph = cut;
        layout = layout::Layout::of(&graph)?;
        if let Some((node, bytes)) = graph.nodes.iter().zip(layout.bytes(&graph)).find(|(_, bytes)| *bytes > room) {
            let message =
                format!("{} ({}) takes {bytes} bytes per lane, a buffer may have {room}", node.shape, node.name);
            return Err(Error::OutOfMemory { place: "plan".into(), message });
        }
    }
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

    if family == Family::Cpu {
        // `quotient` of shaders/lib/cpu.wgsl: pixels of all lanes stay below 2^23.
        let pixels = graph.nodes.iter().map(|n| n.shape.pixels() as u64).max().unwrap_or(1);
        program.lane_limit = Some((1 << 23) / pixels);
    }
    let mut shared = BTreeMap::new();
    for (node, leaf) in graph.nodes.iter().zip(&layout.leaves) {
        let Some(leaf) = leaf else { continue };
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &id in &node.inputs {
            let (root, segments, slots) = layout.view(&graph, id)?;
            let shape = graph.shape(id);
            inputs.push(View { buffer: buffer(root), shape, stride: layout.strides[root], segments, slots });
        }
        let output = Place {
            buffer: buffer(leaf.root),
            shape: node.shape,
            stride: layout.strides[leaf.root],
            offset: leaf.offset,
            blocks: leaf.blocks,
            slots: leaf.slots.clone(),
        };
        if node.op.keeps_layout() && inputs.iter().any(|v| v.blocks() != output.blocks) {
            return Err(Error::invalid(&node.name, "reads channels from more than two places; kernels know two"));
        }
        node.op.launch(&mut Launch {
            program,
            node: &node.name,
            family,
            held: graph.held,
            direct: graph.direct,
            largest,
            inputs,
            output,
            whole: node.whole,
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
