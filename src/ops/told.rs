//! A tensor that depends on the label alone: `y[p, c] = row(k)[p a + c b]`, a number for every pixel and channel, for every channel,
//! for every pixel, or one. Its tangent is 0.
use super::{Case, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;
use std::sync::Arc;

/// Numbers of a row of the label.
#[derive(Clone, Debug)]
pub struct Told {
    /// `[C, H, W]` of the tensor.
    pub shape: Shape,
    /// Index into `Graph::rows`.
    pub table: usize,
    /// Numbers from a pixel to the next and from a channel to the next, in the row.
    pub steps: [usize; 2],
}

impl Told {
    /// Numbers that its row must have.
    pub fn width(&self) -> usize {
        1 + (self.shape.pixels() - 1) * self.steps[0] + (self.shape.c - 1) * self.steps[1]
    }
}

impl Op for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        match inputs {
            [] => Ok(self.shape),
            _ => Err(Error::invalid("inputs", format!("found {}, expected none", inputs.len()))),
        }
    }

    fn twin(&self, _: &[&[Dual]], _: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let (n, row) = (self.shape.pixels(), &rows[self.table]);
        (0..self.shape.len()).map(|i| Dual::constant(row[i % n * self.steps[0] + i / n * self.steps[1]])).collect()
    }

    fn adjoint(&self, _: &mut Reverse) -> Result<Vec<Share>> {
        Ok(vec![])
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (place, group) = (cx.output.clone(), cx.program.group());
        let (width, pixels) = (self.width(), place.shape.pixels());
        let f32s: Vec<f32> =
            cx.rows[self.table].iter().flat_map(|row| row[..width].iter().map(|&v| v as f32)).collect();
        let rows = cx.program.constant(cx.label("rows"), &f32s);
        let mut channels = vec![u32::MAX; 4 * place.blocks];
        place.slots.iter().enumerate().for_each(|(c, &slot)| channels[slot] = (c * self.steps[1]) as u32);
        let channels = cx.program.constant(cx.label("channels"), &channels);
        let words = [
            ("pixels", pixels),
            ("out_stride", place.stride),
            ("out_offset", place.offset),
            ("blocks", place.blocks),
            ("group", group as usize),
            ("width", width),
            ("by_pixel", self.steps[0]),
        ];
        cx.program.push(Step {
            label: cx.label("told"),
            op: "told",
            kernel: Kernel { shader: "told", constants: vec![] },
            bindings: vec![
                ("rows", rows, Access::Read),
                ("channels", channels, Access::Read),
                ("lanes", cx.lanes, Access::Read),
                ("y", place.buffer, Access::Write),
            ],
            role: LaneRole::All,
            immediates: words.map(|(name, v)| (name, v as u32)).to_vec(),
            grid: Grid { items: (pixels * place.blocks) as u32, workgroup: 256, groups: 1 },
            flops: 0,
            bytes: (20 * pixels * place.blocks) as u64,
        });
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, shape: Shape, steps| {
        let op = Told { shape, table: 0, steps };
        Case { name, row: Some(op.width()), op: Arc::new(op), inputs: vec![] }
    };
    vec![
        case("by channel", Shape::new(6, 3, 5), [0, 1]),
        case("by pixel", Shape::new(3, 3, 5), [1, 0]),
        case("by both", Shape::new(5, 2, 3), [5, 1]),
        case("one number", Shape::new(2, 2, 2), [0, 0]),
    ]
}
