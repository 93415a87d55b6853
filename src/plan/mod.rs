//! Graph to program: fuse, put channels where kernels can read them, cut into bands what no buffer holds, share buffers by liveness, emit the steps. Plain data in and out, no GPU.
//! In: a `Graph` and the timesteps of the run. Out: steps appended to a `Builder`, which knows the target, reading and writing flat buffers.
mod bands;
mod fuse;
mod layout;
mod liveness;
mod prune;
mod readable;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::ops::fold::Setting;
use crate::ops::{Launch, Place, View};
use crate::program::{BufferId, Builder, Role};
use crate::target::KernelFamily;
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
pub fn lower(graph: &Graph, timesteps: &[usize], ports: Ports, program: &mut Builder) -> Result<()> {
    let setting = Setting { family: program.target().family, tangents: program.tangents(), held: graph.held };
    lower_as_is(fuse::fuse(&prune::prune(graph), setting), timesteps, ports, program)
}

/// The same, node by node: what fusion is compared with.
pub fn lower_as_is(mut graph: Graph, timesteps: &[usize], ports: Ports, program: &mut Builder) -> Result<()> {
    graph = prune::prune(&graph);
    let last = graph.output();
    graph.push("output", crate::ops::output::Output::default(), &[last])?;
    let largest = graph.nodes.iter().map(|n| n.shape.pixels()).max().unwrap_or(1);
    let mut layout;
    (graph, layout) = readable::readable(graph)?;
    if let Some(room) = program.budget()
        && let Some(cut) = bands::cut(&graph, &layout.bytes(&graph), room)?
    {
        (graph, layout) = readable::readable(cut)?;
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

    if program.target().family == KernelFamily::Cpu {
        // `quotient` of shaders/lib/cpu.wgsl: pixels of all lanes stay below 2^23.
        let pixels = graph.nodes.iter().map(|n| n.shape.pixels() as u64).max().unwrap_or(1);
        program.limit_lanes((1 << 23) / pixels);
    }
    let mut shared = BTreeMap::new();
    for (node, leaf) in graph.nodes.iter().zip(&layout.leaves) {
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
