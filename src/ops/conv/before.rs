//! What a convolution's kernels for GPUs do to x as they load it, so that it is never written: a depthwise convolution in
//! front of a 1x1, or GroupNorm with its activation. CPU adapters load a pixel once per group of outputs, where that is
//! more work than writing it; tangents share factors that a kernel of its own makes once.
use super::{Conv, Padding};
use crate::dual::Dual;
use crate::error::Result;
use crate::ops::depthwise::Depthwise;
use crate::ops::fold::{Before, Setting};
use crate::ops::group_norm::GroupNorm;
use crate::ops::{Family, Launch, Op};
use crate::program::{Access, BufferId};
use crate::shape::Shape;
use std::ops::Range;

/// What stands before the convolution.
#[derive(Clone, Debug)]
pub enum Load {
    /// A depthwise convolution.
    Depthwise(Depthwise),
    /// A normalisation; with a band's number, x is that band and what is beside it, and the bands follow as inputs.
    Norm(GroupNorm, Option<usize>),
}

/// Constants and bindings of `shaders/lib/conv_load.wgsl`.
pub(super) type Extra = (Vec<(&'static str, i64)>, Vec<(&'static str, BufferId, Access)>);

impl Load {
    /// In front of `conv`, if that pays.
    pub(super) fn of(conv: &Conv, before: &Before, setting: Setting) -> Option<Self> {
        if setting.family != Family::Gpu || conv.load.is_some() {
            return None;
        }
        let Padding { rows, columns } = conv.padding;
        let same = [rows, columns].iter().all(|p| p[0] + p[1] + 1 == conv.kernel);
        match before {
            Before::Depthwise(depthwise) if conv.kernel == 1 && conv.stride == 1 && same => {
                Some(Load::Depthwise(depthwise.clone()))
            }
            Before::Norm(norm) if setting.tangents == 0 && conv.stride == 1 && same => {
                Some(Load::Norm(norm.clone(), None))
            }
            _ => None,
        }
    }

    /// How many inputs it reads.
    pub(super) fn inputs(&self, given: usize, residual: bool) -> usize {
        match self {
            Load::Norm(_, Some(_)) => given - residual as usize,
            _ => 1,
        }
    }

    /// Of what the convolution gets.
    pub(super) fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        match self {
            Load::Depthwise(depthwise) => depthwise.shape(inputs),
            Load::Norm(norm, None) => norm.shape(inputs),
            Load::Norm(..) => Ok(inputs[0]),
        }
    }

    /// What the convolution gets, in f64.
    pub(super) fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], times: &[Vec<f64>]) -> Vec<Dual> {
        match self {
            Load::Depthwise(depthwise) => depthwise.twin(inputs, shapes, times),
            Load::Norm(norm, band) => GroupNorm { band: *band, ..norm.clone() }.twin(inputs, shapes, times),
        }
    }

    /// Operations of its own.
    pub(super) fn flops(&self, output: Shape) -> u64 {
        match self {
            Load::Depthwise(depthwise) => depthwise.flops(&[], Shape { c: depthwise.channels, ..output }),
            Load::Norm(norm, _) => norm.flops(&[], Shape { c: norm.channels, ..output }),
        }
    }

    /// Rows `bands[which]` of the output: what loads them, and the rows of x that it reads.
    pub(super) fn band(
        &self,
        conv: &Conv,
        input: Shape,
        bands: &[Range<usize>],
        which: usize,
    ) -> Option<(Conv, Vec<(usize, Range<usize>)>)> {
        match self {
            Load::Depthwise(depthwise) => {
                let (rows, padding) = depthwise.padding.band(&bands[which], 3, depthwise.stride, input.h)?;
                let load = Some(Load::Depthwise(Depthwise { padding, ..depthwise.clone() }));
                Some((Conv { load, ..conv.clone() }, vec![(0, rows)]))
            }
            Load::Norm(norm, _) => {
                let all = norm.band(&[input], bands, which)?.reads.into_iter().skip(1);
                let (rows, padding) = conv.padding.band(&bands[which], conv.kernel, conv.stride, input.h)?;
                let load = Some(Load::Norm(norm.clone(), Some(which)));
                Some((Conv { load, padding, ..conv.clone() }, [(0, rows)].into_iter().chain(all).collect()))
            }
        }
    }

    /// Appends what must run before the convolution.
    fn launch(&self, cx: &mut Launch, residual: bool) -> Result<(&'static str, BufferId)> {
        match self {
            Load::Depthwise(depthwise) => {
                let packed = depthwise.packed(&cx.inputs[0]);
                Ok(("filters", cx.program.constant(cx.label("filters"), &packed)))
            }
            Load::Norm(norm, band) => {
                let end = self.inputs(cx.inputs.len(), residual);
                let views = if band.is_some() { &cx.inputs[1..end] } else { &cx.inputs[..1] }.to_vec();
                Ok(("coefficients", norm.coefficients(cx, views, band.unwrap_or(0) == 0)?))
            }
        }
    }
}

impl Conv {
    /// Appends what must run before the convolution; its constants and bindings.
    pub(super) fn loading(&self, cx: &mut Launch) -> Result<Extra> {
        let on = |wanted: bool| wanted as i64;
        let depthwise = matches!(self.load, Some(Load::Depthwise(_)));
        let (normed, curved) = match &self.load {
            Some(Load::Norm(norm, _)) => (true, norm.silu),
            _ => (false, false),
        };
        let constants = vec![("DEPTHWISE", on(depthwise)), ("NORMED", on(normed)), ("CURVED", on(curved))];
        let bindings = match &self.load {
            Some(load) => {
                let (name, buffer) = load.launch(cx, self.after.residual.is_some())?;
                vec![(name, buffer, Access::Read)]
            }
            None => vec![],
        };
        Ok((constants, bindings))
    }

    /// Stride and padding of what the kernel reads.
    pub(super) const fn window(&self) -> (usize, Padding) {
        match &self.load {
            Some(Load::Depthwise(depthwise)) => (depthwise.stride, depthwise.padding),
            _ => (self.stride, self.padding),
        }
    }
}
