//! Exit of the graph: padded channels-last to flat `[lane][C H W]`, the inverse of `input`. Linear, tangent alike.
//! y[c, p] = x[p, slot(c)]; the padding of a flat row is zero.
use super::{Launch, Op};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::{Access, Grid, Kernel, Part, Step};
use crate::shape::Shape;

/// The channels-last layout to flat values.
#[derive(Clone, Debug)]
pub struct Output;

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

    fn launch(&self, cx: &mut Launch) -> Result<()> {
        let view = &cx.inputs[0];
        let s = view.shape;
        let [s0, n0, s1] = view.segment_words();
        // Where channel c sits in the buffer: 4 * block + component.
        let slots: Vec<u32> = view
            .slots
            .iter()
            .map(|&slot| {
                let block = (slot / 4) as u32;
                4 * block.wrapping_add(if block < n0 { s0 } else { s1 }) + (slot % 4) as u32
            })
            .collect();
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
            immediates: vec![0, s.c as u32, s.pixels() as u32, s.flat_stride() as u32, 4 * stride as u32],
            grid: Grid { items: s.flat_stride() as u32, workgroup: 256, groups: 1 },
            flops: 0,
            bytes: (s.len() * 8) as u64,
        });
        Ok(())
    }
}
