//! A depthwise convolution of a cotangent and a product on its store: `y = (w * x) z`, z being what the reverse sweep multiplies by.
//! It is of lanes without tangents alone.
use super::Fused;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::ops::combine::Combine;
use crate::ops::depthwise::Depthwise;
use crate::ops::{Locality, Lowering, Op, Reads};
use crate::shape::Shape;
use std::sync::Arc;

/// `Depthwise`, then a product with input 1.
#[derive(Clone, Debug)]
pub(crate) struct FusedDepthwise {
    /// The convolution.
    pub depthwise: Depthwise,
}

impl Fused for FusedDepthwise {
    fn storage_buffers(&self, _: bool) -> usize {
        4
    }
}

impl Op for FusedDepthwise {
    fn name(&self) -> &'static str {
        "depthwise"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [x, z] = inputs else {
            return Err(Error::invalid("inputs", format!("found {}, expected 2", inputs.len())));
        };
        Combine::Product.shape(&[self.depthwise.shape(&[*x])?, *z])
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let sums = self.depthwise.twin(&inputs[..1], &shapes[..1], rows);
        Combine::Product.twin(&[&sums, inputs[1]], &[shapes[1], shapes[1]], rows)
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        self.depthwise.flops(inputs, output) + output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::Ordered
    }

    fn locality(&self, input: usize) -> Locality {
        if input == 0 { self.depthwise.locality(0) } else { Locality::ByPixel }
    }

    fn padded(&self, rows: [isize; 2]) -> Option<Arc<dyn Op>> {
        let padding = self.depthwise.padding.with_rows(rows)?;
        Some(Arc::new(Self { depthwise: Depthwise { padding, ..self.depthwise.clone() } }))
    }

    fn finds_primals(&self, input: usize) -> bool {
        input == 1
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (factor, flops) = (cx.inputs[1].clone(), self.flops(&[], cx.output.shape));
        self.depthwise.lower_then(cx, Some(factor), flops);
        Ok(())
    }
}
