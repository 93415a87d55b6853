//! Gains and shifts by channel, fixed or functions of the label: what norms and modulations multiply by and add.
use super::Lowering;
use crate::error::{Error, Result};
use crate::program::BufferId;
use crate::shape::Shape;
use std::sync::Arc;

/// Where gain and shift come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// `[channels]` each.
    Fixed {
        /// g
        gain: Arc<[f32]>,
        /// h
        shift: Arc<[f32]>,
    },
    /// Indices into `Graph::rows`, of rows of one number per channel.
    Rows {
        /// g
        gain: usize,
        /// h; none: 0.
        shift: Option<usize>,
    },
}

impl Scale {
    /// The shape of an op's one input, which must have as many channels as these are for.
    pub(super) fn shape(&self, inputs: &[Shape], channels: usize) -> Result<Shape> {
        let s = super::one(inputs)?;
        if s.c != channels {
            return Err(Error::invalid("input", format!("{} channels, the weights expect {channels}", s.c)));
        }
        match self {
            Scale::Fixed { gain, shift } if [gain.len(), shift.len()] != [channels; 2] => Err(Error::invalid(
                "weights",
                format!("{} gains and {} shifts for {channels} channels", gain.len(), shift.len()),
            )),
            _ => Ok(s),
        }
    }

    /// True if it changes nothing.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Scale::Fixed { gain, shift } => gain.iter().all(|g| *g == 1.0) && shift.iter().all(|h| *h == 0.0),
            Scale::Rows { .. } => false,
        }
    }

    /// The same gains, and no shifts.
    pub(super) fn unshifted(&self) -> Self {
        match self {
            Scale::Fixed { gain, .. } => Scale::Fixed { gain: gain.clone(), shift: vec![0.0; gain.len()].into() },
            &Scale::Rows { gain, .. } => Scale::Rows { gain, shift: None },
        }
    }

    /// g and h of channel c, in f64; `rows` are those of the timestep.
    pub(crate) fn of(&self, c: usize, rows: &[Vec<f64>]) -> (f64, f64) {
        match self {
            Scale::Fixed { gain, shift } => (f64::from(gain[c]), f64::from(shift[c])),
            &Scale::Rows { gain, shift } => (rows[gain][c], shift.map_or(0.0, |shift| rows[shift][c])),
        }
    }

    /// g and h by timestep, `[timesteps][2][channels]`; fixed ones once.
    pub(super) fn table(&self, cx: &Lowering) -> Vec<f32> {
        let f32s = |row: &[f64]| row.iter().map(|&v| v as f32).collect::<Vec<_>>();
        match self {
            Scale::Fixed { gain, shift } => gain.iter().chain(shift.iter()).copied().collect(),
            &Scale::Rows { gain, shift } => {
                let shifts = |k: usize, n: usize| shift.map_or(vec![0.0; n], |shift| f32s(&cx.rows[shift][k]));
                let both = |(k, g): (usize, &Vec<f64>)| [f32s(g), shifts(k, g.len())].concat();
                cx.rows[gain].iter().enumerate().flat_map(both).collect()
            }
        }
    }

    /// A constant of them where the channels of input 0 lie, `[timesteps][blocks][2]` of vec4: gain, then shift.
    pub(super) fn by_block(&self, cx: &mut Lowering) -> BufferId {
        let (blocks, table, slots) = (cx.output.blocks, self.table(cx), &cx.inputs[0].slots);
        let channels = slots.len();
        let mut packed = vec![0f32; cx.timesteps * blocks * 8];
        for (k, row) in packed.chunks_exact_mut(8 * blocks).enumerate() {
            let from = if matches!(self, Scale::Fixed { .. }) { 0 } else { k * 2 * channels };
            for (c, &slot) in slots.iter().enumerate() {
                let at = slot / 4 * 8 + slot % 4;
                (row[at], row[at + 4]) = (table[from + c], table[from + channels + c]);
            }
        }
        cx.program.constant(cx.label("gain and shift"), &packed)
    }
}
