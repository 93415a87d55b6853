//! Entry of the graph: flat `[lane][C H W]` (the public layout) to padded channels-last `[lane, H, W, ceil(C/4)]`.
//! Linear, tangent alike. y[p, c] = x[c, p]; padding channels are zero.
use super::{Lowering, Op, Outside};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::{Access, Grid, Kernel, LaneRole, Step, named};
use crate::shape::Shape;

/// Flat points to the channels-last layout.
#[derive(Clone, Debug)]
pub struct Input {
    /// Which of `Graph::inputs`.
    pub port: usize,
}

impl Op for Input {
    fn name(&self) -> &'static str {
        "input"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        super::one(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], _: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        inputs[0].to_vec()
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        lower(cx, self.port, Outside { whole: cx.output.shape, first: 0 });
        Ok(())
    }
}

/// The kernel, for rows of an image.
pub(crate) fn lower(cx: &mut Lowering, port: usize, outside: Outside) {
    let s = cx.output.shape;
    cx.program.push(Step {
        label: cx.label("input"),
        op: "input",
        kernel: Kernel { shader: "input", constants: vec![] },
        bindings: vec![("x", cx.flat_inputs[port], Access::Read), ("y", cx.output.buffer, Access::Write)],
        role: LaneRole::All,
        immediates: named(["channels", "pixels", "blocks"], [s.c, s.pixels(), cx.output.blocks].map(|n| n as u32))
            .into_iter()
            .chain(outside.words())
            .chain(named(["out_stride", "out_offset"], [cx.output.stride, cx.output.offset].map(|v| v as u32)))
            .collect(),
        grid: Grid { items: (s.pixels() * cx.output.blocks) as u32, workgroup: 256, groups: 1 },
        flops: 0,
        bytes: (s.len() * 4 + s.pixels() * cx.output.blocks * 16) as u64,
    });
}
