//! Lowering: the steps of every node, in order. In: a graph that every kernel can read, its layout, the timesteps of the run. Out:
//! buffers and steps appended to a program.
use super::lanes::Doors;
use super::views::Layout;
use super::{Draft, liveness};
use crate::error::{Error, Result};
use crate::ops::{Lowering, Place, View};
use crate::program::{BufferId, Builder, Role, Space};
use crate::target::KernelFamily;
use std::collections::BTreeMap;

/// `largest`: pixels of the largest image of the network, were nothing cut.
pub(super) fn lower(
    Draft { graph, whole, spaces }: &Draft,
    layout: &Layout,
    timesteps: &[usize],
    doors: &Doors,
    largest: usize,
    program: &mut Builder,
) -> Result<()> {
    let slots = liveness::assign(graph, layout, spaces, program);
    let slot = |(i, (&bytes, &space))| {
        program.go_to(space);
        program.buffer(format!("slot {i}"), bytes, Role::Scratch)
    };
    let buffers: Vec<BufferId> = slots.bytes.iter().zip(&slots.spaces).enumerate().map(slot).collect();
    // Conditions of a timestep lie side by side.
    let conditions = graph.rows.conditions();
    let mut rows: Vec<Vec<Vec<f64>>> = vec![Vec::with_capacity(timesteps.len() * conditions); graph.rows.len()];
    for (&k, condition) in timesteps.iter().flat_map(|k| (0..conditions).map(move |condition| (k, condition))) {
        rows.iter_mut().zip(graph.rows_at(k, condition)?).for_each(|(table, row)| table.push(row));
    }
    if program.target().family == KernelFamily::Cpu {
        // `quotient` of shaders/lib/cpu.wgsl: pixels of all lanes stay below 2^23.
        let pixels = graph.nodes.iter().map(|n| n.shape.pixels() as u64).max().unwrap_or(1);
        program.limit_lanes((1 << 23) / pixels);
    }
    let mut shared: BTreeMap<Space, BTreeMap<_, _>> = BTreeMap::new();
    for (i, (node, leaf)) in graph.nodes.iter().zip(&layout.leaves).enumerate() {
        let Some(leaf) = leaf else { continue };
        let lost = || Error::invalid(&node.name, "has no lanes");
        let lanes = *doors.lanes.get(&spaces[i]).ok_or_else(lost)?;
        program.go_to(spaces[i]);
        let buffer = |root: usize| {
            let slot = slots.of_root[root].ok_or_else(|| Error::invalid(&node.name, "has no buffer"))?;
            Ok::<BufferId, Error>(buffers[slot])
        };
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &id in &node.inputs {
            let found = layout.found(graph, id)?;
            let (buffer, stride) = (buffer(found.root)?, layout.strides[found.root]);
            let both = [spaces[i], spaces[found.root]];
            let lanes = both.map(|space| program.lanes_in(space));
            let apart = (both[0] != both[1] && lanes != [1, 1]).then_some(lanes);
            let (segments, slots) = found.readable();
            inputs.push(View { buffer, shape: graph.shape(id), stride, segments, slots, apart });
        }
        let output = Place {
            buffer: match node.op.writes_port() {
                Some(port) => doors.outputs[port],
                None => buffer(leaf.root)?,
            },
            shape: node.shape,
            stride: layout.strides[leaf.root],
            offset: leaf.offset,
            blocks: leaf.blocks,
            slots: leaf.slots.clone(),
        };
        node.op.lower(&mut Lowering {
            program,
            node: &node.name,
            held: graph.held,
            direct: graph.direct,
            largest,
            inputs,
            output,
            whole: whole[i],
            lanes,
            lanes_of: &doors.lanes,
            rows: &rows,
            flat_inputs: &doors.inputs,
            timesteps: timesteps.len() * conditions,
            shared: shared.entry(spaces[i]).or_default(),
        })?;
    }
    Ok(())
}
