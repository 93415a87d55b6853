//! Numbers of the inputs at other places: transposed, sliced, repeated, padded, joined along any axis.
//! `y[p, c] = x_n[P_n[p] + C_n[c]]` for the first input n that has both, an address in `[pixel][channel]` order; else `fill`.
//! Linear, tangent alike, of which `fill` is none. A copy.
use super::sums::Sums;
use super::{Case, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;
use std::sync::Arc;

/// Of a table: the input has none of this.
pub const NOWHERE: u32 = u32::MAX;

/// Where an input's numbers go.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// For each pixel of the output, the address that it begins at, or `NOWHERE`.
    pub pixels: Arc<[u32]>,
    /// For each channel of the output, how far from there it is, or `NOWHERE`.
    pub channels: Arc<[u32]>,
}

/// A rearrangement of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// `[C, H, W]` of the output.
    pub shape: Shape,
    /// One of each input.
    pub taken: Vec<Taken>,
    /// What stands where no input has a number.
    pub fill: f32,
}

impl Gather {
    /// Of one input, by the addresses of pixels and of channels.
    pub fn of(shape: Shape, pixels: Vec<u32>, channels: Vec<u32>) -> Self {
        Self { shape, taken: vec![Taken { pixels: pixels.into(), channels: channels.into() }], fill: 0.0 }
    }

    /// To an image of this shape, each of whose numbers comes from this address of one input, or from nowhere; none if no addresses of
    /// pixels and of channels add up to these.
    fn apart(shape: Shape, from: &[u32]) -> Option<Self> {
        let (pixels, channels) = (0..shape.pixels(), 0..shape.c);
        let at = |p: usize, c: usize| from[p * shape.c + c];
        // A pixel and a channel that have something tell about all others.
        let row = from.iter().position(|a| *a != NOWHERE)? / shape.c;
        let least = channels.clone().min_by_key(|&c| at(row, c))?;
        let own: Vec<u32> = pixels.clone().map(|p| at(p, least)).collect();
        let away = |c: usize| if at(row, c) == NOWHERE { NOWHERE } else { at(row, c) - at(row, least) };
        let away: Vec<u32> = channels.clone().map(away).collect();
        let sum = |p: usize, c: usize| match (own[p], away[c]) {
            (NOWHERE, _) | (_, NOWHERE) => NOWHERE,
            (p, c) => p + c,
        };
        let all = pixels.flat_map(|p| channels.clone().map(move |c| (p, c))).all(|(p, c)| at(p, c) == sum(p, c));
        all.then(|| Self::of(shape, own, away))
    }

    /// What input `n` of this shape gets.
    fn share(&self, g: &mut Reverse, n: usize) -> Result<Share> {
        let (s, u) = (g.shape(g.input(n)), g.cotangent());
        let (mut from, mut pairs) = (vec![NOWHERE; s.len()], vec![]);
        for i in 0..self.shape.len() {
            let source = self.source(i / self.shape.c, i % self.shape.c);
            if let Some((_, at)) = source.filter(|(input, _)| *input == n) {
                from[at] = i as u32;
                pairs.push((at as u32, i as u32));
            }
        }
        let once = pairs.len() == from.iter().filter(|a| **a != NOWHERE).count();
        match Self::apart(s, &from).filter(|_| once) {
            _ if pairs.is_empty() => Ok(Share::Nothing),
            Some(back) => Ok(Share::Whole(g.push("taken back", back, &[u])?)),
            None => Ok(Share::Whole(g.push("sums", Sums::of(s, self.shape.len(), &pairs), &[u])?)),
        }
    }

    /// Channel f and pixel (h, j) of an input, one row of pixels per head, as channel (h, f) and pixel j of the output.
    pub(super) fn by_channel(heads: usize, from: Shape, to: Shape) -> Self {
        let (features, vectors) = (from.c, to.pixels());
        let channel = |c: usize| (c / features * vectors * features + c % features) as u32;
        let pixels = (0..vectors).map(|j| (j * features) as u32).collect();
        Self::of(to, pixels, (0..heads * features).map(channel).collect())
    }

    /// Pixels as channels, and channels as the pixels of one row.
    pub(super) fn turned(from: Shape) -> Self {
        let channels = (0..from.pixels()).map(|p| (p * from.c) as u32).collect();
        Self::of(Shape::new(from.pixels(), 1, from.c), (0..from.c as u32).collect(), channels)
    }

    /// The input and the address of a number of the output.
    fn source(&self, pixel: usize, channel: usize) -> Option<(usize, usize)> {
        self.taken.iter().enumerate().find_map(|(n, taken)| {
            let (p, c) = (taken.pixels[pixel], taken.channels[channel]);
            (p != NOWHERE && c != NOWHERE).then(|| (n, p as usize + c as usize))
        })
    }
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        if inputs.len() != self.taken.len() {
            let message = format!("found {}, expected {}", inputs.len(), self.taken.len());
            return Err(Error::invalid("inputs", message));
        }
        let s = self.shape;
        for (given, Taken { pixels, channels }) in inputs.iter().zip(&self.taken) {
            if [pixels.len(), channels.len()] != [s.pixels(), s.c] {
                let message = format!("tables of {} pixels and {} channels for {s}", pixels.len(), channels.len());
                return Err(Error::invalid("tables", message));
            }
            let most = |table: &[u32]| table.iter().filter(|a| **a != NOWHERE).max().copied().map(u64::from);
            let last = most(pixels).zip(most(channels)).map(|(p, c)| p + c);
            if let Some(last) = last.filter(|last| *last >= given.len() as u64) {
                return Err(Error::invalid("tables", format!("address {last} of {given}")));
            }
        }
        Ok(s)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let n = self.shape.pixels();
        let value = |i: usize| match self.source(i % n, i / n) {
            Some((input, at)) => {
                let s = shapes[input];
                inputs[input][at % s.c * s.pixels() + at / s.c]
            }
            None => Dual::constant(f64::from(self.fill)),
        };
        (0..self.shape.len()).map(value).collect()
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        (0..self.taken.len()).map(|n| self.share(g, n)).collect()
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (place, group) = (cx.output.clone(), cx.program.group());
        let pixels = place.shape.pixels();
        for (n, (view, taken)) in cx.inputs.clone().iter().zip(&self.taken).enumerate() {
            let mut channels = vec![NOWHERE; 4 * place.blocks];
            place.slots.iter().zip(taken.channels.iter()).for_each(|(&slot, &c)| channels[slot] = c);
            // A number that an input before this one has is not this one's.
            let before = |c: usize| self.taken[..n].iter().any(|t| t.channels[c] != NOWHERE);
            let shared = (0..place.shape.c).any(|c| taken.channels[c] != NOWHERE && before(c));
            let mut own = taken.pixels.to_vec();
            if shared {
                let hidden = |p: &usize| self.taken[..n].iter().any(|t| t.pixels[*p] != NOWHERE);
                (0..pixels).filter(hidden).for_each(|p| own[p] = NOWHERE);
            }
            let tables = [("slots", view.places()), ("pixels", own), ("channels", channels)];
            let tables = tables.map(|(name, table)| (name, cx.program.constant(cx.label(name), &table), Access::Read));
            let words = [
                ("pixels", pixels),
                ("in_stride", 4 * view.stride),
                ("out_stride", place.stride),
                ("out_offset", place.offset),
                ("blocks", place.blocks),
                ("in_pixels", view.shape.pixels()),
                ("in_channels", view.shape.c),
                ("later", (n > 0) as usize),
            ];
            let words = words.map(|(name, v)| (name, v as u32)).into_iter();
            cx.program.push(Step {
                label: cx.label("gather"),
                op: "gather",
                kernel: Kernel { shader: "gather", constants: vec![] },
                bindings: [("x", view.buffer, Access::Read), ("y", place.buffer, Access::Write)]
                    .into_iter()
                    .chain(tables)
                    .collect(),
                role: LaneRole::All,
                immediates: words.chain([("group", group), ("fill", self.fill.to_bits())]).collect(),
                grid: Grid { items: (pixels * place.blocks) as u32, workgroup: 256, groups: 1 },
                flops: 0,
                bytes: (32 * pixels * place.blocks) as u64,
            });
        }
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    // Channels become pixels and the other way round.
    let turned = Gather::of(Shape::new(15, 2, 3), (0..6).collect(), (0..15).map(|p| 6 * p).collect());
    // Patches of 2 x 2.
    let corners = (0..6).map(|p| p / 3 * 36 + p % 3 * 6).collect();
    let patch = (0..12).map(|c| c / 3 % 2 * 3 + c / 6 * 18 + c % 3).collect();
    let patches = Gather::of(Shape::new(12, 2, 3), corners, patch);
    // Two tensors below each other, and ones around them.
    let rows = |first: u32, own: std::ops::Range<u32>| -> Arc<[u32]> {
        (0..7 * 5)
            .map(|p| if own.contains(&(p / 5)) && p % 5 < 4 { (p / 5 - first) * 8 + p % 5 * 2 } else { NOWHERE })
            .collect()
    };
    let both: Arc<[u32]> = [0, 1, NOWHERE].into();
    let below = Gather {
        shape: Shape::new(3, 7, 5),
        taken: vec![
            Taken { pixels: rows(0, 0..3), channels: both.clone() },
            Taken { pixels: rows(3, 3..6), channels: both },
        ],
        fill: 1.0,
    };
    // Every pixel thrice, and a channel twice.
    let repeated = Gather::of(Shape::new(4, 3, 6), (0..18).map(|p| p / 3 * 3).collect(), vec![2, 0, 1, 0]);
    let case = |name, op: Gather, inputs| Case { name, op: Arc::new(op), inputs, row: None };
    vec![
        case("turned", turned, vec![Shape::new(6, 3, 5)]),
        case("patches", patches, vec![Shape::new(3, 4, 6)]),
        case("repeated", repeated, vec![Shape::new(3, 3, 2)]),
        case("below each other, padded", below, vec![Shape::new(2, 3, 4), Shape::new(2, 3, 4)]),
    ]
}
