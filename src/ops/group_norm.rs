//! Group normalisation (arXiv 1803.08494) with gain and shift that may depend on the timestep:
//! `y_c = g_c (x_c - mu) r + h_c`, r = 1 / sqrt(var + eps), mu and var over the pixels and channels of c's group.
//! Tangent rule: y_c' = g_c r (x_c' - m1 - xh m2), xh = (x - mu) r, m1 = mean(x'), m2 = mean(xh x') over the group. Adjoint: `project`.
//! Three kernels: `norm_sums` by chunks of pixels, `norm_coefficients` by group, `group_norm` element by element, which can put
//! SiLU on its store.
use super::elementwise::{Elementwise, Second, grouped};
use super::scale::Scale;
use super::{Case, Lowering, Op, Reads, Reverse, Share, View};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, BufferId, Grid, Immediate, Kernel, LaneRole, Step, named};
use crate::shape::Shape;
use crate::target::KernelFamily;
use std::sync::Arc;

/// Normalisation over groups of neighbouring channels.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNorm {
    /// Channels read and written.
    pub channels: usize,
    /// Number of groups.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Gain and shift.
    pub scale: Scale,
}

/// Pixels that one thread sums: about the root of all, so that sums and their merging are alike in length; whole rows, so
/// that bands of rows that begin with one sum the same.
pub(crate) fn chunk(s: Shape) -> usize {
    (s.pixels().isqrt().max(16).div_ceil(s.w) * s.w).min(s.pixels())
}

/// The tensor whose rows these hold, in order.
fn whole(parts: &[View]) -> Shape {
    Shape { h: parts.iter().map(|v| v.shape.h).sum(), ..parts[0].shape }
}

impl GroupNorm {
    /// Immediates of the kernels that make the coefficients from the rows in `views`: for `view`, so many pixels behind so
    /// many chunks.
    fn words(&self, cx: &Lowering, views: &[View], view: &View, first: usize, pixels: usize) -> Vec<Immediate> {
        let (whole, blocks) = (whole(views), views[0].blocks());
        let chunk = chunk(whole);
        let words = named(["pixels", "in_stride", "blocks"], [pixels, view.stride, blocks].map(|v| v as u32));
        let shape = [
            ("chunk", chunk),
            ("chunks", pixels.div_ceil(chunk)),
            ("first", first),
            ("all", whole.pixels().div_ceil(chunk)),
            ("groups", self.groups),
            ("size", self.channels / self.groups),
            ("padding", 4 * blocks - self.channels),
            ("rowed", matches!(self.scale, Scale::Rows { .. }) as usize),
        ]
        .map(|(name, v)| (name, v as u32));
        let words = words.into_iter().chain(view.runs()).chain([("group", cx.program.group())]).chain(shape);
        words.chain([("epsilon", (self.epsilon as f32).to_bits())]).collect()
    }

    /// Appends the kernels that sum the rows in these views, chunk by chunk, for the lanes of one role; of tangents beside the `moments`
    /// of their primals.
    fn sum(&self, cx: &mut Lowering, role: LaneRole, views: &[View], sums: BufferId, moments: Option<BufferId>) {
        let (chunk, access) = (chunk(whole(views)), cx.x_access());
        let mut first = 0;
        for view in views {
            let (pixels, blocks) = (view.shape.pixels(), view.blocks());
            if access == Access::Image {
                cx.program.mirror(view.buffer, view.bytes());
            }
            let known = moments.map(|moments| ("moments", moments, Access::Read));
            let bindings = [("x", view.buffer, access), ("sums", sums, Access::Write)].into_iter().chain(known);
            let read = 16 * pixels * blocks * if moments.is_some() { 2 } else { 1 };
            let constants = [cx.family().constant()].into_iter().chain(lanes(role)).collect();
            cx.program.push(Step {
                label: cx.label("sums"),
                op: "norm_sums",
                kernel: Kernel { shader: "norm_sums", constants },
                bindings: bindings.collect(),
                role,
                immediates: self.words(cx, views, view, first, pixels),
                grid: Grid { items: (pixels.div_ceil(chunk) * blocks) as u32, workgroup: 64, groups: 1 },
                flops: 3 * view.shape.len() as u64,
                bytes: read as u64,
            });
            first += pixels.div_ceil(chunk);
        }
    }

    /// Appends the kernels that make moments, and coefficients, from the rows in these views, for the lanes of one role.
    fn measure(
        &self,
        cx: &mut Lowering,
        role: LaneRole,
        views: &[View],
        made: &Made,
        [members, rows, lanes]: [BufferId; 3],
    ) {
        let (blocks, pixels) = (views[0].blocks(), whole(views).pixels());
        let chunks = pixels.div_ceil(chunk(whole(views)));
        let Made { sums, moments, coefficients } = *made;
        self.sum(cx, role, views, sums, (role == LaneRole::Tangents).then_some(moments));
        let found =
            [("sums", sums, Access::Read), ("members", members, Access::Read), ("moments", moments, Access::Write)];
        let further = coefficients.map(|coefficients| {
            [
                ("rows", rows, Access::Read),
                ("lanes", lanes, Access::Read),
                ("coefficients", coefficients, Access::Write),
            ]
        });
        let constants = [cx.family().constant(), ("MOMENTS", i64::from(coefficients.is_none()))];
        let constants = self::lanes(role).into_iter().chain(constants).chain(teams(cx.family()));
        cx.program.push(Step {
            label: cx.label("coefficients"),
            op: "norm_coefficients",
            kernel: Kernel { shader: "norm_coefficients", constants: constants.collect() },
            bindings: found.into_iter().chain(further.into_iter().flatten()).collect(),
            role,
            immediates: self.words(cx, views, &views[0], 0, pixels),
            grid: teams_grid(cx.family(), self.groups),
            flops: (8 * chunks * self.channels) as u64,
            bytes: (32 * chunks * blocks + 48 * blocks) as u64,
        });
    }
}

/// Buffers of what is found of a tensor.
struct Made {
    /// By chunk of pixels.
    sums: BufferId,
    /// Mu and r.
    moments: BufferId,
    /// Of y = a x + c + b x0; none: not made.
    coefficients: Option<BufferId>,
}

/// Constants of shaders that say which lanes a step is for.
fn lanes(role: LaneRole) -> [(&'static str, i64); 2] {
    [("KEEP", (role == LaneRole::Primals) as i64), ("SLOPED", (role == LaneRole::Tangents) as i64)]
}

/// Threads of a workgroup that makes coefficients, and of a team that makes a group's: on CPUs, where a workgroup whose threads wait for each
/// other costs more than what it computes, every thread makes a group's alone.
pub(super) fn teams(family: KernelFamily) -> [(&'static str, i64); 2] {
    let sizes = if family == KernelFamily::Cpu { [8, 1] } else { [64, 64] };
    [("WORKGROUP", sizes[0]), ("TEAM", sizes[1])]
}

/// Their dispatch.
pub(super) fn teams_grid(family: KernelFamily, groups: usize) -> Grid {
    let [(_, threads), (_, team)] = teams(family);
    Grid { items: groups as u32, workgroup: (threads / team) as u32, groups: 1 }
}

impl Op for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        if self.groups == 0 || !self.channels.is_multiple_of(self.groups) {
            let message = format!("{} channels do not form {} equal groups", self.channels, self.groups);
            return Err(Error::invalid("groups", message));
        }
        self.scale.shape(inputs, self.channels)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        self.values((inputs[0], shapes[0]), &[(inputs[0], shapes[0])], rows)
    }

    fn adjoint(&self, cx: &mut Reverse) -> Result<Vec<Share>> {
        let (u, x) = (cx.cotangent(), cx.input(0));
        Ok(vec![Share::Whole(cx.projected(self, [u, x])?)])
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        5 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::InPlace
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let coefficients = self.coefficients(cx, &cx.inputs.clone(), true)?;
        self.lower_then(cx, coefficients, false, self.flops(&[], cx.output.shape));
        Ok(())
    }
}

impl GroupNorm {
    /// The f64 oracle: x, some rows of a tensor, normalised by the moments of all its rows, which `parts` hold.
    pub(crate) fn values(&self, (x, s): (&[Dual], Shape), parts: &[(&[Dual], Shape)], rows: &[Vec<f64>]) -> Vec<Dual> {
        let (pixels, size) = (s.pixels(), self.channels / self.groups);
        let mut y = Vec::with_capacity(x.len());
        for (g, x) in x.chunks_exact(size * pixels).enumerate() {
            let all = || parts.iter().flat_map(|(x, s)| &x[g * size * s.pixels()..(g + 1) * size * s.pixels()]);
            let per = 1.0 / all().count() as f64;
            let mean = all().copied().sum::<Dual>() * per;
            let var = all().map(|&x| (x - mean) * (x - mean)).sum::<Dual>() * per;
            let r = Dual::constant(1.0) / (var + Dual::constant(self.epsilon)).sqrt();
            for (i, &x) in x.iter().enumerate() {
                let (gain, shift) = self.scale.of(g * size + i / pixels, rows);
                y.push((x - mean) * r * gain + Dual::constant(shift));
            }
        }
        y
    }

    /// A constant of the positions of its channels among the blocks of what it reads, then of what holds no channel.
    pub(super) fn members(&self, cx: &mut Lowering, view: &View) -> BufferId {
        let mut members: Vec<u32> = view.slots.iter().map(|&slot| slot as u32).collect();
        members.extend((0..4 * view.blocks() as u32).filter(|slot| !view.slots.contains(&(*slot as usize))));
        cx.program.constant(cx.label("members"), &members)
    }

    /// A constant of gain and shift by timestep.
    pub(super) fn gains(&self, cx: &mut Lowering) -> BufferId {
        let table = self.scale.table(cx);
        cx.program.constant(cx.label("gain and shift"), &table)
    }

    /// Mu and r of what a view shows, `[lane][2][blocks]` of vec4, for the lanes that it has: where it is read apart, they are of
    /// another space than the node. With `values`, the coefficients by which they make the norm's own output too, `[lane][3][blocks]`.
    ///
    /// # Errors
    /// No table of those lanes.
    pub(super) fn points(
        &self,
        cx: &mut Lowering,
        view: &View,
        [members, rows]: [BufferId; 2],
        values: bool,
    ) -> Result<(BufferId, Option<BufferId>)> {
        let own = cx.program.space();
        let of = if view.apart.is_some() { cx.program.space_of(view.buffer) } else { own };
        let names = match view.apart {
            None => ["norm sums", "norm moments", "norm coefficients"],
            Some(_) => ["norm sums, apart", "norm moments, apart", "norm coefficients, apart"],
        };
        let lanes = *cx.lanes_of.get(&of).ok_or_else(|| Error::invalid(cx.node, "reads what has no lanes"))?;
        cx.program.go_to(of);
        let blocks = view.blocks();
        let chunks = view.shape.pixels().div_ceil(chunk(view.shape));
        let bytes = [32 * chunks * blocks, 32 * blocks, 48 * blocks].map(|bytes| bytes as u64);
        let [sums, moments] = [0, 1].map(|i| cx.shared(names[i], bytes[i]));
        let coefficients = values.then(|| cx.shared(names[2], bytes[2]));
        let made = Made { sums, moments, coefficients };
        self.measure(cx, LaneRole::All, std::slice::from_ref(view), &made, [members, rows, lanes]);
        cx.program.go_to(own);
        Ok((moments, coefficients))
    }

    /// The buffer of a lane's coefficients, `[3][blocks]` of vec4, of the tensor whose rows `parts` hold, in order: made from
    /// them, or, if not `measured` here, by the node before, which asked for those of the same tensor.
    pub(crate) fn coefficients(&self, cx: &mut Lowering, parts: &[View], measured: bool) -> Result<BufferId> {
        let view = cx.inputs[0].clone();
        if parts.iter().any(|v| v.slots != view.slots) {
            return Err(Error::invalid(cx.node, "the channels of its bands are ordered differently in memory"));
        }
        let (whole, blocks) = (whole(parts), view.blocks());
        let members = self.members(cx, &view);
        let rows = self.gains(cx);
        let sums = cx.shared("norm sums", (32 * whole.pixels().div_ceil(chunk(whole)) * blocks) as u64);
        let moments = cx.shared("norm moments", (32 * blocks) as u64);
        let coefficients = cx.shared("norm coefficients", (48 * blocks) as u64);
        let lanes: &[LaneRole] =
            if cx.program.tangents() == 0 { &[LaneRole::All] } else { &[LaneRole::Primals, LaneRole::Tangents] };
        if measured {
            for &role in lanes {
                let made = Made { sums, moments, coefficients: Some(coefficients) };
                self.measure(cx, role, parts, &made, [members, rows, cx.lanes]);
            }
        }
        Ok(coefficients)
    }

    /// The last kernel, which applies them, perhaps with SiLU on its store; so many operations per lane.
    pub(crate) fn lower_then(&self, cx: &mut Lowering, coefficients: BufferId, silu: bool, flops: u64) {
        let constants = [grouped(cx)];
        let bytes = (48 * cx.inputs[0].blocks()) as u64;
        let second = Some(Second { buffer: coefficients, bytes, apart: None });
        Elementwise {
            name: "group_norm",
            silu,
            constants: &constants,
            second,
            flops,
            pairs: true,
            ..Default::default()
        }
        .push(cx);
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let fixed = |c: usize| Scale::Fixed { gain: super::conv::noise(c, 3), shift: super::conv::noise(c, 4) };
    let case = |name, c, groups, h, w, scale: Scale| Case {
        name,
        row: if matches!(scale, Scale::Rows { .. }) { Some(c) } else { None },
        op: Arc::new(GroupNorm { channels: c, groups, epsilon: 1e-5, scale }),
        inputs: vec![Shape::new(c, h, w)],
    };
    vec![
        case("12 channels, 3 groups", 12, 3, 5, 7, fixed(12)),
        case("14 channels, 7 groups", 14, 7, 3, 5, fixed(14)),
        case("10 channels, 2 groups", 10, 2, 9, 13, fixed(10)),
        case("6 channels, 6 groups, rows", 6, 6, 7, 9, Scale::Rows { gain: 0, shift: Some(0) }),
        case("3 channels, one group", 3, 1, 20, 15, fixed(3)),
    ]
}
