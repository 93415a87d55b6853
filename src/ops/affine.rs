//! y = g x + h, with one g that may depend on the timestep: inputs moved to [-1, 1], outputs divided by sigma.
//! Affine: the tangent is g x'.
use super::elementwise::Elementwise;
use super::{Case, Locality, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::shape::Shape;
use std::sync::Arc;

/// y = `gain` row(k) x + `shift`.
#[derive(Clone, Debug)]
pub struct Affine {
    /// A constant factor.
    pub gain: f64,
    /// Index into `Graph::rows` of a row of one number, the other factor.
    pub table: Option<usize>,
    /// Added to every channel.
    pub shift: f64,
}

impl Op for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        super::one(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], _: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let gain = self.gain * self.table.map_or(1.0, |t| rows[t][0]);
        inputs[0].iter().map(|&x| x * gain + Dual::constant(self.shift)).collect()
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let u = g.cotangent();
        let gets = match self.table {
            None => g.scaled(u, self.gain)?,
            Some(_) => g.push("scaled", Self { shift: 0.0, ..self.clone() }, &[u])?,
        };
        Ok(vec![Share::Whole(gets)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        2 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let factor = |k: usize| self.table.map_or(1.0, |t| cx.rows[t][k][0]);
        let gains: Vec<f32> = (0..cx.timesteps).map(|k| (self.gain * factor(k)) as f32).collect();
        let rows = cx.program.constant(cx.label("gains"), &gains);
        Elementwise {
            name: "affine",
            reads: &[("rows", rows), ("lanes", cx.lanes)],
            own: &[("shift", (self.shift as f32).to_bits())],
            flops: self.flops(&[], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, c, gain, table: Option<usize>, shift| Case {
        name,
        op: Arc::new(Affine { gain, table, shift }),
        inputs: vec![Shape::new(c, 5, 3)],
        row: table.map(|_| 1),
    };
    vec![case("3 channels, to [-1, 1]", 3, 2.0, None, -1.0), case("5 channels, by timestep", 5, 0.5, Some(0), 0.0)]
}
