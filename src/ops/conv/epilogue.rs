//! What the kernels of a convolution can do to its sums z before they store them: `y = s g_k act2(act1(z) + r_k) + t x`, every part of
//! it optional: SiLU or, of values alone, another function; a time row r_k; SiLU again; gains g_k; a residual x. A plain convolution has
//! none; `passes::fuse` gives it some. Tangents: `y' = s g_k act2' act1' z' + t x'`; the product of both slopes is what the primals' dispatch leaves for the tangents'. Where
//! the reverse sweep reads slopes of a SiLU, the same dispatch leaves them in an input that is `kept`.
use super::Job;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::ops::activation::Pass;
use crate::ops::curve::{Curve, Pointwise};
use crate::ops::{Lowering, Place};
use crate::program::{Access, BufferId, Immediate, LaneRole};
use crate::shape::Shape;
use std::sync::Arc;

/// A time row to add, one number per channel.
#[derive(Clone, Debug)]
pub(crate) struct TimeRow {
    /// Index into `Graph::rows`.
    pub table: usize,
    /// Which number of the row channel c gets.
    pub entries: Arc<[usize]>,
}

/// What becomes of the sums, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Epilogue {
    /// Another function of the sums, where there are no tangents.
    pub curve: Option<Pointwise>,
    /// SiLU of the sums.
    pub silu: bool,
    /// Added to that.
    pub row: Option<TimeRow>,
    /// SiLU of the sum with the row.
    pub again: bool,
    /// By which that is multiplied.
    pub gain: Option<TimeRow>,
    /// Whether the first input that the convolution does not read is room for the slopes of its one SiLU, which are left there.
    pub kept: bool,
    /// s and t, where one more input is added: s times what came before, and t times the input.
    pub residual: Option<[f64; 2]>,
}

impl Epilogue {
    /// This, then SiLU; none if the kernels cannot.
    pub fn then_silu(&self) -> Option<Self> {
        let more = self.clone();
        match (&self.residual, &self.gain, &self.row) {
            (None, None, Some(_)) if !self.again && !self.kept => Some(Self { again: true, ..more }),
            (None, None, None) if !self.silu && self.curve.is_none() => Some(Self { silu: true, ..more }),
            _ => None,
        }
    }

    /// The function of this, where it is nothing but sums and the kernels know the function without numbers of its own.
    pub fn then_curve(&self, curve: Pointwise) -> Option<Self> {
        let sums = !self.curved() && self.row.is_none() && self.gain.is_none() && self.residual.is_none() && !self.kept;
        let known = curve.row().1 == [0.0; 2] && !Curve::Pointwise(curve).unbounded();
        (sums && self.curve.is_none() && known).then(|| Self { curve: Some(curve), ..self.clone() })
    }

    /// This, then SiLU, whose slopes are kept; none if the kernels cannot.
    pub fn then_kept(&self) -> Option<Self> {
        let straight = self.residual.is_none() && self.gain.is_none() && self.curve.is_none() && !self.curved();
        let (silu, again) = (self.row.is_none(), self.row.is_some());
        straight.then(|| Self { silu, again, kept: true, ..self.clone() })
    }

    /// This, then a time row; none if the kernels cannot.
    pub fn then_row(&self, row: TimeRow) -> Option<Self> {
        let last = self.residual.is_none() && self.gain.is_none();
        (last && self.row.is_none()).then(|| Self { row: Some(row), ..self.clone() })
    }

    /// This times gains; none if the kernels cannot.
    pub fn then_gain(&self, gain: TimeRow) -> Option<Self> {
        let last = self.residual.is_none() && !self.kept;
        (last && self.gain.is_none()).then(|| Self { gain: Some(gain), ..self.clone() })
    }

    /// s times this and t times one more input; none if there is such an input already.
    pub fn then_residual(&self, scales: [f64; 2]) -> Option<Self> {
        self.residual.is_none().then(|| Self { residual: Some(scales), ..self.clone() })
    }

    /// Whether some SiLU is on the store.
    pub const fn curved(&self) -> bool {
        self.silu || self.again
    }

    /// How many inputs the convolution does not read.
    pub fn inputs(&self) -> usize {
        usize::from(self.kept) + usize::from(self.residual.is_some())
    }

    /// Shape of the output, `out` of the sums, where these are the inputs that the convolution does not read: room for slopes, and
    /// the residual, if any.
    pub fn shape(&self, left: &[Shape], out: Shape) -> Result<Shape> {
        let left = match left {
            [room, left @ ..] if self.kept && *room == out => left,
            [room, ..] if self.kept => return Err(Error::invalid("inputs", format!("{room} for slopes of {out}"))),
            left => left,
        };
        match (left, self.residual) {
            (&[], None) => Ok(out),
            (&[z], Some(_)) if z == out => Ok(out),
            (&[z], Some(_)) => Err(Error::invalid("inputs", format!("{z} to add to an output of {out}"))),
            (_, residual) => {
                let expected = residual.is_some() as usize;
                Err(Error::invalid("inputs", format!("{} to add to the output, expected {expected}", left.len())))
            }
        }
    }

    /// Storage buffers that the last step binds for all this: time rows, gains and lanes, slopes where there are tangents, the residual.
    pub fn storage_buffers(&self, tangents: bool) -> usize {
        let sloped = self.kept || self.curved() && tangents;
        let tables = [&self.row, &self.gain].into_iter().flatten().count();
        tables + usize::from(tables > 0) + sloped as usize + self.residual.is_some() as usize
    }

    /// The f64 oracle, on what the convolution made: `[C, H, W]`.
    pub fn twin(&self, mut y: Vec<Dual>, residual: Option<&[Dual]>, rows: &[Vec<f64>]) -> Vec<Dual> {
        let by_channel = |y: &mut [Dual], row: &TimeRow, with: fn(Dual, f64) -> Dual| {
            let pixels = y.len() / row.entries.len();
            for (plane, &entry) in y.chunks_exact_mut(pixels).zip(row.entries.iter()) {
                plane.iter_mut().for_each(|v| *v = with(*v, rows[row.table][entry]));
            }
        };
        if let Some(curve) = self.curve {
            y.iter_mut().for_each(|v| *v = curve.of(*v));
        }
        if self.silu {
            y.iter_mut().for_each(|v| *v = v.silu());
        }
        if let Some(row) = &self.row {
            by_channel(&mut y, row, |v, r| v + Dual::constant(r));
        }
        if self.again {
            y.iter_mut().for_each(|v| *v = v.silu());
        }
        if let Some(gain) = &self.gain {
            by_channel(&mut y, gain, |v, g| v * g);
        }
        if let (Some(scales), Some(z)) = (self.residual, residual) {
            let [s, t] = scales;
            y.iter_mut().zip(z).for_each(|(v, &z)| *v = *v * s + z * t);
        }
        y
    }
}

/// The end of a convolution's kernels: constants, bindings and words of `shaders/conv.wgsl` and `conv_cc.wgsl`.
pub(super) struct Ending {
    kept: Option<BufferId>,
    rows: Option<BufferId>,
    gains: Option<BufferId>,
    lanes: BufferId,
    residual: Option<(BufferId, u64)>,
    blocks: usize,
    added: [Immediate; 6],
}

impl Ending {
    /// Of the convolution that is being lowered.
    pub fn of(epilogue: &Epilogue, cx: &mut Lowering) -> Result<Self> {
        let blocks = cx.output.blocks;
        let mut kept = None;
        if epilogue.kept {
            let room = cx.inputs.len().checked_sub(epilogue.inputs()).and_then(|first| cx.inputs.get(first));
            let room = room.filter(|room| room.stride == blocks && room.slots == cx.output.slots);
            let room = room.ok_or_else(|| Error::invalid(cx.node, "there is no room of its own for its slopes"))?;
            kept = Some(room.buffer);
        }
        let mut table = |row: &Option<TimeRow>, label| {
            let row = row.as_ref()?;
            let mut packed = vec![0f32; cx.rows[row.table].len() * blocks * 4];
            for (k, values) in cx.rows[row.table].iter().enumerate() {
                for (c, &entry) in row.entries.iter().enumerate() {
                    packed[k * blocks * 4 + c] = values[entry] as f32;
                }
            }
            Some(cx.program.constant(cx.label(label), &packed))
        };
        let (rows, gains) = (table(&epilogue.row, "time rows"), table(&epilogue.gain, "gains"));
        let names = ["z_stride", "z_first0", "z_count0", "z_first1", "s", "t"];
        let (mut residual, mut added) = (None, names.map(|name| (name, 0)));
        if let (Some(scales), Some(z)) = (epilogue.residual, cx.inputs.last()) {
            if z.slots != cx.output.slots {
                return Err(Error::invalid(cx.node, "the channels of its residual are ordered differently in memory"));
            }
            let ([stride, first, count, second], [s, t]) = (z.second(), scales.map(|s| (s as f32).to_bits()));
            added = [stride, first, count, second, ("s", s), ("t", t)];
            residual = Some((z.buffer, z.bytes()));
        }
        Ok(Self { kept, rows, gains, lanes: cx.lanes, residual, blocks, added })
    }

    /// The kernel's own immediates, and behind them those of `shaders/lib/conv_end_immediates.wgsl`.
    pub fn behind(&self, own: &[Immediate], phase: u32) -> Vec<Immediate> {
        let ends = [("out_blocks", self.blocks as u32), ("phase", phase)];
        own.iter().copied().chain(ends).chain(self.added).collect()
    }

    /// The dispatches that store results.
    pub fn passes(&self, job: &Job, cx: &mut Lowering, place: &Place) -> Vec<Pass> {
        Pass::of(cx, job.epilogue.curved(), self.kept, place)
    }

    /// Constants and bindings of one dispatch; `last` stores results, others sums.
    pub fn pass(
        &self,
        job: &Job,
        cx: &mut Lowering,
        pass: &Pass,
        last: bool,
    ) -> (Vec<(&'static str, i64)>, Vec<(&'static str, BufferId, Access)>) {
        let values = last && pass.role != LaneRole::Tangents;
        let (rows, gains) = (self.rows.filter(|_| values), self.gains.filter(|_| last));
        let residual = self.residual.filter(|_| last);
        let curve = job.epilogue.curve.filter(|_| values);
        let [_, keep, sloped] = pass.constants();
        let own = [
            ("SILU", job.epilogue.silu && values),
            ("CURVE", curve.is_some()),
            ("ROW", rows.is_some()),
            ("GAIN", gains.is_some()),
            ("AGAIN", job.epilogue.again && values),
            ("RESIDUAL", residual.is_some()),
        ];
        let own = own.map(|(name, on)| (name, on as i64)).into_iter().chain([keep, sloped]);
        let constants = own.chain(curve.into_iter().flat_map(|f| Curve::Pointwise(f).constants())).collect();
        let access = cx.x_access();
        if let (Some((buffer, bytes)), Access::Image) = (residual, access) {
            cx.program.mirror(buffer, bytes);
        }
        let tables = [("time_rows", rows), ("gains", gains)].into_iter();
        let tables = tables.filter_map(|(name, table)| Some((name, table?, Access::Read)));
        let lanes = (rows.is_some() || gains.is_some()).then_some(("lanes", self.lanes, Access::Read));
        let residual = residual.map(|(buffer, _)| ("z", buffer, access));
        (constants, pass.binding(cx).into_iter().chain(tables).chain(lanes).chain(residual).collect())
    }
}
