//! What a convolution's kernels for GPUs do to x as they load it, so that it is never written: a depthwise convolution in
//! front of a 1x1, or GroupNorm with its activation. CPU adapters load a pixel once per group of outputs, where that is
//! more work than writing it; tangents share factors that a kernel of its own makes once.
use super::{Conv, Padding};
use crate::error::Result;
use crate::ops::fold::{LoadKind, Loads, Setting};
use crate::ops::window::Window;
use crate::ops::{Family, Launch};
use crate::program::{Access, BufferId};
use std::sync::Arc;

/// Constants and bindings of `shaders/lib/conv_load.wgsl`.
pub(super) type Extra = (Vec<(&'static str, i64)>, Vec<(&'static str, BufferId, Access)>);

impl Conv {
    /// Whether this stands before the convolution, and that pays.
    pub(super) fn loads(&self, load: &Arc<dyn Loads>, setting: Setting) -> bool {
        let Padding { rows, columns } = self.padding;
        let same = [rows, columns].iter().all(|p| p[0] + p[1] + 1 == self.kernel);
        let free = setting.family == Family::Gpu && self.load.is_none();
        free && self.stride == 1 && same && load.pays(self.kernel, setting)
    }

    /// How many of the first inputs are loaded, of all that are given.
    pub(super) fn loaded(&self, given: usize) -> usize {
        self.load
            .as_ref()
            .map_or(1, |load| load.inputs(given.saturating_sub(usize::from(self.after.residual.is_some()))))
    }

    /// Appends what must run before the convolution; its constants and bindings.
    pub(super) fn loading(&self, cx: &mut Launch) -> Result<Extra> {
        let on = |wanted: bool| wanted as i64;
        let (depthwise, normed, curved) = match self.load.as_ref().map(|load| load.kind()) {
            Some(LoadKind::Depthwise { .. }) => (true, false, false),
            Some(LoadKind::Norm { silu }) => (false, true, silu),
            None => (false, false, false),
        };
        let constants = vec![("DEPTHWISE", on(depthwise)), ("NORMED", on(normed)), ("CURVED", on(curved))];
        let bindings = match &self.load {
            Some(load) => {
                let (name, buffer) = load.prepare(cx, self.loaded(cx.inputs.len()))?;
                vec![(name, buffer, Access::Read)]
            }
            None => vec![],
        };
        Ok((constants, bindings))
    }

    /// Stride and padding of what the kernel reads.
    pub(super) fn window(&self) -> (usize, Padding) {
        match self.load.as_ref().map(|load| load.kind()) {
            Some(LoadKind::Depthwise { stride, padding }) => (stride, padding),
            _ => (self.stride, self.padding),
        }
    }

    /// The window of the weights alone.
    pub(super) const fn window_of_weights(&self) -> Window {
        Window { kernel: self.kernel, stride: self.stride, padding: self.padding }
    }
}
