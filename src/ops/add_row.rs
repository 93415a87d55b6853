//! Adds a per-timestep row (a time embedding) to every pixel; its kernel can put SiLU on the store.
//! `y[c, p] = x[c, p] + r_k[c]`. The row does not depend on x: tangent lanes get no row.
use super::elementwise::Elementwise;
use super::{Case, Locality, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// y = x + row(k), one number per channel.
#[derive(Clone, Debug)]
pub struct AddRow {
    /// Index into `Graph::rows`.
    pub table: usize,
    /// Channels.
    pub width: usize,
}

impl Op for AddRow {
    fn name(&self) -> &'static str {
        "add_row"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = super::one(inputs)?;
        if s.c != self.width {
            return Err(Error::invalid("input", format!("{} channels, the time row has {}", s.c, self.width)));
        }
        Ok(s)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let plane = |(x, &r): (&[Dual], &f64)| x.iter().map(|&v| v + Dual::constant(r)).collect::<Vec<_>>();
        inputs[0].chunks_exact(shapes[0].pixels()).zip(&rows[self.table]).flat_map(plane).collect()
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        Ok(vec![Share::Whole(g.cotangent())])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        self.lower_then(cx, false, self.flops(&[], cx.output.shape));
        Ok(())
    }
}

impl AddRow {
    /// The kernel, perhaps with SiLU on its store, and so many operations per lane.
    pub(crate) fn lower_then(&self, cx: &mut Lowering, silu: bool, flops: u64) {
        let (table, blocks, slots) = (&cx.rows[self.table], cx.output.blocks, &cx.inputs[0].slots);
        let mut packed = vec![0f32; table.len() * blocks * 4];
        for (k, row) in table.iter().enumerate() {
            for (c, &slot) in slots.iter().enumerate() {
                packed[k * blocks * 4 + slot] = row[c] as f32;
            }
        }
        let rows = cx.program.constant(cx.label("rows"), &packed);
        Elementwise {
            name: "add_row",
            silu,
            reads: &[("rows", rows), ("lanes", cx.lanes)],
            flops,
            ..Default::default()
        }
        .push(cx);
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, c| Case {
        name,
        op: Arc::new(AddRow { table: 0, width: c }),
        inputs: vec![Shape::new(c, 5, 3)],
        row: Some(c),
    };
    vec![case("10 channels", 10), case("7 channels", 7)]
}
