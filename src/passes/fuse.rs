//! Fusion: two ops that follow each other become one that a kernel makes as a whole (`passes::fused`), so that what is between them
//! is neither written nor read. In: a graph. Out: the same function with fewer nodes. `RULES` says which ops join; the pass sees
//! to it that nobody else reads what is no longer written, and that no step binds more buffers than every adapter can.
use super::Setting;
use super::fused::{
    Across, Doubling, Filled, Fused, FusedAddRow, FusedConv, FusedDepthwise, FusedNorm, Prologue, Room, Times, UpConv,
};
use super::simplify::compact;
use super::spaces::reverse_begins;
use super::views::sources_of;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::add::Add;
use crate::ops::add_row::AddRow;
use crate::ops::combine::Combine;
use crate::ops::conv::{Conv, Epilogue, Padding, TimeRow};
use crate::ops::curve::Curve;
use crate::ops::depthwise::Depthwise;
use crate::ops::group_norm::GroupNorm;
use crate::ops::modulate::Modulate;
use crate::ops::pointwise::Pointwise;
use crate::ops::resample::Resample;
use crate::ops::scale::Scale;
use crate::ops::silu::Silu;
use crate::ops::slope::Slope;
use crate::target::KernelFamily;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Two ops become one.
pub struct Rule {
    /// What follows what.
    pub name: &'static str,
    joins: Joins,
    /// The op that both are; none if they are other ops, or no kernel makes it, or it does not pay.
    make: fn(&Pair) -> Option<Arc<dyn Fused>>,
}

/// Which of both makes way.
#[derive(Clone, Copy, PartialEq)]
enum Joins {
    /// The next one: every op that writes some of its input does it on the store.
    Stores,
    /// A sum: the later of the two ops that it adds does it on the store.
    Sum,
    /// The first one: the next does it as it loads its first input.
    Load,
    /// SiLU, and its slope in the reverse sweep: the op before it leaves both.
    Kept,
    /// A product of the reverse sweep: the op that makes its first factor does it on the store.
    Factor,
}

/// Two ops of which the next reads what the first writes.
struct Pair<'a> {
    first: &'a dyn Op,
    next: &'a dyn Op,
    /// Which of the next one's inputs that is.
    input: usize,
    /// Where each channel of the first is among those of that input; none if one is not there, or twice.
    channels: Option<Arc<[usize]>>,
    setting: Setting<'a>,
}

/// Every fusion there is.
pub const RULES: &[Rule] = &[
    Rule {
        name: "convolution, SiLU",
        joins: Joins::Stores,
        make: |pair| {
            pair.next.downcast::<Silu>()?;
            ended(pair.first, Epilogue::then_silu)
        },
    },
    Rule {
        name: "convolution, SiLU and its slope",
        joins: Joins::Kept,
        make: |pair| {
            pair.next.downcast::<Silu>()?;
            pair.first.downcast::<UpConv>().is_none().then_some(())?;
            ended(pair.first, Epilogue::then_kept)
        },
    },
    Rule {
        name: "depthwise convolution, product",
        joins: Joins::Factor,
        make: |pair| {
            let depthwise = pair.first.downcast::<Depthwise>()?.clone();
            Some(Arc::new(FusedDepthwise { depthwise }))
        },
    },
    Rule {
        name: "convolution, time row",
        joins: Joins::Stores,
        make: |pair| {
            let &AddRow { table, .. } = pair.next.downcast()?;
            let entries = pair.channels.clone()?;
            ended(pair.first, |epilogue| epilogue.then_row(TimeRow { table, entries }))
        },
    },
    Rule {
        name: "convolution, function",
        joins: Joins::Stores,
        make: |pair| {
            // Slopes at the primal's sums are what no tangent's thread has.
            let curve = *pair.next.downcast::<Pointwise>().filter(|_| pair.setting.tangents == 0)?;
            ended(pair.first, |epilogue| epilogue.then_curve(curve))
        },
    },
    Rule {
        name: "layer over pixels, function",
        joins: Joins::Stores,
        make: |pair| {
            let curve = *pair.next.downcast::<Pointwise>().filter(|_| pair.setting.tangents == 0)?;
            Some(Arc::new(pair.first.downcast::<Across>()?.then_curve(curve)?))
        },
    },
    Rule {
        name: "convolution, gain",
        joins: Joins::Stores,
        make: |pair| {
            let Modulate { scale: Scale::Rows { gain: table, shift: None }, .. } = *pair.next.downcast()? else {
                return None;
            };
            let entries = pair.channels.clone()?;
            ended(pair.first, |epilogue| epilogue.then_gain(TimeRow { table, entries }))
        },
    },
    Rule {
        name: "convolution, sum",
        joins: Joins::Sum,
        make: |pair| {
            let Add { scales } = pair.next.downcast()?;
            let scales = [scales[pair.input], scales[1 - pair.input]];
            ended(pair.first, |epilogue| epilogue.then_residual(scales))
        },
    },
    Rule {
        name: "norm, SiLU",
        joins: Joins::Stores,
        make: |pair| {
            pair.next.downcast::<Silu>()?;
            let norm = pair.first.downcast::<GroupNorm>()?.clone();
            Some(Arc::new(FusedNorm { silu: true, ..FusedNorm::of(norm) }))
        },
    },
    Rule {
        name: "time row, SiLU",
        joins: Joins::Stores,
        make: |pair| {
            pair.next.downcast::<Silu>()?;
            Some(Arc::new(FusedAddRow { row: pair.first.downcast::<AddRow>()?.clone() }))
        },
    },
    Rule {
        name: "image of twice the size, convolution",
        joins: Joins::Load,
        make: |pair| {
            let doubled = pair.first.downcast::<Resample>()?;
            let doublings = [(Resample::nearest(), Doubling::Repeated), (Resample::zeros(), Doubling::Spread)];
            let (_, doubling) = doublings.into_iter().find(|(op, _)| op == doubled)?;
            Some(Arc::new(UpConv::of(pair.next.downcast::<Conv>()?, doubling, pair.setting.held)?))
        },
    },
    Rule {
        name: "depthwise convolution, 1x1",
        joins: Joins::Load,
        make: |pair| {
            let depthwise = pair.first.downcast::<Depthwise>()?.clone();
            let conv = pair.next.downcast::<Conv>().filter(|conv| conv.kernel == 1)?;
            begun(conv, Prologue::Depthwise(depthwise), pair.setting)
        },
    },
    Rule {
        name: "norm, convolution",
        joins: Joins::Load,
        make: |pair| {
            let norm = pair.first.downcast::<GroupNorm>().map(|norm| FusedNorm::of(norm.clone()));
            let norm = norm.or_else(|| pair.first.downcast::<FusedNorm>().cloned())?;
            // Tangents share factors that a kernel of its own makes once.
            let conv = pair.next.downcast::<Conv>().filter(|_| pair.setting.tangents == 0)?;
            begun(conv, Prologue::Norm(norm), pair.setting)
        },
    },
];

/// A convolution with a longer epilogue.
fn ended(op: &dyn Op, longer: impl FnOnce(&Epilogue) -> Option<Epilogue>) -> Option<Arc<dyn Fused>> {
    if let Some(op) = op.downcast::<UpConv>() {
        return Some(Arc::new(op.with(longer(&op.epilogue)?)));
    }
    let plain = op.downcast::<Conv>().map(|conv| FusedConv::of(conv.clone()));
    let op = plain.or_else(|| op.downcast::<FusedConv>().cloned())?;
    Some(Arc::new(FusedConv { epilogue: longer(&op.epilogue)?, ..op }))
}

/// A convolution with a prologue, which kernels for GPUs can do where the output is as large as the input.
fn begun(conv: &Conv, prologue: Prologue, setting: Setting) -> Option<Arc<dyn Fused>> {
    let Padding { rows, columns } = conv.padding;
    let same = [rows, columns].iter().all(|p| p[0] + p[1] + 1 == conv.kernel);
    let can = setting.target.family == KernelFamily::Gpu && conv.stride == 1 && same;
    can.then(|| Arc::new(FusedConv { prologue: Some(prologue), ..FusedConv::of(conv.clone()) }) as _)
}

/// The fused graph as it grows.
struct Fusion<'a> {
    setting: Setting<'a>,
    /// Nodes that others have taken in are none.
    nodes: Vec<Option<Node>>,
    /// For every channel of every node, the kernel-written tensor and channel that it is.
    sources: Vec<Vec<(usize, usize)>>,
    /// The node of the original graph whose value each node is.
    is: Vec<usize>,
    /// How many kernels read each value of the original graph, through whatever rearrangement.
    kernels: Vec<usize>,
    /// How many nodes name each node of the original graph as an input.
    named: Vec<usize>,
    /// Names of rules, in order.
    applied: Vec<&'static str>,
    /// Where the reverse sweep begins in the original graph.
    reverse: usize,
    /// In the reverse sweep, the slopes of SiLU at what only they and one SiLU read, by the node that makes that.
    slopes: BTreeMap<usize, usize>,
    /// What those slopes are, where they are kept.
    kept: BTreeMap<usize, NodeId>,
}

/// The same network with fewer nodes, and the names of the rules by which, in order.
pub(super) fn fuse(graph: &Graph, setting: Setting) -> (Graph, Vec<&'static str>) {
    let mut original: Vec<Vec<(usize, usize)>> = Vec::with_capacity(graph.nodes.len());
    let (mut kernels, mut named) = (vec![0; graph.nodes.len()], vec![0; graph.nodes.len()]);
    let read = |kernels: &mut Vec<usize>, sources: &[&Vec<(usize, usize)>]| {
        let leaves: BTreeSet<usize> = sources.iter().flat_map(|s| s.iter().map(|(leaf, _)| *leaf)).collect();
        leaves.into_iter().for_each(|leaf| kernels[leaf] += 1);
    };
    for (i, node) in graph.nodes.iter().enumerate() {
        original.push(sources_of(node, i, &original));
        node.inputs.iter().for_each(|id| named[id.0] += 1);
        if original[i].iter().any(|(leaf, _)| *leaf == i) {
            read(&mut kernels, &node.inputs.iter().map(|id| &original[id.0]).collect::<Vec<_>>());
        }
    }
    // Whoever is outside reads each output.
    for (_, id) in &graph.outputs {
        named[id.0] += 1;
        read(&mut kernels, &[&original[id.0]]);
    }

    let reverse = if setting.reverse { reverse_begins(graph) } else { graph.nodes.len() };
    let slopes = graph.nodes.iter().enumerate().skip(reverse).filter_map(|(i, node)| {
        let of = node.inputs.first().filter(|of| named[of.0] == 2 && kernels[of.0] == 2)?;
        let silu = node.op.downcast::<Slope>().is_some_and(|slope| slope.of == Curve::Silu);
        silu.then_some((of.0, i))
    });
    let slopes = slopes.collect();
    let mut fused = Fusion {
        setting,
        nodes: vec![],
        sources: vec![],
        is: vec![],
        kernels,
        named,
        applied: vec![],
        reverse,
        slopes,
        kept: BTreeMap::new(),
    };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|id| renamed[id.0]).collect();
        renamed.push(fused.add(i, Node { inputs, ..node.clone() }));
    }
    let moved = |ends: &[(String, NodeId)]| ends.iter().map(|(name, id)| (name.clone(), renamed[id.0])).collect();
    let ends = Graph { nodes: vec![], inputs: moved(&graph.inputs), outputs: moved(&graph.outputs), ..graph.clone() };
    (compact(&ends, fused.nodes), fused.applied)
}

impl Fusion<'_> {
    /// The node that has the value of the original node `i`, which is `node` if nothing can take it in.
    fn add(&mut self, i: usize, node: Node) -> NodeId {
        if let Some(kept) = self.kept.get(&i) {
            return *kept;
        }
        let taken = self.stores(i, &node).or_else(|| self.sum(i, &node));
        let taken = taken.or_else(|| self.keep(i, &node)).or_else(|| self.factor(i, &node));
        if let Some(taken) = taken {
            return taken;
        }
        let node = self.load(&node).unwrap_or(node);
        self.push(i, node)
    }

    fn push(&mut self, i: usize, node: Node) -> NodeId {
        let sources = sources_of(&node, self.nodes.len(), &self.sources);
        self.sources.push(sources);
        self.nodes.push(Some(node));
        self.is.push(i);
        NodeId(self.nodes.len() - 1)
    }

    /// A node whose value only one other asks for, by its own name.
    fn only(&self, id: NodeId) -> Option<&Node> {
        self.nodes[id.0].as_ref().filter(|_| self.named[self.is[id.0]] == 1)
    }

    /// What a rule makes of a pair, if its steps bind no more than every adapter can; and the rule's name.
    fn joined(&self, joins: Joins, pair: &Pair) -> Option<(&'static str, Arc<dyn Op>)> {
        let mut rules = RULES.iter().filter(|rule| rule.joins == joins);
        let (name, op) = rules.find_map(|rule| Some((rule.name, (rule.make)(pair)?)))?;
        (op.storage_buffers(self.setting.tangents > 0) <= self.setting.target.storage_buffers)
            .then_some((name, op as _))
    }

    /// A node that all that write its input do on their stores, if nobody else reads those.
    fn stores(&mut self, i: usize, node: &Node) -> Option<NodeId> {
        let &[x] = &node.inputs[..] else { return None };
        let channels = &self.sources[x.0];
        let leaves: BTreeSet<usize> = channels.iter().map(|(leaf, _)| *leaf).collect();
        let mut ops = Vec::with_capacity(leaves.len());
        for &leaf in &leaves {
            let writer = self.nodes[leaf].as_ref().filter(|_| self.kernels[self.is[leaf]] == 1)?;
            let once = |c| {
                let mut places = channels.iter().enumerate().filter(|(_, source)| **source == (leaf, c));
                places.next().filter(|_| places.next().is_none()).map(|(place, _)| place)
            };
            let channels = (0..writer.shape.c).map(once).collect();
            let pair = Pair { first: &*writer.op, next: &*node.op, input: 0, channels, setting: self.setting };
            ops.push((leaf, self.joined(Joins::Stores, &pair)?));
        }
        for (leaf, (name, op)) in ops {
            self.nodes[leaf].as_mut()?.op = op;
            self.is[leaf] = i;
            self.applied.push(name);
        }
        self.is[x.0] = i;
        Some(x)
    }

    /// A sum, made by the later of the two that it adds, if that can.
    fn sum(&mut self, i: usize, sum: &Node) -> Option<NodeId> {
        let &[a, b] = &sum.inputs[..] else { return None };
        let mut sides = [(a, b, 0), (b, a, 1)];
        sides.sort_by_key(|(own, ..)| std::cmp::Reverse(*own));
        let (own, name, node) = sides.into_iter().find_map(|(own, other, input)| {
            let node = self.only(own)?;
            let pair = Pair { first: &*node.op, next: &*sum.op, input, channels: None, setting: self.setting };
            let (name, op) = self.joined(Joins::Sum, &pair)?;
            let inputs = node.inputs.iter().copied().chain([other]).collect();
            Some((own, name, Node { name: node.name.clone(), op, inputs, shape: sum.shape }))
        })?;
        self.nodes[own.0] = None;
        self.applied.push(name);
        Some(self.push(i, node))
    }

    /// SiLU, by the op that makes what it reads, which leaves its slopes too where the reverse sweep reads them.
    fn keep(&mut self, i: usize, node: &Node) -> Option<NodeId> {
        let &[x] = &node.inputs[..] else { return None };
        let &slopes = self.slopes.get(&self.is[x.0]).filter(|_| self.setting.kept)?;
        let before = self.nodes[x.0].as_ref()?;
        let pair = Pair { first: &*before.op, next: &*node.op, input: 0, channels: None, setting: self.setting };
        let (name, op) = self.joined(Joins::Kept, &pair)?;
        let plain = before.op.downcast::<Conv>().map(|conv| FusedConv::of(conv.clone()));
        let of = plain.or_else(|| before.op.downcast::<FusedConv>().cloned())?;
        let before = self.nodes[x.0].take()?;
        let named = |what: &str| format!("{}.{what}", before.name);
        let (inputs, shape) = (before.inputs.clone(), before.shape);
        let room = Node { name: named("slopes"), op: Arc::new(Room { of }), inputs: inputs.clone(), shape };
        let room = self.push(slopes, room);
        let inputs = inputs.into_iter().chain([room]).collect();
        let made = self.push(i, Node { name: before.name.clone(), op, inputs, shape });
        let filled = Arc::new(Filled::of(shape.c));
        let filled = Node { name: named("slopes kept"), op: filled, inputs: vec![room, made], shape };
        let filled = self.push(slopes, filled);
        self.kept.insert(slopes, filled);
        self.applied.push(name);
        Some(made)
    }

    /// A product of the reverse sweep, by the op that makes its first factor, or of a first factor that lies anywhere.
    fn factor(&mut self, i: usize, product: &Node) -> Option<NodeId> {
        let &[a, b] = &product.inputs[..] else { return None };
        let whole = self.nodes[b.0].as_ref().is_some_and(|z| z.shape == product.shape);
        if i < self.reverse || product.op.downcast::<Combine>() != Some(&Combine::Product) || !whole {
            return None;
        }
        if let Some(node) = self.only(a).filter(|_| self.is[a.0] > self.reverse) {
            let pair = Pair { first: &*node.op, next: &*product.op, input: 0, channels: None, setting: self.setting };
            if let Some((name, op)) = self.joined(Joins::Factor, &pair) {
                let inputs = node.inputs.iter().copied().chain([b]).collect();
                let node = Node { name: product.name.clone(), op, inputs, shape: product.shape };
                self.nodes[a.0] = None;
                self.applied.push(name);
                return Some(self.push(i, node));
            }
        }
        // Blocks that lie together are read as they are.
        let apart = |block: &[(usize, usize)]| {
            let (leaf, first) = block[0];
            first % 4 != 0 || !block.iter().enumerate().all(|(c, at)| *at == (leaf, first + c))
        };
        self.sources[a.0].chunks(4).any(apart).then(|| self.push(i, Node { op: Arc::new(Times), ..product.clone() }))
    }

    /// The node with what makes its first input in it, if nobody else asks for that.
    fn load(&mut self, node: &Node) -> Option<Node> {
        let &first = node.inputs.first()?;
        let producer = self.only(first)?;
        let pair = Pair { first: &*producer.op, next: &*node.op, input: 0, channels: None, setting: self.setting };
        let (name, op) = self.joined(Joins::Load, &pair)?;
        let inputs = producer.inputs.iter().chain(&node.inputs[1..]).copied().collect();
        self.nodes[first.0] = None;
        self.applied.push(name);
        Some(Node { op, inputs, ..node.clone() })
    }
}
