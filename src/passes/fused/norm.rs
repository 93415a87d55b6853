//! GroupNorm of some rows of a tensor, and SiLU on the store: `y_c = act(g_c (x_c - mu) r + h_c)`, mu and r of all rows.
use super::Fused;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::ops::conv::{Loading, noise};
use crate::ops::group_norm::{GroupNorm, Scale};
use crate::ops::{Case, Lowering, Op, Reads, View};
use crate::program::BufferId;
use crate::shape::Shape;
use std::sync::Arc;

/// `GroupNorm`, perhaps of a band, perhaps with SiLU behind it.
#[derive(Clone, Debug)]
pub(crate) struct FusedNorm {
    /// The norm.
    pub norm: GroupNorm,
    /// Whether SiLU follows.
    pub silu: bool,
    /// None: of its one input. Else of input 0, which is this one of the bands of rows that follow as inputs 1, 2, ..; the
    /// first band's steps measure all of them, those of the others follow it at once and use what it found.
    pub band: Option<usize>,
}

impl FusedNorm {
    /// The norm alone.
    pub const fn of(norm: GroupNorm) -> Self {
        Self { norm, silu: false, band: None }
    }

    /// What its moments are taken over, of what it reads.
    fn parts<'a, T>(&self, inputs: &'a [T]) -> &'a [T] {
        if self.band.is_some() { &inputs[1..] } else { &inputs[..1] }
    }

    fn coefficients(&self, cx: &mut Lowering, inputs: &[View]) -> Result<BufferId> {
        self.norm.coefficients(cx, self.parts(inputs), self.band.unwrap_or(0) == 0)
    }

    /// What a convolution's kernels need to normalise the node's input as they load it; `inputs` are the first of the node's.
    pub fn loading(&self, cx: &mut Lowering, inputs: &[View]) -> Result<Loading> {
        Ok(Loading::Normed { coefficients: self.coefficients(cx, inputs)?, silu: self.silu })
    }
}

impl Fused for FusedNorm {}

impl Op for FusedNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let own = match (self.band, inputs) {
            (None, _) => inputs,
            (Some(band), [own, bands @ ..]) if bands.get(band) == Some(own) => &inputs[..1],
            (Some(band), _) => {
                let message = format!("{inputs:?}: the first is not band {band} of the others");
                return Err(Error::invalid("inputs", message));
            }
        };
        self.norm.shape(own)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let all: Vec<(&[Dual], Shape)> = inputs.iter().copied().zip(shapes.iter().copied()).collect();
        let y = self.norm.values(all[0], self.parts(&all), rows);
        if self.silu { y.into_iter().map(Dual::silu).collect() } else { y }
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        self.norm.flops(inputs, output) + if self.silu { 4 * output.len() as u64 } else { 0 }
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::InPlace
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let coefficients = self.coefficients(cx, &cx.inputs.clone())?;
        self.norm.lower_then(cx, coefficients, self.silu, self.flops(&[], cx.output.shape));
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, c: usize, groups, h, w| {
        let scale = Scale::Fixed { gain: noise(c, 3), shift: noise(c, 4) };
        let norm = GroupNorm { channels: c, groups, epsilon: 1e-5, scale };
        let op = Arc::new(FusedNorm { silu: true, ..FusedNorm::of(norm) });
        Case { name, op, inputs: vec![Shape::new(c, h, w)], row: None }
    };
    vec![case("14 channels, 7 groups, silu", 14, 7, 3, 5), case("10 channels, 2 groups, silu", 10, 2, 9, 13)]
}
