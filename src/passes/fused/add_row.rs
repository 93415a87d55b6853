//! A time row and SiLU on the store: `y[c, p] = silu(x[c, p] + r_k[c])`.
use super::Fused;
use crate::dual::Dual;
use crate::error::Result;
use crate::ops::add_row::AddRow;
use crate::ops::{Case, Locality, Lowering, Op};
use crate::shape::Shape;
use std::sync::Arc;

/// `AddRow`, then SiLU.
#[derive(Clone, Debug)]
pub(crate) struct FusedAddRow {
    /// The row.
    pub row: AddRow,
}

impl Fused for FusedAddRow {}

impl Op for FusedAddRow {
    fn name(&self) -> &'static str {
        "add_row"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.row.shape(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        self.row.twin(inputs, shapes, rows).into_iter().map(Dual::silu).collect()
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        self.row.flops(inputs, output) + 4 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        self.row.lower_then(cx, true, self.flops(&[], cx.output.shape));
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub(super) fn cases() -> Vec<Case> {
    let op = FusedAddRow { row: AddRow { table: 0, width: 7 } };
    vec![Case { name: "7 channels", op: Arc::new(op), inputs: vec![Shape::new(7, 5, 3)], row: Some(7) }]
}
