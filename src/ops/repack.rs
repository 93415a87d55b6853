//! Channels of the inputs in another order, as `channels` but written: output channel c is a copy of channel `map[c].1` of
//! input `map[c].0`. Formula: y_c = x_map(c). Linear, tangent alike. The planner makes it where a kernel cannot read a
//! rearrangement where it lies.
use super::channels::Channels;
use super::{Case, Locality, Lowering, Op, Reverse, Share};
use crate::dual::Dual;
use crate::error::Result;
use crate::program::{Access, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;
use std::sync::Arc;

/// A rearrangement that is carried out.
#[derive(Clone, Debug)]
pub struct Repack {
    /// Which.
    pub of: Channels,
}

impl Op for Repack {
    fn name(&self) -> &'static str {
        "repack"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.of.shape(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        self.of.twin(inputs, shapes, rows)
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        self.of.adjoint(g)
    }

    fn flops(&self, _: &[Shape], _: Shape) -> u64 {
        0
    }

    fn locality(&self, _: usize) -> Locality {
        Locality::ByPixel
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (place, pixels) = (cx.output.clone(), cx.output.shape.pixels());
        for (n, view) in cx.inputs.clone().iter().enumerate() {
            let places = view.places();
            let mut slots = vec![u32::MAX; 4 * place.blocks];
            for (&slot, &(_, channel)) in place.slots.iter().zip(self.of.map()).filter(|(_, (input, _))| *input == n) {
                slots[slot] = places[channel];
            }
            let slots = cx.program.constant(cx.label("slots"), &slots);
            let words = [
                ("pixels", pixels),
                ("in_stride", 4 * view.stride),
                ("out_stride", place.stride),
                ("out_offset", place.offset),
                ("blocks", place.blocks),
            ];
            cx.program.push(Step {
                label: cx.label("repack"),
                op: "repack",
                kernel: Kernel {
                    shader: "repack",
                    constants: vec![cx.family().constant(), ("LATER", i64::from(n > 0))],
                },
                bindings: vec![
                    ("x", view.buffer, Access::Read),
                    ("slots", slots, Access::Read),
                    ("y", place.buffer, Access::Write),
                ],
                role: LaneRole::All,
                immediates: words.map(|(name, v)| (name, v as u32)).to_vec(),
                grid: Grid { items: (pixels.div_ceil(4) * place.blocks) as u32, workgroup: 256, groups: 1 },
                flops: 0,
                bytes: (32 * pixels * place.blocks) as u64,
            });
        }
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, map: &[(usize, usize)], channels: &[usize]| Case {
        name,
        op: Arc::new(Repack { of: Channels::gather(map.to_vec()) }),
        inputs: channels.iter().map(|&c| Shape::new(c, 5, 3)).collect(),
        row: None,
    };
    vec![
        case("channels of three, in turns", &[(0, 1), (1, 0), (2, 4), (0, 0), (2, 2), (1, 1), (2, 0)], &[2, 3, 5]),
        case("one twice, another turned round", &[(0, 0), (0, 1), (0, 0), (0, 1), (1, 2), (1, 1), (1, 0)], &[2, 3]),
        case("8 channels in order", &[(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (0, 6), (0, 7)], &[8]),
    ]
}
