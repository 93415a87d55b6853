//! SiLU on its own, where the planner could not fuse it into the store before. y = x s(x), s the logistic function.
//! Tangent rule: y' = s (1 + x (1 - s)) x'.
use super::{Case, Launch, Op};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::{Access, Grid, Kernel, Step};
use crate::shape::Shape;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Silu;

impl Op for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        super::one(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], _: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        inputs[0].iter().map(|x| x.silu()).collect()
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        4 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn launch(&self, cx: &mut Launch) -> Result<()> {
        let (view, place) = (&cx.inputs[0], &cx.output);
        let [s0, n0, s1] = view.segment_words();
        let items = place.shape.pixels() * place.blocks;
        let words = [place.shape.pixels(), view.stride, place.stride, place.offset, place.blocks].map(|v| v as u32);
        let step = Step {
            label: cx.label("silu"),
            op: "silu",
            kernel: Kernel { shader: "silu", constants: vec![cx.family.constant()] },
            bindings: vec![("x", view.buffer, Access::Read), ("y", place.buffer, Access::Write)],
            immediates: [0].into_iter().chain(words).chain([s0, n0, s1]).collect(),
            grid: Grid { items: items as u32, workgroup: 256, groups: 1 },
            flops: self.flops(&[view.shape], place.shape),
            bytes: 32 * items as u64,
        };
        cx.program.push(step);
        Ok(())
    }
}

pub fn cases() -> Vec<Case> {
    vec![Case { name: "6 channels", op: Arc::new(Silu), inputs: vec![Shape::new(6, 5, 7)], row: None }]
}
