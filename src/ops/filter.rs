//! Weighted sums of pixels, along rows and columns apart: linear resizing, means over windows, filters of any taps, sums over an axis.
//! `y[i, j] = sum_{t, u} a_it b_ju x[r_it, q_ju]`, all weights and places from tables. Linear, tangent alike.
use super::elementwise::Elementwise;
use super::{Case, Lowering, Op, Place, Reverse, Segment, Share, View};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::ops::Range;
use std::sync::Arc;

/// What each output along an axis is the sum of: as many terms for every output, those without effect with weight 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    terms: usize,
    /// `[output][term]`: place along the axis, and weight.
    table: Arc<[(u32, f32)]>,
}

impl Taps {
    /// Of a list of places and weights for each output.
    pub fn new(outputs: &[Vec<(usize, f64)>]) -> Self {
        let terms = outputs.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let mut table = Vec::with_capacity(terms * outputs.len());
        for output in outputs {
            table.extend(output.iter().map(|&(at, weight)| (at as u32, weight as f32)));
            let last = output.last().map_or(0, |tap| tap.0 as u32);
            table.resize(table.len() + terms - output.len(), (last, 0.0));
        }
        Self { terms, table: table.into() }
    }

    /// Every output its own input.
    pub fn identity(n: usize) -> Self {
        Self::new(&(0..n).map(|i| vec![(i, 1.0)]).collect::<Vec<_>>())
    }

    /// Of `n` inputs with `stride - 1` zeros between them these places; beyond the last there are zeros.
    pub fn spread(n: usize, stride: usize, places: Range<usize>) -> Self {
        let of = |place: usize| (place.is_multiple_of(stride) && place / stride < n).then(|| (place / stride, 1.0));
        Self::new(&places.map(|place| of(place).into_iter().collect()).collect::<Vec<_>>())
    }

    /// The transpose: what each of `n` inputs gives to the outputs.
    pub fn transposed(&self, n: usize) -> Self {
        let mut given: Vec<Vec<(usize, f64)>> = vec![vec![]; n];
        for output in 0..self.outputs() {
            for (at, weight) in self.terms(output) {
                match given[at].last_mut() {
                    // One term, where that is as exact as two.
                    Some((last, own)) if *last == output && f64::from((*own + weight) as f32) == *own + weight => {
                        *own += weight;
                    }
                    _ => given[at].push((output, weight)),
                }
            }
        }
        Self::new(&given)
    }

    /// One output, the sum of all of `n` inputs.
    pub fn sum(n: usize) -> Self {
        Self::new(&[(0..n).map(|i| (i, 1.0)).collect()])
    }

    /// How many outputs there are.
    pub fn outputs(&self) -> usize {
        self.table.len() / self.terms
    }

    fn of(&self, output: usize) -> &[(u32, f32)] {
        &self.table[output * self.terms..(output + 1) * self.terms]
    }

    /// Places and weights of an output, those without effect left out.
    pub fn terms(&self, output: usize) -> Vec<(usize, f64)> {
        let terms = self.of(output).iter().filter(|tap| tap.1 != 0.0);
        terms.map(|&(at, weight)| (at as usize, f64::from(weight))).collect()
    }

    /// True if every output is one of the inputs, or 0.
    fn picks(&self) -> bool {
        (0..self.outputs()).all(|i| matches!(self.terms(i)[..], [] | [(_, 1.0)]))
    }

    /// What these outputs are of what another has made of its own, if one of both picks.
    pub fn after(&self, before: &Self) -> Option<Self> {
        if !self.picks() && !before.picks() {
            return None;
        }
        let of = |(at, weight): (usize, f64)| before.terms(at).into_iter().map(move |(place, w)| (place, weight * w));
        let outputs: Vec<Vec<_>> =
            (0..self.outputs()).map(|i| self.terms(i).into_iter().flat_map(of).collect()).collect();
        Some(Self::new(&outputs))
    }

    /// How many zeros stand before and behind all of `n` inputs, if that is what the outputs are.
    pub fn padding(&self, n: usize) -> Option<[usize; 2]> {
        let before = (0..self.outputs()).take_while(|&i| self.terms(i).is_empty()).count();
        let behind = self.outputs().checked_sub(before + n)?;
        let own =
            |i: usize| i.checked_sub(before).filter(|at| *at < n).map(|at| (at, 1.0)).into_iter().collect::<Vec<_>>();
        (0..self.outputs()).all(|i| self.terms(i) == own(i)).then_some([before, behind])
    }

    fn check(&self, what: &str, n: usize) -> Result<()> {
        match self.table.iter().find(|tap| tap.0 as usize >= n) {
            Some((at, _)) => Err(Error::invalid("input", format!("{n} {what}, a tap of the filter is at {at}"))),
            None => Ok(()),
        }
    }
}

/// A separable filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Along rows, by the output's row.
    pub rows: Taps,
    /// Along columns.
    pub columns: Taps,
}

impl Op for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        self.rows.check("rows", s.h)?;
        self.columns.check("columns", s.w)?;
        Ok(Shape::new(s.c, self.rows.outputs(), self.columns.outputs()))
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (s, mut y) = (shapes[0], vec![]);
        for plane in inputs[0].chunks_exact(s.pixels()) {
            for (i, j) in (0..self.rows.outputs()).flat_map(|i| (0..self.columns.outputs()).map(move |j| (i, j))) {
                let along = |r: u32| -> Dual {
                    let line = &plane[r as usize * s.w..][..s.w];
                    self.columns.of(j).iter().map(|&(q, b)| line[q as usize] * f64::from(b)).sum()
                };
                y.push(self.rows.of(i).iter().map(|&(r, a)| along(r) * f64::from(a)).sum());
            }
        }
        y
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let (s, u) = (g.shape(g.input(0)), g.cotangent());
        let back = Self { rows: self.rows.transposed(s.h), columns: self.columns.transposed(s.w) };
        Ok(vec![Share::Whole(g.push("transposed", back, &[u])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        (2 * self.rows.terms * (self.columns.terms + 1) * output.len()) as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        if self.rows.terms * self.columns.terms <= AT_ONCE {
            self.lower_at_once(cx);
            return Ok(());
        }
        let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
        let shape = Shape { w: self.columns.outputs(), ..view.shape };
        let buffer = cx.shared("filter lines", 16 * (shape.pixels() * place.blocks) as u64);
        let (blocks, slots) = (place.blocks, place.slots.clone());
        cx.output = Place { buffer, shape, stride: blocks, offset: 0, blocks, slots: slots.clone() };
        Self { rows: Taps::identity(shape.h), columns: self.columns.clone() }.lower_at_once(cx);
        let segments = vec![Segment { first: 0, count: blocks }];
        cx.inputs[0] = View { buffer, shape, stride: blocks, segments, slots, apart: None };
        cx.output = place;
        Self { rows: self.rows.clone(), columns: Taps::identity(shape.w) }.lower_at_once(cx);
        Ok(())
    }
}

/// Terms of an output that one thread sums. Of more the columns are summed first, then the rows: that takes fewer operations, and no
/// thread goes around a loop often enough for a driver to end it (software Vulkan does after 65,535 rounds, without a word).
const AT_ONCE: usize = 64;

impl Filter {
    fn lower_at_once(&self, cx: &mut Lowering) {
        let (s, out) = (cx.inputs[0].shape, cx.output.shape);
        let words =
            |taps: &Taps| taps.table.iter().flat_map(|&(at, weight)| [at, weight.to_bits()]).collect::<Vec<u32>>();
        let table = [words(&self.rows), words(&self.columns)].concat();
        let taps = cx.program.constant(cx.label("taps"), &table);
        let own = [("in_pixels", s.pixels()), ("in_w", s.w), ("out_w", out.w), ("columns", self.rows.table.len())];
        Elementwise {
            name: "filter",
            constants: &[("ROWS", self.rows.terms as i64), ("COLUMNS", self.columns.terms as i64)],
            reads: &[("taps", taps)],
            own: &own.map(|(name, v)| (name, v as u32)),
            flops: self.flops(&[], out),
            ..Default::default()
        }
        .push(cx);
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let linear = Taps::new(
        &(0..6usize)
            .map(|i| vec![(i / 2, 0.75), ((i / 2 + 2 * (i % 2)).saturating_sub(1).min(2), 0.25)])
            .collect::<Vec<_>>(),
    );
    let mean = |n: usize| Taps::new(&[(0..n).map(|i| (i, 1.0 / n as f64)).collect()]);
    let uneven = Taps::new(&[vec![(0, 1.0)], vec![(1, 0.5), (2, -0.25), (4, 0.75)], vec![]]);
    let case = |name, rows, columns, h, w| Case {
        name,
        op: Arc::new(Filter { rows, columns }),
        inputs: vec![Shape::new(6, h, w)],
        row: None,
    };
    vec![
        case("twice the rows, linear", linear, Taps::identity(4), 3, 4),
        case("mean of all pixels", mean(5), mean(3), 5, 3),
        case("mean of many pixels, by columns and rows", mean(9), mean(11), 9, 11),
        // What a driver's limit on loops would leave out of a mean of 258 x 258 is one part in 258.
        case("mean of more pixels than a loop may have rounds", mean(258), mean(258), 258, 258),
        case("uneven", uneven.clone(), uneven, 5, 7),
    ]
}
