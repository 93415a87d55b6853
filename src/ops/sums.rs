//! Sums of numbers of the input, by a table: each number of the output is the sum of those at some addresses, or 0 if there are none.
//! `y[i] = sum_{a in A_i} x[a]`, i and a addresses in `[pixel][channel]` order. Linear, tangent alike. (The transpose of a `gather` that
//! takes a number more than once.)
use super::{Case, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;
use std::sync::Arc;

/// A sparse matrix of zeros and ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// `[C, H, W]` of the output.
    shape: Shape,
    /// Numbers of the input.
    given: usize,
    /// Where the addresses of each number of the output begin in the list of all, and where the last ones end.
    starts: Arc<[u32]>,
    /// Of the input.
    addresses: Arc<[u32]>,
}

impl Sums {
    /// To an output of this shape from an input of `given` numbers: addresses of the output and of the input that goes there.
    pub fn of(shape: Shape, given: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0; shape.len() + 1];
        pairs.iter().for_each(|&(to, _)| starts[to as usize + 1] += 1);
        for i in 0..shape.len() {
            starts[i + 1] += starts[i];
        }
        let (mut next, mut addresses) = (starts.clone(), vec![0; pairs.len()]);
        for &(to, from) in pairs {
            addresses[next[to as usize] as usize] = from;
            next[to as usize] += 1;
        }
        Self { shape, given, starts: starts.into(), addresses: addresses.into() }
    }

    /// The addresses of a number of the output.
    fn terms(&self, i: usize) -> &[u32] {
        &self.addresses[self.starts[i] as usize..self.starts[i + 1] as usize]
    }
}

impl Op for Sums {
    fn name(&self) -> &'static str {
        "sums"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        match s.len() == self.given {
            true => Ok(self.shape),
            false => Err(Error::invalid("input", format!("{s}, the table is for {} numbers", self.given))),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (s, n) = (shapes[0], self.shape.pixels());
        let at = |&a: &u32| inputs[0][a as usize % s.c * s.pixels() + a as usize / s.c];
        (0..self.shape.len()).map(|i| self.terms(i % n * self.shape.c + i / n).iter().map(at).sum()).collect()
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let (s, u) = (g.shape(g.input(0)), g.cotangent());
        let pairs: Vec<(u32, u32)> =
            (0..self.shape.len()).flat_map(|i| self.terms(i).iter().map(move |&a| (a, i as u32))).collect();
        Ok(vec![Share::Whole(g.push("transposed", Self::of(s, self.shape.len(), &pairs), &[u])?)])
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        self.addresses.len() as u64
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
        let pixels = place.shape.pixels();
        let mut channels = vec![u32::MAX; 4 * place.blocks];
        place.slots.iter().enumerate().for_each(|(c, &slot)| channels[slot] = c as u32);
        let table = [&self.starts[..], &self.addresses[..]].concat();
        let tables = [("slots", view.places()), ("channels", channels), ("table", table)];
        let tables = tables.map(|(name, table)| (name, cx.program.constant(cx.label(name), &table), Access::Read));
        let words = [
            ("pixels", pixels),
            ("in_stride", 4 * view.stride),
            ("out_stride", place.stride),
            ("out_offset", place.offset),
            ("blocks", place.blocks),
            ("in_pixels", view.shape.pixels()),
            ("in_channels", view.shape.c),
            ("out_channels", place.shape.c),
            ("first", self.starts.len()),
        ];
        cx.program.push(Step {
            label: cx.label("sums"),
            op: "sums",
            kernel: Kernel { shader: "sums", constants: vec![] },
            bindings: [("x", view.buffer, Access::Read), ("y", place.buffer, Access::Write)]
                .into_iter()
                .chain(tables)
                .collect(),
            role: LaneRole::All,
            immediates: words.map(|(name, v)| (name, v as u32)).to_vec(),
            grid: Grid { items: (pixels * place.blocks) as u32, workgroup: 256, groups: 1 },
            flops: self.flops(&[], place.shape),
            bytes: (4 * self.addresses.len() + 16 * pixels * place.blocks) as u64,
        });
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, shape: Shape, input: Shape, pairs: &[(u32, u32)]| Case {
        name,
        op: Arc::new(Sums::of(shape, input.len(), pairs)),
        inputs: vec![input],
        row: None,
    };
    let each = |n: u32, of: fn(u32) -> u32| (0..n).map(|a| (of(a), a)).collect::<Vec<_>>();
    vec![
        case("rows of pixels to one", Shape::new(6, 5, 1), Shape::new(6, 5, 3), &each(90, |a| a / 18 * 6 + a % 6)),
        case("all numbers to one", Shape::new(1, 1, 1), Shape::new(3, 2, 4), &each(24, |_| 0)),
        case("some to few", Shape::new(5, 2, 3), Shape::new(7, 3, 2), &each(42, |a| a * a % 23)),
        case("one to all", Shape::new(6, 2, 2), Shape::new(3, 1, 2), &(0..24).map(|i| (i, 4)).collect::<Vec<_>>()),
    ]
}
