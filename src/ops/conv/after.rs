//! What a convolution does to its sums z before it stores them: `y = s act2(act1(z) + r_k) + t x`, every part of it optional:
//! SiLU, a time row r_k, SiLU again, a residual x. Ops that stood behind it are folded into it by `plan::fuse`.
//! Tangents: `y' = s act2' act1' z' + t x'`; the product of both slopes is what the primals' dispatch leaves for the tangents'.
use super::Conv;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::ops::Launch;
use crate::ops::activation::Pass;
use crate::ops::fold::{Setting, Then, TimeRow};
use crate::program::{Access, BufferId, Immediate, Part};
use crate::shape::Shape;
use std::ops::Range;

/// What follows the sums, and SiLU on them.
#[derive(Clone, Debug, Default)]
pub struct After {
    /// Added first.
    pub row: Option<TimeRow>,
    /// SiLU of the sum with the row.
    pub silu: bool,
    /// s and t, where input 1 is added: s times what came before, and t times the input.
    pub residual: Option<[f32; 2]>,
}

impl After {
    /// SiLU on the sums, and what follows, with one thing more at the end; none if something stands in the way.
    pub(super) fn then(&self, silu: bool, then: &Then) -> Option<(bool, Self)> {
        if self.residual.is_some() {
            return None;
        }
        let (after, plain) = (self.clone(), self.row.is_none() && !self.silu);
        match then {
            Then::Silu if plain && !silu => Some((true, after)),
            Then::Silu => (!plain && !self.silu).then_some((silu, Self { silu: true, ..after })),
            Then::Row(row) => plain.then(|| (silu, Self { row: Some(row.clone()), ..after })),
            &Then::Residual(scales) => Some((silu, Self { residual: Some(scales), ..after })),
        }
    }

    /// The residual, of what is left of the inputs.
    pub(super) fn split(&self, left: &[Shape]) -> Result<Option<Shape>> {
        match (left, self.residual) {
            (&[], None) => Ok(None),
            (&[z], Some(_)) => Ok(Some(z)),
            (_, residual) => {
                let expected = residual.is_some() as usize;
                Err(Error::invalid("inputs", format!("{} to add to the output, expected {expected}", left.len())))
            }
        }
    }

    /// Storage buffers that the last step binds for all this: time rows and lanes, slopes, the residual.
    pub(super) fn storage_buffers(&self, silu: bool, setting: Setting) -> usize {
        let sloped = (silu || self.silu) && setting.tangents > 0;
        2 * self.row.is_some() as usize + sloped as usize + self.residual.is_some() as usize
    }

    /// Rows of the residual that a band of the output takes.
    pub(super) fn reads(&self, rows: &Range<usize>) -> Option<(usize, Range<usize>)> {
        self.residual.map(|_| (1, rows.clone()))
    }

    /// The f64 oracle, on what the convolution made: `[C, H, W]`.
    pub(super) fn twin(&self, mut y: Vec<Dual>, residual: Option<&[Dual]>, rows: &[Vec<f64>]) -> Vec<Dual> {
        if let Some(row) = &self.row {
            let pixels = y.len() / row.entries.len();
            for (plane, &entry) in y.chunks_exact_mut(pixels).zip(row.entries.iter()) {
                plane.iter_mut().for_each(|v| *v += Dual::constant(rows[row.table][entry]));
            }
        }
        if self.silu {
            y.iter_mut().for_each(|v| *v = v.silu());
        }
        if let (Some(scales), Some(z)) = (self.residual, residual) {
            let [s, t] = scales.map(f64::from);
            y.iter_mut().zip(z).for_each(|(v, &z)| *v = *v * s + z * t);
        }
        y
    }
}

/// The end of a convolution's kernels: constants, bindings and words of `shaders/conv.wgsl` and `conv_cc.wgsl`.
pub(super) struct Ending {
    rows: Option<BufferId>,
    lanes: BufferId,
    residual: Option<(BufferId, u64)>,
    blocks: usize,
    added: [Immediate; 6],
}

impl Ending {
    /// Of the convolution that `cx` launches.
    pub fn of(conv: &Conv, cx: &mut Launch) -> Result<Self> {
        let blocks = cx.output.blocks;
        let rows = conv.after.row.as_ref().map(|row| {
            let mut packed = vec![0f32; cx.rows[row.table].len() * blocks * 4];
            for (k, values) in cx.rows[row.table].iter().enumerate() {
                for (c, &entry) in row.entries.iter().enumerate() {
                    packed[k * blocks * 4 + c] = values[entry] as f32;
                }
            }
            cx.program.constant(cx.label("time rows"), &packed)
        });
        let names = ["z_stride", "z_first0", "z_count0", "z_first1", "s", "t"];
        let (mut residual, mut added) = (None, names.map(|name| (name, 0)));
        if let (Some(scales), Some(z)) = (conv.after.residual, cx.inputs.last()) {
            if z.slots != cx.output.slots {
                return Err(Error::invalid(cx.node, "the channels of its residual are ordered differently in memory"));
            }
            let ([stride, first, count, second], [s, t]) = (z.second(), scales.map(f32::to_bits));
            added = [stride, first, count, second, ("s", s), ("t", t)];
            residual = Some((z.buffer, z.bytes()));
        }
        Ok(Self { rows, lanes: cx.lanes, residual, blocks, added })
    }

    /// The kernel's own immediates, and behind them those of `shaders/lib/conv_end_immediates.wgsl`.
    pub fn behind(&self, own: &[Immediate], phase: u32) -> Vec<Immediate> {
        let ends = [("out_blocks", self.blocks as u32), ("phase", phase)];
        own.iter().copied().chain(ends).chain(self.added).collect()
    }

    /// Constants and bindings of one dispatch; `last` stores results, others sums.
    pub fn pass(
        &self,
        conv: &Conv,
        cx: &mut Launch,
        pass: &Pass,
        last: bool,
    ) -> (Vec<(&'static str, i64)>, Vec<(&'static str, BufferId, Access)>) {
        let values = last && pass.part != Part::Tangents;
        let (rows, residual) = (self.rows.filter(|_| values), self.residual.filter(|_| last));
        let [_, keep, sloped] = pass.constants();
        let own = [
            ("SILU", conv.silu && values),
            ("ROW", rows.is_some()),
            ("AGAIN", conv.after.silu && values),
            ("RESIDUAL", residual.is_some()),
        ];
        let constants = own.map(|(name, on)| (name, on as i64)).into_iter().chain([keep, sloped]).collect();
        let access = cx.x_access();
        if let (Some((buffer, bytes)), Access::Image) = (residual, access) {
            cx.program.mirror(buffer, bytes);
        }
        let rows =
            rows.into_iter().flat_map(|rows| [("time_rows", rows, Access::Read), ("lanes", self.lanes, Access::Read)]);
        let residual = residual.map(|(buffer, _)| ("z", buffer, access));
        (constants, pass.binding(cx).into_iter().chain(rows).chain(residual).collect())
    }
}

impl Conv {
    /// Whether some SiLU is on the store.
    pub(super) const fn curved(&self) -> bool {
        self.silu || self.after.silu
    }
}
