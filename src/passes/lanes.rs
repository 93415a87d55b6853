//! Doors between the lanes outside a network, 1 + T + K of every sample in one buffer, and those of its nodes' spaces. In: a draft whose
//! nodes have spaces, its ports. Out: for every space the tables of its lanes and its flat ends, with the copies that fill them
//! and that bring back what was made. Without cotangents there is one space, and the doors are the ports themselves.
use super::{Draft, Ports};
use crate::error::{Error, Result};
use crate::ops::input::Input;
use crate::ops::output::Output;
use crate::program::{Access, BufferId, Builder, Grid, Kernel, LaneRole, Role, Space, Step, named};
use std::collections::BTreeMap;

/// What the ends of a network connect to, space by space.
pub(super) struct Doors {
    /// Per-lane tables (`paths::Lane`).
    pub lanes: BTreeMap<Space, BufferId>,
    /// Flat buffers of the network's inputs, by port.
    pub inputs: Vec<BufferId>,
    /// Flat buffers of its outputs, by port.
    pub outputs: Vec<BufferId>,
    /// The space of each output.
    leaving: Vec<Space>,
}

/// Bytes of four words.
const FOUR: u64 = 16;

impl Doors {
    /// The doors of a network, and the steps that bring in what it reads.
    pub fn open(draft: &Draft, ports: &Ports, program: &mut Builder) -> Result<Self> {
        if program.cotangents() == 0 {
            let lanes = BTreeMap::from([(Space::Whole, ports.lanes)]);
            return Ok(Self { lanes, inputs: ports.inputs.clone(), outputs: ports.outputs.clone(), leaving: vec![] });
        }
        let (&[outside], [_]) = (&ports.inputs[..], &ports.outputs[..]) else {
            return Err(Error::invalid("ports", "of a network with cotangents: expected one buffer in and one out"));
        };
        let mut doors = Self { lanes: BTreeMap::new(), inputs: vec![], outputs: vec![], leaving: vec![] };
        for &space in &draft.spaces {
            doors.lanes.entry(space).or_insert_with(|| {
                let bytes = program.bytes_per_lane(ports.lanes);
                program.go_to(space);
                let own = program.buffer(format!("lanes, {space:?}"), bytes, Role::Scratch);
                copy(program, space, (ports.lanes, own), bytes / FOUR, false);
                own
            });
        }
        // Ports come in order: nodes were made so.
        for (node, &space) in draft.graph.nodes.iter().zip(&draft.spaces) {
            let bytes = 4 * node.shape.flat_stride() as u64;
            if node.op.downcast::<Input>().is_some() {
                program.go_to(space);
                let own = program.buffer(format!("flat {}", node.name), bytes, Role::Scratch);
                copy(program, space, (outside, own), bytes / FOUR, false);
                doors.inputs.push(own);
            } else if node.op.downcast::<Output>().is_some() {
                program.go_to(space);
                doors.outputs.push(program.buffer(format!("flat {}", node.name), bytes, Role::Scratch));
                doors.leaving.push(space);
            }
        }
        Ok(doors)
    }

    /// The steps that bring out what was made.
    pub fn close(&self, ports: &Ports, program: &mut Builder) {
        for (&own, &space) in self.outputs.iter().zip(&self.leaving) {
            program.go_to(space);
            copy(program, space, (own, ports.outputs[0]), program.bytes_per_lane(own) / FOUR, true);
        }
        program.go_to(Space::Whole);
    }
}

/// Copies so many times four words of every lane between a buffer outside and one of a space.
fn copy(program: &mut Builder, space: Space, (from, to): (BufferId, BufferId), words: u64, into: bool) {
    let strides = [from, to].map(|id| (program.bytes_per_lane(id) / FOUR) as u32);
    let first = if space == Space::Reverse { program.lanes_in(Space::Forward) } else { 0 };
    let own = [program.lanes_in(space), program.lanes_in(Space::Whole), first];
    let [x, y] = strides;
    let sizes = named(["words", "in_stride", "out_stride"], [words as u32, x, y]);
    program.push(Step {
        label: format!("lanes: {space:?}"),
        op: "lanes",
        kernel: Kernel { shader: "relane", constants: vec![("INTO", i64::from(into))] },
        bindings: vec![("x", from, Access::Read), ("y", to, Access::Write)],
        role: LaneRole::All,
        immediates: sizes.into_iter().chain(named(["own", "group", "first"], own)).collect(),
        grid: Grid { items: words as u32, workgroup: 256, groups: 1 },
        flops: 0,
        bytes: 2 * FOUR * words,
    });
}
