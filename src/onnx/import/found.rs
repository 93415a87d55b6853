//! What several operators mean together: SiLU, GELU, norms over the channels of a pixel, however a file spells them. In: two tensors of
//! which a product or a quotient is asked for. Out: the op that they stand for; its parts, which nobody reads any more, are left out later.
use super::combine::Kind;
use super::lay::refined;
use super::scale::plain;
use super::{Import, Seen};
use crate::error::Result;
use crate::graph::NodeId;
use crate::ops::Op;
use crate::ops::add::Add;
use crate::ops::affine::Affine;
use crate::ops::combine::Combine;
use crate::ops::layer_norm::LayerNorm;
use crate::ops::pointwise::Pointwise;
use crate::ops::reduce::{Made, Reduce};
use crate::ops::rms_norm::RmsNorm;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// How far a file's constants are from those of a function: they are rounded to f32, and what is made of them once more.
const NEAR: f64 = 1e-6;

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= NEAR * b.abs()
}

/// What the norm of a pixel is divided by instead, where it is shorter (`F.normalize`).
const FLOOR: f64 = 1e-12;

impl Import<'_> {
    /// The op that the two stand for, if there is one.
    pub(super) fn found(&mut self, name: &str, a: &Seen, b: &Seen, kind: Kind) -> Result<Option<Seen>> {
        match kind {
            Kind::Product => {
                for (x, y) in [(a, b), (b, a)] {
                    if self.is(y.node, Pointwise::Sigmoid) == Some(x.node) && x.view == y.view {
                        return self.silu(name, x).map(Some);
                    }
                    if let Some(seen) = self.gelu(name, x, y)? {
                        return Ok(Some(seen));
                    }
                    if let Some(root) = self.is(y.node, Pointwise::Reciprocal)
                        && let Some(seen) = self.normed(name, x, &Seen { node: root, view: y.view.clone() })?
                    {
                        return Ok(Some(seen));
                    }
                }
                Ok(None)
            }
            Kind::Quotient => match self.of_length(name, a, b)? {
                None => self.normed(name, a, b),
                found => Ok(found),
            },
            _ => Ok(None),
        }
    }

    /// The op of a node, if it is one of this kind, and its inputs.
    fn op<T: Op>(&self, node: NodeId) -> Option<(&T, &[NodeId])> {
        let node = &self.graph.nodes[node.0];
        Some((node.op.downcast::<T>()?, &node.inputs[..]))
    }

    /// What this function is applied to.
    fn is(&self, node: NodeId, function: Pointwise) -> Option<NodeId> {
        self.op::<Pointwise>(node).filter(|(op, _)| **op == function).map(|(_, inputs)| inputs[0])
    }

    /// Gain, shift and what they are of, if they are numbers for all channels.
    fn affine_at(&self, node: NodeId) -> Option<(f64, f64, NodeId)> {
        match self.op::<Affine>(node)? {
            (&Affine { gain, table: None, shift }, inputs) => Some((gain, shift, inputs[0])),
            _ => None,
        }
    }

    /// The node that this one scales by one number, and the number.
    pub(super) fn unscaled(&self, node: NodeId) -> (NodeId, f64) {
        match self.affine_at(node) {
            Some((gain, 0.0, of)) => (of, gain),
            _ => (node, 1.0),
        }
    }

    /// h x g (1 + erf(x / sqrt 2)), or with tanh(sqrt(2 / pi) (x + 0.044715 x^3)): GELU (arXiv 1606.08415) times 2 g h.
    fn gelu(&mut self, name: &str, x: &Seen, y: &Seen) -> Result<Option<Seen>> {
        let ((source, h), Some((g, shift, curve))) = (self.unscaled(x.node), self.affine_at(y.node)) else {
            return Ok(None);
        };
        if g != shift || x.view != y.view {
            return Ok(None);
        }
        let by_erf = self.is(curve, Pointwise::Erf).is_some_and(|inner| {
            let (of, c) = self.unscaled(inner);
            of == source && near(c, FRAC_1_SQRT_2)
        });
        let by_tanh = self.is(curve, Pointwise::Tanh).is_some_and(|inner| self.is_cubic(inner, source));
        let op = match (by_erf, by_tanh) {
            (true, _) => Pointwise::Gelu,
            (_, true) => Pointwise::GeluTanh,
            _ => return Ok(None),
        };
        let node = self.push(name.into(), op, &[source])?;
        let node = self.scaled_by(&format!("{name}.scaled"), node, 2.0 * g * h, 0.0)?;
        Ok(Some(Seen { node, view: x.view.clone() }))
    }

    /// Whether a node is sqrt(2 / pi) (x + 0.044715 x^3).
    fn is_cubic(&self, node: NodeId, x: NodeId) -> bool {
        let Some((Add { scales }, &[a, b])) = self.op::<Add>(node) else { return false };
        let product = |node: NodeId| match self.op::<Combine>(node) {
            Some((Combine::Product, &[a, b])) => Some([a, b]),
            _ => None,
        };
        let is_cube = |node: NodeId| {
            let parts = product(node).into_iter().flat_map(|[a, b]| [(a, b), (b, a)]);
            parts.into_iter().any(|(square, one)| one == x && product(square) == Some([x, x]))
        };
        let root = FRAC_2_PI.sqrt();
        let sides = [(a, scales[0], b, scales[1]), (b, scales[1], a, scales[0])];
        sides
            .into_iter()
            .any(|(one, p, cube, q)| one == x && is_cube(cube) && near(p, root) && near(q, 0.044715 * root))
    }

    /// x over the largest of its length and a floor.
    fn of_length(&mut self, name: &str, x: &Seen, y: &Seen) -> Result<Option<Seen>> {
        let floor = match self.op::<Pointwise>(y.node) {
            Some((&Pointwise::Clip([low, f32::MAX]), inputs)) if near(f64::from(low), FLOOR) => inputs[0],
            _ => return Ok(None),
        };
        match self.op::<Reduce>(floor) {
            Some((Reduce { heads: 1, made: Made::Length }, inputs)) if inputs == [x.node] && of_pixels(x, y) => {}
            _ => return Ok(None),
        }
        let gain = vec![1.0; x.view.of.c].into();
        let node = self.push(name.into(), RmsNorm { gain }, &[x.node])?;
        Ok(Some(Seen { node, view: x.view.clone() }))
    }

    /// x over the root of the mean of its squares and a number, and x perhaps y less its mean.
    fn normed(&mut self, name: &str, x: &Seen, y: &Seen) -> Result<Option<Seen>> {
        let Some((epsilon, mean)) = self.is(y.node, Pointwise::Sqrt).and_then(|inner| match self.affine_at(inner) {
            Some((1.0, epsilon, mean)) => Some((epsilon, mean)),
            _ => None,
        }) else {
            return Ok(None);
        };
        let squares = self.mean_of(mean).and_then(|squares| self.op::<Combine>(squares));
        let own = matches!(squares, Some((Combine::Product, &[a, b])) if a == x.node && b == x.node);
        if !own || !of_pixels(x, y) {
            return Ok(None);
        }
        let less_mean = match self.op::<Combine>(x.node) {
            Some((Combine::Sum([1.0, -1.0]), &[of, mean])) if self.mean_of(mean) == Some(of) => Some(of),
            _ => None,
        };
        let channels = x.view.of.c;
        let op = LayerNorm { channels, epsilon, centred: less_mean.is_some(), scale: plain(channels) };
        let node = self.push(name.into(), op, &[less_mean.unwrap_or(x.node)])?;
        Ok(Some(Seen { node, view: x.view.clone() }))
    }

    /// What a node is the mean of, over all channels of each pixel.
    fn mean_of(&self, node: NodeId) -> Option<NodeId> {
        match self.op::<Reduce>(node)? {
            (Reduce { heads: 1, made: Made::Sum(s) }, &[of]) => {
                near(f64::from(*s) * self.graph.shape(of).c as f64, 1.0).then_some(of)
            }
            _ => None,
        }
    }
}

/// Whether y, of one channel, has a number for each pixel of x, in its place.
fn of_pixels(x: &Seen, y: &Seen) -> bool {
    let c = x.view.of.c as isize;
    let wide = x.view.shape();
    let Some(view) = y.view.stretched(&wide) else { return false };
    let in_place = |run: &super::lay::Run| run.other * c == if run.stride >= c { run.stride } else { 0 };
    let fits = y.view.of.c == 1 && y.view.first == 0 && y.view.of.pixels() == x.view.of.pixels();
    fits && x.view.is_whole() && refined(&x.view, &view).is_some_and(|runs| runs.iter().all(in_place))
}
