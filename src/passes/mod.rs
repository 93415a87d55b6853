//! Graph to program, pass by pass, each a file: attention in one op, simplify, fuse, put channels where kernels read them (layout), cut into bands
//! what no buffer holds, share buffers by liveness, lower. Plain data in and out, no GPU.
//! In: a `Graph` and the timesteps of the run. Out: steps appended to a `Builder`, which knows the target, reading and writing flat buffers.
mod across;
pub mod adjoint;
mod apart;
mod attention;
mod band;
mod banded;
mod fuse;
mod fused;
mod lanes;
mod layout;
mod liveness;
mod lower;
mod parts;
mod recompute;
mod simplify;
mod slopes;
mod spaces;
mod views;

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::output::Output;
use crate::ops::weight_format::WeightFormat;
use crate::paths::Lane;
use crate::program::{BufferId, Builder, IMAGE_ROW, Program, Role, SPARE, Space};
use crate::shape::Shape;
use crate::target::{KernelFamily, Target};
use std::borrow::Cow;

pub use fuse::{RULES, Rule};
pub use fused::FUSED;

/// What a network's plan connects to.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Flat `[lane][D]` buffers of its inputs, in the order of `Graph::inputs`.
    pub inputs: Vec<BufferId>,
    /// Flat buffers of its outputs, in the order of `Graph::outputs`.
    pub outputs: Vec<BufferId>,
    /// Per-lane table (`paths::Lane`).
    pub lanes: BufferId,
}

impl Ports {
    /// Of a network with one input and one output.
    pub fn one(input: BufferId, output: BufferId, lanes: BufferId) -> Self {
        Self { inputs: vec![input], outputs: vec![output], lanes }
    }

    /// Refuses a network of other ends.
    fn fit(&self, graph: &Graph) -> Result<()> {
        let ends = [("inputs", &self.inputs, &graph.inputs), ("outputs", &self.outputs, &graph.outputs)];
        for (what, buffers, ends) in ends {
            if buffers.len() != ends.len() {
                let message = format!("found {} buffers, the network has {} {what}", buffers.len(), ends.len());
                return Err(Error::invalid("ports", message));
            }
        }
        match graph.outputs.is_empty() {
            true => Err(Error::invalid("network", "has no output")),
            false => Ok(()),
        }
    }
}

/// What a network is fused for.
#[derive(Clone, Copy)]
struct Setting<'a> {
    target: &'a Target,
    /// K
    tangents: u32,
    /// How the device holds weights.
    held: WeightFormat,
    /// Whether it is an adjoint graph, whose reverse sweep has lanes of its own.
    reverse: bool,
    /// Whether slopes are kept where values are stored; not in bands of rows, each of which would need room of its own.
    kept: bool,
}

/// A network between passes.
struct Draft {
    graph: Graph,
    /// `[C, H, W]` of every node's output before it was cut into bands of rows.
    whole: Vec<Shape>,
    /// Which lanes every node has.
    spaces: Vec<Space>,
}

impl Draft {
    /// Of a network that is not cut. From here on its ends are nodes like others.
    fn of(mut graph: Graph) -> Result<Self> {
        graph.inputs.clear();
        for (port, (name, id)) in std::mem::take(&mut graph.outputs).into_iter().enumerate() {
            graph.push(name, Output { port }, &[id])?;
        }
        let whole = graph.nodes.iter().map(|node| node.shape).collect();
        let spaces = vec![Space::Whole; graph.nodes.len()];
        Ok(Self { graph, whole, spaces })
    }

    fn push(&mut self, node: Node, whole: Shape, space: Space) -> NodeId {
        self.graph.nodes.push(node);
        self.whole.push(whole);
        self.spaces.push(space);
        NodeId(self.graph.nodes.len() - 1)
    }
}

/// The network that is planned for a target and K tangents, its ops fused, and the names of the rules by which, in order (`RULES`).
///
/// # Errors
/// An op whose parts do not fit together.
pub fn fused(graph: &Graph, target: &Target, tangents: u32) -> Result<(Graph, Vec<&'static str>)> {
    let setting = Setting { target, tangents, held: graph.held, reverse: false, kept: false };
    let graph = plain(&*attention::attention(graph, target)?, tangents)?;
    // Kernels of GPUs lay pixels and channels out in workgroup memory anyway: a layer over pixels has none of its own there.
    let graph = if target.family == KernelFamily::Cpu { across::across(&graph)? } else { Cow::Borrowed(&graph) };
    Ok(fuse::fuse(&graph, setting))
}

/// The graph as it is fused, of ops that all have tangents where there are some.
fn plain(graph: &Graph, tangents: u32) -> Result<Graph> {
    Ok(if tangents > 0 { simplify::simplify(&*parts::parts(graph)?) } else { simplify::simplify(graph) })
}

/// The same of an adjoint graph (`adjoint`).
pub fn fused_both(adjoint: &Graph, target: &Target, tangents: u32) -> (Graph, Vec<&'static str>) {
    // What is kept with the values could not be made a second time alone.
    fused_keeping(adjoint, target, tangents, target.saved == 0)
}

/// The same; `kept`: whether slopes are kept where values are stored.
fn fused_keeping(adjoint: &Graph, target: &Target, tangents: u32, kept: bool) -> (Graph, Vec<&'static str>) {
    let setting = Setting { target, tangents, held: adjoint.held, reverse: true, kept };
    let graph = simplify::simplify(adjoint);
    fuse::fuse(&if kept { graph } else { slopes::found_again(&graph) }, setting)
}

/// Appends the network's steps, for the program's tangents too, fused. `timesteps` are the distinct timesteps of the run; a
/// lane's `row` indexes them.
pub fn lower(graph: &Graph, timesteps: &[usize], ports: &Ports, program: &mut Builder) -> Result<()> {
    if program.cotangents() > 0 {
        let graph = attention::attention(graph, program.target())?;
        return both(&adjoint::adjoint(&graph)?, timesteps, ports, program);
    }
    let (graph, _) = fused(graph, program.target(), program.tangents())?;
    steps(graph, timesteps, ports, program)
}

/// The steps of an adjoint graph (`adjoint`), for samples with cotangents: a sample's lanes hold x, its tangents v, its
/// cotangents u in the one buffer of `ports`, and y, J v, J'u in the other.
pub fn both(adjoint: &Graph, timesteps: &[usize], ports: &Ports, program: &mut Builder) -> Result<()> {
    let tangents = program.lanes_in(Space::Forward) - 1;
    let (mut graph, _) = fused_both(adjoint, program.target(), tangents);
    if let Some(budget) = program.budget()
        && views::Layout::of(&graph)?.bytes(&graph).iter().any(|bytes| *bytes > budget)
    {
        graph = fused_keeping(adjoint, program.target(), tangents, false).0;
    }
    steps(graph, timesteps, ports, program)
}

/// The same, node by node: what fusion is compared with.
pub fn lower_as_is(graph: &Graph, timesteps: &[usize], ports: &Ports, program: &mut Builder) -> Result<()> {
    match program.cotangents() {
        0 => steps(plain(graph, program.tangents())?, timesteps, ports, program),
        _ => steps(simplify::simplify(&adjoint::adjoint(graph)?), timesteps, ports, program),
    }
}

/// How a network's steps are appended to a program: `lower` or `lower_as_is`.
pub type Append = fn(&Graph, &[usize], &Ports, &mut Builder) -> Result<()>;

/// A program of one network with one input and one output and nothing else, for one timestep, over buffers of its own.
pub fn alone(graph: &Graph, mut program: Builder, append: Append) -> Result<(Program, Ports)> {
    let mut flat = graph.end_shapes()?.map(|shape| 4 * shape.flat_stride() as u64);
    if program.cotangents() > 0 {
        // Lanes of cotangents hold an output and make an input.
        flat = [flat[0].max(flat[1]); 2];
    }
    let ports = Ports::one(
        program.buffer("input", flat[0], Role::Upload),
        program.buffer("output", flat[1], Role::Download),
        program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
    );
    append(graph, &[0], &ports, &mut program)?;
    Ok((program.finish()?, ports))
}

fn steps(graph: Graph, timesteps: &[usize], ports: &Ports, program: &mut Builder) -> Result<()> {
    let mut draft = match program.cotangents() {
        0 => {
            ports.fit(&graph)?;
            Draft::of(graph)?
        }
        _ => kept(Draft::of(graph)?, program)?,
    };
    let doors = lanes::Doors::open(&draft, ports, program)?;
    let largest = draft.graph.nodes.iter().map(|n| n.shape.pixels()).max().unwrap_or(1);
    let mut layout;
    (draft, layout) = layout::layout(draft)?;
    if let Some(budget) = program.budget()
        && let Some(cut) = band::band(&draft, &layout.bytes(&draft.graph), budget)?
    {
        (draft, layout) = layout::layout(cut)?;
        let bytes = layout.bytes(&draft.graph);
        if let Some((node, bytes)) = draft.graph.nodes.iter().zip(bytes).find(|(_, bytes)| *bytes > budget) {
            let message =
                format!("{} ({}) takes {bytes} bytes per lane, a buffer may have {budget}", node.shape, node.name);
            return Err(Error::OutOfMemory { place: "plan".into(), message });
        }
    }
    lower::lower(&draft, &layout, timesteps, &doors, largest, program)?;
    doors.close(ports, program);
    Ok(())
}

/// The draft of an adjoint graph with the lanes of every node, and with as much made a second time as the target asks for, or as
/// can be.
fn kept(draft: Draft, program: &Builder) -> Result<Draft> {
    let all = spaces::spread(&draft, program)?;
    let saved = program.target().saved;
    if saved == 0 {
        return Ok(all);
    }
    let bytes = |draft: Draft| -> Result<(u64, Draft)> {
        let (draft, layout) = layout::layout(draft)?;
        let slots = liveness::assign(&draft.graph, &layout, &draft.spaces, program);
        // With what the device adds to every buffer and its image.
        let size = |(&bytes, &space): (&u64, &Space)| {
            let lanes = bytes * u64::from(program.lanes_in(space));
            (lanes + bytes.min(SPARE)).next_multiple_of(IMAGE_ROW) + IMAGE_ROW
        };
        Ok((slots.bytes.iter().zip(&slots.spaces).map(size).sum(), draft))
    };
    let mut best = bytes(all)?;
    let enough = best.0.saturating_sub(saved);
    let draft = apart::apart(&draft)?;
    for segments in recompute::SEGMENTS {
        let next = bytes(spaces::spread(&recompute::recompute(&draft, segments), program)?)?;
        if next.0 < best.0 {
            best = next;
        }
        if best.0 <= enough {
            break;
        }
    }
    Ok(best.1)
}
