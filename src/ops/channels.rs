//! Split, concatenate, shuffle: output channel c is channel `map[c].1` of input `map[c].0`. Formula: y_c = x_map(c).
//! No kernel: the planner turns the map into block offsets of whoever reads the result. Linear, so the tangent is the same.
use super::reduce::{Made, Reduce};
use super::{Case, Locality, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Channels of the inputs in another order; runs no kernel.
#[derive(Clone, Debug)]
pub struct Channels {
    name: &'static str,
    map: Vec<(usize, usize)>,
}

impl Channels {
    /// Half `part` (0 or 1) of an even number of channels.
    pub fn half(channels: usize, part: usize) -> Result<Self> {
        if !channels.is_multiple_of(2) {
            return Err(Error::invalid("split", format!("{channels} channels cannot be halved")));
        }
        Ok(Self::range(part * channels / 2, channels / 2))
    }

    /// `count` channels from `first` on.
    pub fn range(first: usize, count: usize) -> Self {
        Self { name: "split", map: (first..first + count).map(|c| (0, c)).collect() }
    }

    /// All channels of input 0, then all of input 1, and so on.
    pub fn concat(channels: &[usize]) -> Self {
        let map = channels.iter().enumerate().flat_map(|(i, &n)| (0..n).map(move |c| (i, c))).collect();
        Self { name: "concat", map }
    }

    /// Output channel c is channel `map[c].1` of input `map[c].0`.
    pub const fn gather(map: Vec<(usize, usize)>) -> Self {
        Self { name: "gather", map }
    }

    /// (input, channel) of every output channel.
    pub fn map(&self) -> &[(usize, usize)] {
        &self.map
    }

    /// Channel shuffle over `groups`: output channel i groups + g is input channel g C/groups + i (arXiv 1707.01083).
    pub fn shuffle(channels: usize, groups: usize) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::invalid("shuffle", format!("{channels} channels do not form {groups} equal groups")));
        }
        let per = channels / groups;
        Ok(Self { name: "shuffle", map: (0..channels).map(|c| (0, c % groups * per + c / groups)).collect() })
    }
}

impl Channels {
    /// What input `n` gets: of a channel that comes once, that one, and of others the sum.
    fn share(&self, g: &mut Reverse, n: usize) -> Result<Share> {
        // For each of the input's channels, where it comes.
        let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, &(_, channel)) in self.map.iter().enumerate().filter(|(_, (input, _))| *input == n) {
            places.entry(channel).or_default().push(at);
        }
        // Sums of as many channels are made together.
        let mut alike: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        places.iter().for_each(|(&channel, at)| alike.entry(at.len()).or_default().push(channel));
        let (mut from, mut map) = (vec![], BTreeMap::new());
        for (times, channels) in alike {
            let read: Vec<usize> = channels.iter().flat_map(|channel| &places[channel]).copied().collect();
            let all = g.taken("taken", g.cotangent(), &read)?;
            let sums = Reduce { heads: channels.len(), made: Made::Sum(1.0) };
            map.extend(channels.iter().enumerate().map(|(i, &channel)| (channel, (from.len(), i))));
            from.push(if times == 1 { all } else { g.push("sum", sums, &[all])? });
        }
        let own: Vec<usize> = map.keys().copied().collect();
        let value = match &from[..] {
            [] => return Ok(Share::Nothing),
            [only] => *only,
            _ => g.push("joined", Self::gather(map.into_values().collect()), &from)?,
        };
        Ok(if own.len() == g.shape(g.input(n)).c { Share::Whole(value) } else { Share::Channels(value, own) })
    }
}

impl Op for Channels {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let first = *inputs.first().ok_or_else(|| Error::invalid("inputs", "found none"))?;
        if let Some(s) = inputs.iter().find(|s| (s.h, s.w) != (first.h, first.w)) {
            return Err(Error::invalid("inputs", format!("{s} beside {first}: height and width must agree")));
        }
        match self.map.iter().find(|(i, c)| *i >= inputs.len() || *c >= inputs[*i].c) {
            Some((i, c)) => Err(Error::invalid("inputs", format!("channel {c} of input {i} does not exist"))),
            None => Ok(Shape::new(self.map.len(), first.h, first.w)),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let n = shapes[0].pixels();
        self.map.iter().flat_map(|&(i, c)| inputs[i][c * n..(c + 1) * n].iter().copied()).collect()
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        (0..g.inputs()).map(|n| self.share(g, n)).collect()
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn rearranges(&self) -> Option<&[(usize, usize)]> {
        Some(&self.map)
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        Err(Error::invalid(cx.node, "a rearrangement of channels has no kernel"))
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case =
        |name, op: Channels, inputs: &[Shape]| Case { name, op: Arc::new(op), inputs: inputs.to_vec(), row: None };
    let mut out = vec![case("concat 3+5", Channels::concat(&[3, 5]), &[Shape::new(3, 5, 3), Shape::new(5, 5, 3)])];
    for (name, op) in [
        ("shuffle 12 by 2", Channels::shuffle(12, 2)),
        ("shuffle 15 by 3", Channels::shuffle(15, 3)),
        ("second half of 14", Channels::half(14, 1)),
    ] {
        if let Ok(op) = op {
            let c = op.map.iter().map(|m| m.1 + 1).max().unwrap_or(0);
            out.push(case(name, op, &[Shape::new(c, 3, 5)]));
        }
    }
    out
}
