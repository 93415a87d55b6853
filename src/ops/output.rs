//! Exit of the graph: padded channels-last to flat `[lane][C H W]`, the inverse of `input`. Linear, tangent alike.
//! y[c, p] = x[p, slot(c)]; the padding of a flat row is zero.
use super::{Band, Launch, Op, Outside};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::{Access, Grid, Kernel, Part, Step, named};
use crate::shape::Shape;
use std::ops::Range;
use std::sync::Arc;

/// The channels-last layout to flat values.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// None: all rows.
    pub band: Option<Outside>,
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

    fn writes_outside(&self) -> bool {
        true
    }

    fn band(&self, inputs: &[Shape], bands: &[Range<usize>], which: usize) -> Option<Band> {
        let band = Some(Outside { whole: inputs[0], first: bands[which].start });
        Some(Band { op: Some(Arc::new(Self { band })), reads: vec![(0, bands[which].clone())] })
    }

    fn launch(&self, cx: &mut Launch) -> Result<()> {
        let view = &cx.inputs[0];
        let s = view.shape;
        let slots = view.places();
        let outside = Outside::words(self.band, s);
        // The last band also clears the end of a flat row.
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
                ("y", cx.flat_out, Access::Write),
            ],
            part: Part::All,
            immediates: named(["channels", "pixels", "stride"], [s.c, s.pixels(), 4 * stride].map(|n| n as u32))
                .into_iter()
                .chain(outside)
                .chain([("end", end)])
                .collect(),
            grid: Grid { items: s.len() as u32 + end, workgroup: 256, groups: 1 },
            flops: 0,
            bytes: (s.len() * 8) as u64,
        });
        Ok(())
    }
}
