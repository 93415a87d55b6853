//! Small networks drawn at random from all ops. Values stay of order one: weights are divided by the root of what they sum.
use crate::common::{lookup, noise};
use proptest::prelude::*;
use std::fmt;
use vorticity::dual::Dual;
use vorticity::graph::{Graph, NodeId};
use vorticity::ops::add::Add;
use vorticity::ops::add_row::AddRow;
use vorticity::ops::attention_logits::AttentionLogits;
use vorticity::ops::channels::Channels;
use vorticity::ops::conv::Padding;
use vorticity::ops::depthwise::Depthwise;
use vorticity::ops::group_norm::GroupNorm;
use vorticity::ops::mix::Mix;
use vorticity::ops::outer::Outer;
use vorticity::ops::pointwise::Pointwise;
use vorticity::ops::rms_norm::RmsNorm;
use vorticity::ops::scale::Scale;
use vorticity::ops::upsample::Upsample;
use vorticity::ops::{affine, conv, resample, silu, softmax, softmax_pixels};
use vorticity::shape::Shape;

/// One layer of a network; numbers named x, a, b, q, k, v are layers before it, the first are the inputs.
#[derive(Clone, Debug)]
pub enum Make {
    Conv {
        x: usize,
        out: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        trailing: usize,
    },
    Transposed {
        x: usize,
        out: usize,
        kernel: usize,
    },
    Filter {
        x: usize,
        stride: usize,
    },
    Norm {
        x: usize,
        groups: usize,
        by_row: bool,
    },
    Silu {
        x: usize,
    },
    Point {
        x: usize,
        of: Pointwise,
    },
    Sum {
        a: usize,
        b: usize,
        scales: [f32; 2],
    },
    Row {
        x: usize,
        silu: bool,
    },
    Affine {
        x: usize,
        by_row: bool,
    },
    Concat {
        xs: Vec<usize>,
    },
    Split {
        x: usize,
        first: usize,
        count: usize,
    },
    Shuffle {
        x: usize,
        groups: usize,
    },
    /// The name of one of `resampling`.
    Resample {
        x: usize,
        by: &'static str,
    },
    Softmax {
        x: usize,
        heads: usize,
    },
    SoftmaxPixels {
        x: usize,
    },
    Rms {
        x: usize,
    },
    Attention {
        q: usize,
        k: usize,
        v: usize,
        heads: usize,
    },
    Linear {
        q: usize,
        k: usize,
        v: usize,
        heads: usize,
    },
}
use Make::*;

/// A network of one or two inputs; printed as what makes it again.
#[derive(Clone)]
pub struct Drawn {
    pub shapes: Vec<Shape>,
    /// Behind the inputs.
    pub layers: Vec<Make>,
    /// Layers that are outputs, the last among them; others may read them too.
    pub outputs: Vec<usize>,
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let shapes: Vec<String> =
            self.shapes.iter().map(|Shape { c, h, w }| format!("Shape::new({c}, {h}, {w})")).collect();
        let (shapes, Self { layers, outputs, .. }) = (shapes.join(", "), self);
        write!(f, "Drawn {{ shapes: vec![{shapes}], layers: vec!{layers:?}, outputs: vec!{outputs:?} }}")
    }
}

const RESAMPLING: [&str; 9] = [
    "nearest",
    "fir up",
    "reflected up",
    "bilinear",
    "average",
    "fir down",
    "reflected down",
    "blur",
    "five taps down",
];

const POINTS: [Pointwise; 6] = [
    Pointwise::Gelu,
    Pointwise::Sigmoid,
    Pointwise::Mish,
    Pointwise::Elu([1.0, 1.0]),
    Pointwise::LeakyRelu(0.2),
    Pointwise::Relu,
];

fn resampling(by: &str) -> Option<resample::Resample> {
    Some(match by {
        "nearest" => resample::Resample::nearest(),
        "fir up" => resample::Resample::fir_up(),
        "reflected up" => resample::Resample::reflected_up(),
        "average" => resample::Resample::average(),
        "fir down" => resample::Resample::fir_down(),
        "reflected down" => resample::Resample::reflected_down(),
        "blur" => resample::Resample::blur(&[1.0, 3.0, 3.0, 1.0]).unwrap(),
        "five taps down" => resample::Resample::filter_down(&[1.0, 4.0, 6.0, 4.0, 2.0]).unwrap(),
        _ => return None,
    })
}

/// Numbers of mean square `1 / count`.
fn weights(n: usize, count: usize, seed: u64) -> Vec<f32> {
    let scale = (3.0 / count as f32).sqrt();
    noise(n, seed).into_iter().map(|w| scale * w).collect()
}

struct Builder {
    graph: Graph,
    made: Vec<NodeId>,
}

impl Builder {
    fn new(shapes: &[Shape]) -> Self {
        let mut graph = Graph::default();
        let made = shapes.iter().enumerate().map(|(i, s)| graph.push_input(format!("x{i}"), *s).unwrap()).collect();
        Self { graph, made }
    }

    fn push(&mut self, op: impl vorticity::ops::Op + 'static, inputs: &[NodeId]) -> NodeId {
        let name = format!("n{}", self.graph.nodes.len());
        self.graph.push(name, op, inputs).unwrap()
    }

    fn shape(&self, layer: usize) -> Shape {
        self.graph.shape(self.made[layer])
    }

    fn row(&mut self, width: usize, middle: f32, seed: u64) -> usize {
        let table = noise(5 * width, seed).into_iter().map(|v| middle + 0.5 * v).collect();
        lookup(&mut self.graph, width, table)
    }

    fn conv(&mut self, x: NodeId, out: usize, kernel: usize, stride: usize, padding: Padding, seed: u64) -> NodeId {
        let c = self.graph.shape(x).c;
        let conv = conv::Conv {
            in_channels: c,
            out_channels: out,
            kernel,
            stride,
            padding,
            weight: weights(out * c * kernel * kernel, c * kernel * kernel, seed).into(),
            bias: weights(out, 10, seed + 1).into(),
        };
        self.push(conv, &[x])
    }

    fn layer(&mut self, layer: &Make, seed: u64) -> NodeId {
        let at = |i: &usize| self.made[*i];
        match layer {
            Conv { x, out, kernel, stride, padding, trailing } => {
                self.conv(at(x), *out, *kernel, *stride, Padding::trailing(*padding, *trailing), seed)
            }
            Transposed { x, out, kernel } => {
                let x = self.push(resample::Resample::zeros(), &[at(x)]);
                self.conv(x, *out, *kernel, 1, Padding::trailing(kernel / 2, kernel % 2), seed)
            }
            Filter { x, stride } => {
                let c = self.shape(*x).c;
                let (weight, bias) = (weights(9 * c, 9, seed).into(), weights(c, 10, seed + 1).into());
                let op = Depthwise { channels: c, stride: *stride, padding: Padding::all(1), weight, bias };
                self.push(op, &[at(x)])
            }
            Norm { x, groups, by_row } => {
                let (channels, x) = (self.shape(*x).c, at(x));
                let scale = match by_row {
                    true => Scale::Rows {
                        gain: self.row(channels, 1.0, seed),
                        shift: Some(self.row(channels, 0.0, seed + 1)),
                    },
                    false => {
                        let gain = noise(channels, seed).into_iter().map(|v| 1.0 + 0.5 * v).collect();
                        Scale::Fixed { gain, shift: weights(channels, 10, seed + 1).into() }
                    }
                };
                self.push(GroupNorm { channels, groups: *groups, epsilon: 1e-5, scale }, &[x])
            }
            Silu { x } => self.push(silu::Silu, &[at(x)]),
            Point { x, of } => self.push(*of, &[at(x)]),
            Sum { a, b, scales } => self.push(Add { scales: scales.map(f64::from) }, &[at(a), at(b)]),
            Row { x, silu } => {
                let (x, width) = (at(x), self.shape(*x).c);
                let table = self.row(width, 0.0, seed);
                let y = self.push(AddRow { table, width }, &[x]);
                if *silu { self.push(silu::Silu, &[y]) } else { y }
            }
            Affine { x, by_row } => {
                let x = at(x);
                let table = by_row.then(|| self.row(1, 1.0, seed));
                self.push(affine::Affine { gain: 0.75, table, shift: 0.25 }, &[x])
            }
            Concat { xs } => {
                let channels: Vec<usize> = xs.iter().map(|x| self.shape(*x).c).collect();
                let xs: Vec<NodeId> = xs.iter().map(at).collect();
                self.push(Channels::concat(&channels), &xs)
            }
            Split { x, first, count } => self.push(Channels::range(*first, *count), &[at(x)]),
            Shuffle { x, groups } => self.push(Channels::shuffle(self.shape(*x).c, *groups).unwrap(), &[at(x)]),
            Resample { x, by } => match resampling(by) {
                Some(op) => self.push(op, &[at(x)]),
                None => self.push(Upsample::default(), &[at(x)]),
            },
            Softmax { x, heads } => self.push(softmax::Softmax { heads: *heads, scale: 1.5 }, &[at(x)]),
            SoftmaxPixels { x } => self.push(softmax_pixels::SoftmaxPixels, &[at(x)]),
            Rms { x } => {
                let gain = noise(self.shape(*x).c, seed).into_iter().map(|v| 1.5 + f64::from(v)).collect();
                self.push(RmsNorm { gain }, &[at(x)])
            }
            Attention { q, k, v, heads } => {
                let (q, k, v, heads) = (at(q), at(k), at(v), *heads);
                let scale = ((self.graph.shape(q).c / heads) as f32).sqrt().recip();
                let logits = self.push(AttentionLogits { heads, scale: f64::from(scale) }, &[q, k]);
                let p = self.push(softmax::Softmax { heads, scale: 1.0 }, &[logits]);
                self.push(Mix { heads, by_row: false }, &[p, v])
            }
            Linear { q, k, v, heads } => {
                let (q, k, v, heads) = (at(q), at(k), at(v), *heads);
                let q = self.push(softmax::Softmax { heads, scale: 1.0 }, &[q]);
                let k = self.push(softmax_pixels::SoftmaxPixels, &[k]);
                let context = self.push(Outer { heads }, &[k, v]);
                self.push(Mix { heads, by_row: true }, &[q, context])
            }
        }
    }

    fn add(&mut self, layer: &Make) {
        let made = self.layer(layer, 10 * self.made.len() as u64);
        self.made.push(made);
    }
}

impl Drawn {
    /// The network.
    pub fn build(&self) -> Graph {
        let mut b = Builder::new(&self.shapes);
        self.layers.iter().for_each(|layer| b.add(layer));
        self.outputs.iter().enumerate().for_each(|(i, &at)| b.graph.output(format!("y{i}"), b.made[at]).unwrap());
        b.graph
    }
}

/// Numbers that decide on one layer.
type Code = (u8, [u16; 5]);

/// Most channels and pixels along an axis that a layer makes.
const MOST: (usize, usize) = (40, 16);

/// The layer that a code means behind those there are, or none where its inputs do not fit.
fn decode(b: &Builder, (kind, n): Code) -> Option<Make> {
    let count = b.made.len();
    // Half of all layers read the last one.
    let any = |n: u16| if n.is_multiple_of(2) { count - 1 } else { n as usize / 2 % count };
    let pick = |n: u16, from: &[usize]| from[n as usize % from.len()];
    let x = any(n[0]);
    let s = b.shape(x);
    // Another layer like x as far as `like` says; or x itself.
    let beside = |n: u16, like: &dyn Fn(Shape) -> bool| {
        let all: Vec<usize> = (0..count).filter(|&i| like(b.shape(i))).collect();
        all[n as usize % all.len()]
    };
    let divisor = |c: usize, n: u16| {
        let all: Vec<usize> = (1..=c).filter(|d| c.is_multiple_of(*d)).collect();
        all[n as usize % all.len()]
    };
    let same = |n: u16| beside(n, &|z| z == s);
    let twice = 2 * s.h.max(s.w) <= MOST.1;
    let (out, scales) = (pick(n[1], &[4, 8, 3, 6, 12, 5, 16, 7, 1, 33]), [[1.0, 1.0], [0.7, -0.7], [0.5, 1.25]]);
    Some(match kind % 32 {
        0..=3 => {
            let kernel = pick(n[2], &[3, 1, 1, 3, 2, 4, 5]);
            let stride = pick(n[3], &[1, 1, 1, 2]);
            let padding = pick(n[4], &[(kernel - 1) / 2, (kernel - 1) / 2, kernel / 2, 0]);
            let trailing = pick(n[4] / 8, &[0, 0, 0, 1]);
            let fits =
                s.h.min(s.w) + 2 * padding + trailing >= kernel && s.h.max(s.w) + 2 * padding + trailing < MOST.1 + 2;
            fits.then_some(Conv { x, out, kernel, stride, padding, trailing })?
        }
        4 if twice => Transposed { x, out, kernel: pick(n[2], &[4, 2, 3]) },
        5 | 6 => Filter { x, stride: pick(n[2], &[1, 1, 2]) },
        7..=9 => {
            // Of two or three numbers normalisation leaves their order alone, and no slopes but rounding.
            let groups = divisor(s.c, n[1]);
            (s.len() / groups > 3).then_some(Norm { x, groups, by_row: n[2].is_multiple_of(3) })?
        }
        10 | 11 => Silu { x },
        12 => Point { x, of: POINTS[n[1] as usize % POINTS.len()] },
        13..=16 => Sum { a: x, b: same(n[1]), scales: scales[n[2] as usize % 3] },
        17 | 18 => Row { x, silu: n[1].is_multiple_of(3) },
        19 => Affine { x, by_row: n[1].is_multiple_of(2) },
        20..=22 => {
            let beside = |n| beside(n, &|z| (z.h, z.w) == (s.h, s.w));
            let xs: Vec<usize> =
                [x].into_iter().chain(n[1..2 + n[0] as usize % 4].iter().map(|&n| beside(n))).collect();
            let channels: usize = xs.iter().map(|&x| b.shape(x).c).sum();
            (channels <= MOST.0).then_some(Concat { xs })?
        }
        23 | 24 if s.c > 1 => {
            let first = n[1] as usize % s.c;
            let half = s.c.is_multiple_of(2) && n[3].is_multiple_of(2);
            let count = 1 + n[2] as usize % (s.c - first);
            if half {
                Split { x, first: n[1] as usize % 2 * (s.c / 2), count: s.c / 2 }
            } else {
                Split { x, first, count }
            }
        }
        25 => Shuffle { x, groups: divisor(s.c, n[1]) },
        26 | 27 => {
            let by = RESAMPLING[n[1] as usize % RESAMPLING.len()];
            let up = RESAMPLING[..4].contains(&by);
            let least = if by.starts_with("reflected") || by == "five taps down" || !up { 2 } else { 1 };
            (s.h.min(s.w) >= least && (!up || twice)).then_some(Resample { x, by })?
        }
        28 if n[1].is_multiple_of(2) => Softmax { x, heads: divisor(s.c, n[2]) },
        28 => SoftmaxPixels { x },
        29 if s.c > 3 => Rms { x },
        30 if s.pixels() <= 49 => {
            let k = beside(n[1], &|z| z.c == s.c && z.pixels() <= 49);
            let v = beside(n[2], &|z| z.pixels() == b.shape(k).pixels());
            let heads = divisor(s.c, n[3]);
            b.shape(v).c.is_multiple_of(heads).then_some(Attention { q: x, k, v, heads })?
        }
        31 => {
            let k = beside(n[1], &|z| z.c == s.c);
            let v = beside(n[2], &|z| z == b.shape(k));
            Linear { q: x, k, v, heads: divisor(s.c, n[3]) }
        }
        _ => return None,
    })
}

/// A strategy for networks of 3 to 14 layers; `gathered`: those that nobody reads are put beside the last one.
pub fn drawn() -> impl Strategy<Value = Drawn> {
    let code = (any::<u8>(), any::<[u16; 5]>());
    let shape = (1usize..=9, 1usize..=13, 1usize..=13).prop_map(|(c, h, w)| Shape::new(c, h, w));
    let shapes = (shape.clone(), shape, 0u8..6).prop_map(|(one, other, kind)| match kind {
        0 => vec![one, other],
        1 => vec![one, Shape { c: other.c, ..one }],
        _ => vec![one],
    });
    let ends = (any::<bool>(), proptest::option::of(any::<prop::sample::Index>()));
    (shapes, proptest::collection::vec(code, 3..=14), ends).prop_map(|(shapes, codes, (gathered, more))| {
        let mut b = Builder::new(&shapes);
        let mut layers = vec![];
        for code in codes {
            let layer = decode(&b, code).unwrap_or(Conv {
                x: b.made.len() - 1,
                out: 4,
                kernel: 1,
                stride: 1,
                padding: 0,
                trailing: 0,
            });
            b.add(&layer);
            layers.push(layer);
        }
        let last = b.shape(b.made.len() - 1);
        let read = |i: usize| b.graph.nodes.iter().any(|n| n.inputs.contains(&b.made[i]));
        let xs: Vec<usize> =
            (0..b.made.len()).filter(|&i| !read(i) && (b.shape(i).h, b.shape(i).w) == (last.h, last.w)).collect();
        if gathered && xs.len() > 1 {
            layers.push(Concat { xs });
        }
        let last = shapes.len() + layers.len() - 1;
        let more = more.map(|more| more.index(last));
        Drawn { shapes, layers, outputs: [last].into_iter().chain(more).collect() }
    })
}

/// Whether no activation of these values has its kink within the rounding of what it is given.
pub fn smooth_at(graph: &Graph, values: &[Vec<Dual>]) -> bool {
    let kinked = graph.nodes.iter().filter(|n| ["Relu", "LeakyRelu"].contains(&format!("{:?}", n.op).as_str()));
    kinked.flat_map(|n| &values[n.inputs[0].0]).all(|x| x.v == 0.0 || x.v.abs() > 1e-5)
}
