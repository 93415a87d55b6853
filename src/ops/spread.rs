//! What a sample's primal holds, in as many lanes of its own as another space has: `y[lane] = x[primal]`. The planner
//! makes it where nodes of the reverse sweep read what the forward sweep left. Formula: a copy; linear.
use super::{Locality, Lowering, Op, Reads};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, Grid, Kernel, LaneRole, Step, named};
use crate::shape::Shape;

/// A copy of primals for the lanes of another space.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Lanes per sample of what is read; its primal is the first.
    pub from: u32,
    /// Lanes per sample of what is written.
    pub to: u32,
}

impl Op for Spread {
    fn name(&self) -> &'static str {
        "spread"
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

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::InPlace
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
        if view.shape != place.shape {
            return Err(Error::invalid(cx.node, format!("{} of {}", place.shape, view.shape)));
        }
        let pixels = place.shape.pixels();
        let sizes = [pixels, view.stride, place.stride, place.offset, place.blocks].map(|v| v as u32);
        let words = named(["pixels", "in_stride", "out_stride", "out_offset", "blocks"], sizes);
        let words = words.into_iter().chain(view.runs()).chain([("from_lanes", self.from), ("to_lanes", self.to)]);
        cx.program.push(Step {
            label: cx.label("spread"),
            op: "spread",
            kernel: Kernel { shader: "spread", constants: vec![] },
            bindings: vec![("x", view.buffer, Access::Read), ("y", place.buffer, Access::Write)],
            role: LaneRole::All,
            immediates: words.collect(),
            grid: Grid { items: (pixels * place.blocks) as u32, workgroup: 256, groups: 1 },
            flops: 0,
            bytes: (32 * pixels * place.blocks) as u64,
        });
        Ok(())
    }
}
