//! Exit of the graph: padded channels-last to flat `[lane][C H W]`, the inverse of `input`. Linear, tangent alike.
//! y[c, p] = x[p, slot(c)]; the padding of a flat row is zero.
use super::{Lowering, Op, Outside};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::{Access, Grid, Kernel, LaneRole, Step, named};
use crate::shape::Shape;

/// The channels-last layout to flat values.
#[derive(Clone, Debug)]
pub struct Output {
    /// Which of `Graph::outputs`.
    pub port: usize,
}

impl Op for Output {
    fn name(&self) -> &'static str {
        "output"
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

    fn writes_port(&self) -> Option<usize> {
        Some(self.port)
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        lower(cx, Outside { whole: cx.inputs[0].shape, first: 0 });
        Ok(())
    }
}

/// The kernel, for rows of an image.
pub(crate) fn lower(cx: &mut Lowering, outside: Outside) {
    let view = &cx.inputs[0];
    let s = view.shape;
    let slots = view.places();
    let outside = outside.words();
    // The last rows also clears the end of a flat row.
    let [flat, plane, first] = outside.map(|word| word.1);
    let end = if first + s.pixels() as u32 == plane { flat - s.c as u32 * plane } else { 0 };
    let (buffer, stride) = (view.buffer, view.stride);
    let table = cx.program.constant(cx.label("slots"), &slots);
    cx.program.push(Step {
        label: cx.label("output"),
        op: "output",
        kernel: Kernel { shader: "output", constants: vec![] },
        bindings: vec![
            ("x", buffer, Access::Read),
            ("slots", table, Access::Read),
            ("y", cx.output.buffer, Access::Write),
        ],
        role: LaneRole::All,
        immediates: named(["channels", "pixels", "stride"], [s.c, s.pixels(), 4 * stride].map(|n| n as u32))
            .into_iter()
            .chain(outside)
            .chain([("end", end)])
            .collect(),
        grid: Grid { items: s.len() as u32 + end, workgroup: 256, groups: 1 },
        flops: 0,
        bytes: (s.len() * 8) as u64,
    });
}
