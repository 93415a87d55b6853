//! Resampling of every channel by the same small separable filter: x is spread out by `up` with zeros between its pixels,
//! padded with zeros, filtered and thinned by `down`. `y[i,j] = gain sum_{t,u} T_t T_u x'[down i + t - pad, down j + u - pad]`.
//! Linear, tangent alike. (Nearest neighbour; zeros for transposed convolutions; FIR as in StyleGAN 2, arXiv 1912.04958.)
use super::elementwise::Elementwise;
use super::filter::{Filter, Taps};
use super::window::Window;
use super::{Case, Locality, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// Taps of the longest filter.
const MOST_TAPS: usize = 8;

/// A separable filter between grids.
#[derive(Clone, Debug, PartialEq)]
pub struct Resample {
    /// Pixels of x' per pixel of x along an axis, 1 or 2.
    up: usize,
    /// Pixels of x' per pixel of y along an axis, 1 or 2.
    down: usize,
    /// T; zeros behind the last.
    taps: [u8; MOST_TAPS],
    /// How many of them count.
    count: usize,
    /// Factor on the sum.
    gain: f32,
    /// Zeros above the first row, and below the last row of zeros that spreading leaves (negative: fewer of those).
    rows: [isize; 2],
    /// The same of columns.
    columns: [isize; 2],
    /// Whether the pixel next to an edge stands beyond it, and not a zero. Filters of at most four taps reach no further.
    reflect: bool,
}

impl Resample {
    const fn both(up: usize, down: usize, given: &[u8], gain: f32, pad: [isize; 2]) -> Self {
        let (mut taps, count) = ([0; MOST_TAPS], given.len());
        let mut t = 0;
        while t < count {
            taps[t] = given[t];
            t += 1;
        }
        Self { up, down, taps, count, gain, rows: pad, columns: pad, reflect: false }
    }

    /// Twice the size by a filter, of which only the ratios matter, as StyleGAN 2 does it: the mean stays, and what the filter
    /// is longer than 2 is shared between both ends. A filter is turned around, as for a convolution.
    pub fn filter_up(filter: &[f64]) -> Result<Self> {
        let (taps, sum, longer) = ratios(filter)?;
        let pad = [(longer + 1).div_euclid(2) + 1, longer.div_euclid(2)];
        Ok(Self::both(2, 1, &taps, (4.0 / sum.powi(2)) as f32, pad))
    }

    /// Half the size by a filter, in the same way.
    pub fn filter_down(filter: &[f64]) -> Result<Self> {
        let (taps, sum, longer) = ratios(filter)?;
        let pad = [(longer + 1).div_euclid(2), longer.div_euclid(2)];
        Ok(Self::both(1, 2, &taps, sum.powi(-2) as f32, pad))
    }

    /// The same filter and one pixel more along each axis: what a 3x3 convolution of stride 2 without padding then halves.
    pub fn blur(filter: &[f64]) -> Result<Self> {
        let (taps, sum, longer) = ratios(filter)?;
        let pad = [(longer + 3).div_euclid(2), (longer + 2).div_euclid(2)];
        Ok(Self::both(1, 1, &taps, sum.powi(-2) as f32, pad))
    }

    /// Twice the size, every pixel repeated.
    pub const fn nearest() -> Self {
        Self::both(2, 1, &[1, 1], 1.0, [1, 0])
    }

    /// A zero between every two pixels: 2n - 1 of n. What a transposed convolution of stride 2 convolves.
    pub const fn zeros() -> Self {
        Self::both(2, 1, &[1], 1.0, [0, -1])
    }

    /// Twice the size by the filter 1-3-3-1.
    pub const fn fir_up() -> Self {
        Self::both(2, 1, &[1, 3, 3, 1], 4.0 / 64.0, [2, 1])
    }

    /// Half the size by the filter 1-3-3-1.
    pub const fn fir_down() -> Self {
        Self::both(1, 2, &[1, 3, 3, 1], 1.0 / 64.0, [1, 1])
    }

    /// The same beyond edges that reflect: what k-diffusion's blocks do, and their filter for half the size.
    pub const fn reflected_up() -> Self {
        Self { reflect: true, ..Self::fir_up() }
    }

    /// Half the size by the filter 1-3-3-1, beyond edges that reflect.
    pub const fn reflected_down() -> Self {
        Self { reflect: true, ..Self::fir_down() }
    }

    /// Half the size, the mean of 2x2 pixels.
    pub const fn average() -> Self {
        Self::both(1, 2, &[1, 1], 0.25, [0, 0])
    }

    fn side(&self, n: usize, pad: [isize; 2]) -> Option<usize> {
        let padded = (n * self.up) as isize + pad[0] + pad[1] - self.count as isize;
        usize::try_from(padded).ok().map(|room| room / self.down + 1)
    }

    /// The pixels of x that output pixel `i` of an axis of `n` takes, with their weights.
    fn reads(&self, i: usize, n: usize, pad: [isize; 2]) -> impl Iterator<Item = (usize, f64)> {
        self.taps[..self.count].iter().enumerate().filter_map(move |(t, &weight)| {
            let (at, up, n) = ((i * self.down + t) as isize - pad[0], self.up as isize, n as isize);
            let mut pixel = at.div_euclid(up);
            if self.reflect {
                pixel = if pixel < n { pixel.abs() } else { 2 * (n - 1) - pixel };
            }
            (at % up == 0 && (0..n).contains(&pixel)).then_some((pixel as usize, f64::from(weight)))
        })
    }
}

impl Resample {
    /// What each row and each column of its output takes of an image of this shape: places and weights, the gain left out.
    pub fn tables(&self, s: Shape) -> [Vec<Vec<(usize, f64)>>; 2] {
        [(s.h, self.rows), (s.w, self.columns)].map(|(n, pad)| {
            let read = |i| self.reads(i, n, pad).filter(|tap| tap.1 != 0.0).collect();
            (0..self.side(n, pad).unwrap_or(0)).map(read).collect()
        })
    }

    /// The transpose, of images of `s` where no edge reflects: what spread out is thinned, and the filter turned around.
    fn transposed(&self, s: Shape) -> Self {
        let mut taps = self.taps;
        taps[..self.count].reverse();
        let (up, down, count) = (self.up as isize, self.down as isize, self.count as isize);
        let pad = |n: usize, pad: [isize; 2]| {
            let (before, spread) = (count - 1 - pad[0], self.side(n, pad).unwrap_or(0) as isize * down);
            [before, (n as isize - 1) * up + count - spread - before]
        };
        let (rows, columns) = (pad(s.h, self.rows), pad(s.w, self.columns));
        Self { up: self.down, down: self.up, taps, rows, columns, ..self.clone() }
    }

    /// Factor on the sum.
    pub fn gain(&self) -> f64 {
        f64::from(self.gain)
    }
}

/// A filter turned around and in whole numbers, their sum, and how much longer than 2 it is.
fn ratios(filter: &[f64]) -> Result<(Vec<u8>, f64, isize)> {
    let refused = || {
        let message =
            format!("{filter:?}, expected 1 to {MOST_TAPS} numbers that are whole multiples, up to 255, of the least");
        Error::invalid("fir_kernel", message)
    };
    let positive = filter.iter().copied().filter(|&k| k > 0.0);
    let least = positive.reduce(f64::min).filter(|_| filter.len() <= MOST_TAPS).ok_or_else(refused)?;
    let mut taps = Vec::with_capacity(filter.len());
    for k in filter.iter().rev() {
        let ratio = (k / least).round();
        if !(0.0..=255.0).contains(&ratio) || (k / least - ratio).abs() > 1e-6 {
            return Err(refused());
        }
        taps.push(ratio as u8);
    }
    let sum = taps.iter().map(|&t| f64::from(t)).sum();
    Ok((taps, sum, filter.len() as isize - 2))
}

impl Op for Resample {
    fn name(&self) -> &'static str {
        "resample"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        if self.reflect && s.h.min(s.w) < 2 {
            return Err(Error::invalid("input", format!("{s}: an edge of one pixel has none beside it to reflect")));
        }
        match (self.side(s.h, self.rows), self.side(s.w, self.columns)) {
            (Some(h), Some(w)) => Ok(Shape::new(s.c, h, w)),
            _ => Err(Error::invalid("input", format!("{s} is too small for a filter of {} taps", self.count))),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let s = shapes[0];
        let (h, w) = (self.side(s.h, self.rows).unwrap_or(0), self.side(s.w, self.columns).unwrap_or(0));
        let mut y = Vec::with_capacity(s.c * h * w);
        for c in 0..s.c {
            for i in 0..h {
                for j in 0..w {
                    let rows = self.reads(i, s.h, self.rows);
                    let sum: Dual = rows
                        .flat_map(|(r, a)| self.reads(j, s.w, self.columns).map(move |(q, b)| (r, q, a * b)))
                        .map(|(r, q, weight)| inputs[0][(c * s.h + r) * s.w + q] * weight)
                        .sum();
                    y.push(sum * f64::from(self.gain));
                }
            }
        }
        y
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let (s, u) = (g.shape(g.input(0)), g.cotangent());
        if !self.reflect {
            return Ok(vec![Share::Whole(g.push("transposed", self.transposed(s), &[u])?)]);
        }
        let [rows, columns] = self.tables(s).map(|table| Taps::new(&table));
        let back = Filter { rows: rows.transposed(s.h), columns: columns.transposed(s.w) };
        let back = g.push("transposed", back, &[u])?;
        Ok(vec![Share::Whole(g.scaled(back, self.gain())?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        let taps = self.count.div_ceil(self.up).pow(2);
        (2 * taps * output.len()) as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        let Self { up, down, count, rows, reflect, .. } = *self;
        Locality::Window(Window { spread: up, stride: down, kernel: count, padding: rows, reflect })
    }

    fn padded(&self, rows: [isize; 2]) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { rows, ..self.clone() }))
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (s, out) = (cx.inputs[0].shape, cx.output.shape);
        let names = ["T0", "T1", "T2", "T3", "T4", "T5", "T6", "T7"];
        let taps = names.into_iter().zip(self.taps.map(i64::from));
        let sizes = [("UP", self.up), ("DOWN", self.down), ("TAPS", self.count), ("REFLECT", self.reflect as usize)]
            .map(|(n, v)| (n, v as i64));
        let constants: Vec<(&'static str, i64)> = taps.chain(sizes).collect();
        let [above, left] = [self.rows[0], self.columns[0]].map(|pad| pad as u32);
        let own = &[
            ("in_h", s.h as u32),
            ("in_w", s.w as u32),
            ("above", above),
            ("left", left),
            ("out_w", out.w as u32),
            ("gain", self.gain.to_bits()),
        ];
        let flops = self.flops(&[], out);
        Elementwise { name: "resample", constants: &constants, own, flops, ..Default::default() }.push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, op: Resample, h, w| Case { name, op: Arc::new(op), inputs: vec![Shape::new(6, h, w)], row: None };
    let five = |make: fn(&[f64]) -> Result<Resample>, name, h, w| {
        make(&[1.0, 4.0, 6.0, 4.0, 2.0]).ok().map(|op| case(name, op, h, w))
    };
    let long = [
        five(Resample::filter_up, "five taps up", 3, 5),
        five(Resample::filter_down, "five taps down", 6, 10),
        five(Resample::blur, "five taps", 4, 3),
    ];
    let mut cases = vec![
        case("nearest", Resample::nearest(), 3, 5),
        case("zeros", Resample::zeros(), 4, 3),
        case("fir up", Resample::fir_up(), 3, 5),
        case("fir down", Resample::fir_down(), 6, 10),
        case("fir down, odd", Resample::fir_down(), 5, 7),
        case("reflected down", Resample::reflected_down(), 6, 10),
        case("reflected down, odd", Resample::reflected_down(), 5, 7),
        case("reflected up", Resample::reflected_up(), 3, 5),
        case("reflected up, two pixels", Resample::reflected_up(), 2, 2),
        case("average", Resample::average(), 6, 4),
    ];
    cases.extend(long.into_iter().flatten());
    cases
}
