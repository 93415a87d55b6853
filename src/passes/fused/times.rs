//! A product of two tensors of one shape, of which the first may lie anywhere, its channels in any order: what a cotangent is multiplied
//! by lies as its op made it, and the cotangent as the convolution behind that did. `y = x z`. Tangent rule: that of the product.
use super::Fused;
use crate::dual::Dual;
use crate::error::Result;
use crate::ops::combine::Combine;
use crate::ops::{Case, Locality, Lowering, Op, Reads};
use crate::program::{Access, Grid, Kernel, LaneRole, Step, named};
use crate::shape::Shape;
use crate::target::KernelFamily;
use std::sync::Arc;

/// x z, number by number.
#[derive(Clone, Debug)]
pub(crate) struct Times;

impl Fused for Times {}

impl Op for Times {
    fn name(&self) -> &'static str {
        "times"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        Combine::Product.shape(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        Combine::Product.twin(inputs, shapes, rows)
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        output.len() as u64
    }

    fn reads(&self, input: usize, _: usize) -> Reads {
        if input == 0 { Reads::Anywhere } else { Reads::Ordered }
    }

    fn finds_primals(&self, input: usize) -> bool {
        input == 1
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (x, z, place) = (cx.inputs[0].clone(), cx.inputs[1].clone(), cx.output.clone());
        // Where there is no channel any number will do.
        let mut places = x.places();
        places.resize(4 * place.blocks, places[0]);
        let places = cx.program.constant(cx.label("places"), &places);
        let family = cx.program.target().family;
        let access = if family == KernelFamily::Cpu { Access::Image } else { Access::Read };
        if access == Access::Image {
            cx.program.mirror(z.buffer, z.bytes());
        }
        let pixels = place.shape.pixels();
        let sizes = [pixels, 4 * x.stride, place.stride, place.offset, place.blocks].map(|n| n as u32);
        let words = named(["pixels", "in_stride", "out_stride", "out_offset", "blocks"], sizes);
        let lanes = named(["z_to", "z_from"], z.apart.unwrap_or([1, 1]));
        let words = words.into_iter().chain([("group", cx.program.group())]).chain(z.second()).chain(lanes);
        let grouped = ("GROUPED", i64::from(cx.program.tangents() > 0));
        cx.program.push(Step {
            label: cx.label("times"),
            op: "times",
            kernel: Kernel { shader: "times", constants: vec![family.constant(), grouped] },
            bindings: vec![
                ("x", x.buffer, Access::Read),
                ("y", place.buffer, Access::Write),
                ("places", places, Access::Read),
                ("z", z.buffer, access),
            ],
            role: LaneRole::All,
            immediates: words.collect(),
            grid: Grid { items: (pixels * place.blocks) as u32, workgroup: 256, groups: 1 },
            flops: self.flops(&[], place.shape),
            bytes: (48 * pixels * place.blocks) as u64,
        });
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, c| Case { name, op: Arc::new(Times), inputs: vec![Shape::new(c, 5, 3); 2], row: None };
    vec![case("8 channels", 8), case("7 channels", 7)]
}
