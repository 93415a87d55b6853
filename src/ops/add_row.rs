//! Adds a per-timestep row (a time embedding) to every pixel, optionally with SiLU on the store.
//! `y[c, p] = act(x[c, p] + r_k[c])`. The row does not depend on x: tangent lanes get no row.
use super::elementwise::Elementwise;
use super::fold::{Then, TimeRow};
use super::{Band, Case, Launch, Op};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::ops::Range;
use std::sync::Arc;

/// y = x + row(k), one number per channel, then SiLU if asked for.
#[derive(Clone, Debug)]
pub struct AddRow {
    /// Index into `Graph::rows`.
    pub table: usize,
    /// Channels.
    pub width: usize,
    /// Whether SiLU follows.
    pub silu: bool,
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
        let act = |v: Dual| if self.silu { v.silu() } else { v };
        let plane = |(x, &r): (&[Dual], &f64)| x.iter().map(|&v| act(v + Dual::constant(r))).collect::<Vec<_>>();
        inputs[0].chunks_exact(shapes[0].pixels()).zip(&rows[self.table]).flat_map(plane).collect()
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        (if self.silu { 5 } else { 1 }) * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn then(&self, then: &Then) -> Option<Arc<dyn Op>> {
        (matches!(then, Then::Silu) && !self.silu).then(|| Arc::new(Self { silu: true, ..self.clone() }) as _)
    }

    fn as_then(&self) -> Option<Then> {
        let row = || Then::Row(TimeRow { table: self.table, entries: (0..self.width).collect() });
        (!self.silu).then(row)
    }

    fn band(&self, inputs: &[Shape], bands: &[Range<usize>], which: usize) -> Option<Band> {
        Band::by_pixel(inputs, &bands[which])
    }

    fn launch(&self, cx: &mut Launch) -> Result<()> {
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
            silu: self.silu,
            reads: &[("rows", rows), ("lanes", cx.lanes)],
            flops: self.flops(&[], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, c, silu| Case {
        name,
        op: Arc::new(AddRow { table: 0, width: c, silu }),
        inputs: vec![Shape::new(c, 5, 3)],
        row: Some(c),
    };
    vec![case("10 channels", 10, false), case("7 channels, silu", 7, true)]
}
