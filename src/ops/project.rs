//! What a group norm gives back of a cotangent: `y = r (v - m(v) - xh m(xh v))`, v_c = g_c u_c, xh = (x - mu) r, r = 1 / sqrt(var + eps);
//! mu, var and the means m over the pixels and channels of c's group of x, which is input 1; u is input 0. The transpose of a norm's
//! tangent rule (`group_norm`), which needs neither xh nor v in memory. Tangents, adjoint: those of the ops that `parts` makes.
//! Kernels: `norm_sums` and `norm_coefficients` find mu and r of x; `project_sums` by chunks of pixels, `project_coefficients` by group,
//! `project` element by element.
use super::elementwise::{Elementwise, Second, tiled};
use super::filter::{Filter, Taps};
use super::group_norm::{GroupNorm, chunk, teams, teams_grid};
use super::normed::{Normed, weighed};
use super::reduce::{Made, Reduce};
use super::scale::Scale;
use super::{Case, Lowering, Op, Reads, Reverse, Value, View};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, BufferId, Grid, Kernel, LaneRole, Step, named};
use crate::shape::Shape;
use std::sync::Arc;

/// J'u of a group norm at x, of inputs u and x.
#[derive(Clone, Debug)]
pub struct Project {
    /// The norm; its shifts have no effect.
    pub norm: GroupNorm,
}

impl Op for Project {
    fn name(&self) -> &'static str {
        "project"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        match inputs {
            [u, x] if u == x => self.norm.shape(&inputs[..1]),
            _ => Err(Error::invalid("inputs", format!("{inputs:?}, expected a cotangent and a value of one shape"))),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let size = self.norm.channels / self.norm.groups;
        let (pixels, per) = (shapes[0].pixels(), 1.0 / (size * shapes[0].pixels()) as f64);
        let mut y = Vec::with_capacity(inputs[0].len());
        let groups = inputs[0].chunks_exact(size * pixels).zip(inputs[1].chunks_exact(size * pixels));
        for (g, (u, x)) in groups.enumerate() {
            let mean = |all: &[Dual]| all.iter().copied().sum::<Dual>() * per;
            let mu = mean(x);
            let centred: Vec<Dual> = x.iter().map(|&x| x - mu).collect();
            let variance = centred.iter().map(|&x| x * x).sum::<Dual>() * per;
            let r = Dual::constant(1.0) / (variance + Dual::constant(self.norm.epsilon)).sqrt();
            let unit: Vec<Dual> = centred.iter().map(|&x| x * r).collect();
            let gain = |i: usize| self.norm.scale.of(g * size + i / pixels, rows).0;
            let v: Vec<Dual> = u.iter().enumerate().map(|(i, &u)| u * gain(i)).collect();
            let along = v.iter().zip(&unit).map(|(&v, &xh)| v * xh).sum::<Dual>() * per;
            let own = mean(&v);
            y.extend(v.iter().zip(&unit).map(|(&v, &xh)| r * (v - own - xh * along)));
        }
        y
    }

    fn parts(&self, cx: &mut Reverse) -> Result<Option<Value>> {
        self.parts_of(cx, cx.input(0)).map(Some)
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        11 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::InPlace
    }

    fn finds_primals(&self, input: usize) -> bool {
        input == 1
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        self.lower_behind(cx, false)
    }
}

/// What the kernels read besides u and x.
struct Known {
    /// Positions of channels.
    members: BufferId,
    /// Gain and shift.
    rows: BufferId,
    /// Mu and r of x.
    moments: BufferId,
    /// Coefficients of the norm itself, where SiLU is behind it.
    norm: Option<BufferId>,
}

impl Project {
    /// Appends the kernels. `silu`: of u times the slope of SiLU at what the norm makes of x, instead of u.
    pub(crate) fn lower_behind(&self, cx: &mut Lowering, silu: bool) -> Result<()> {
        let [u, x] = [cx.inputs[0].clone(), cx.inputs[1].clone()];
        if u.slots != x.slots {
            return Err(Error::invalid(cx.node, "the channels of both inputs are ordered differently in memory"));
        }
        let (members, rows) = (self.norm.members(cx, &x), self.norm.gains(cx));
        let (moments, norm) = self.norm.points(cx, &x, [members, rows], silu)?;
        let known = Known { members, rows, moments, norm };
        let sums = self.sums(cx, [&u, &x], &known);
        let coefficients = self.coefficients(cx, &x, sums, &known);
        let reads: Vec<_> =
            [("coefficients", coefficients)].into_iter().chain(norm.map(|norm| ("norm", norm))).collect();
        Elementwise {
            name: "project",
            constants: &[known.silu()],
            second: Second::of(&x),
            reads: &reads,
            own: &x.second(),
            items: tiled(cx),
            flops: (5 + if silu { SLOPE } else { 0 }) * cx.output.shape.len() as u64,
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }

    /// The same of this u, and of x which is input 1, of ops that have tangents and adjoints.
    pub(crate) fn parts_of(&self, cx: &mut Reverse, u: Value) -> Result<Value> {
        let x = cx.input(1);
        let (s, size) = (cx.shape(x), self.norm.channels / self.norm.groups);
        let sum = |cx: &mut Reverse, value: Value| {
            let all = Filter { rows: Taps::sum(s.h), columns: Taps::sum(s.w) };
            let channels = cx.push("of channels", all, &[value])?;
            let sums = cx.push("of groups", Reduce { heads: self.norm.groups, made: Made::Sum(1.0) }, &[channels])?;
            cx.repeated(sums, size)
        };
        let normed = Normed { sum, count: (size * s.pixels()) as f64, centred: true };
        let (unit, v) = (normed.unit(cx, x, self.norm.epsilon)?, weighed(cx, u, &self.norm.scale)?);
        normed.transposed(cx, v, unit)
    }

    /// Lanes per sample of u and of x.
    fn lanes(x: &View) -> [(&'static str, u32); 2] {
        named(["x_to", "x_from"], x.apart.unwrap_or([1, 1]))
    }

    /// Appends the kernel that sums chunks of pixels; the buffer of its sums.
    fn sums(&self, cx: &mut Lowering, [u, x]: [&View; 2], known: &Known) -> BufferId {
        let (pixels, blocks, access) = (u.shape.pixels(), u.blocks(), cx.x_access());
        let chunks = pixels.div_ceil(chunk(u.shape));
        let sums = cx.shared("project sums", (48 * chunks * blocks) as u64);
        if access == Access::Image {
            [u, x].into_iter().for_each(|view| cx.program.mirror(view.buffer, view.bytes()));
        }
        let sizes = named(["pixels", "blocks", "in_stride"], [pixels, blocks, u.stride].map(|v| v as u32));
        let words = sizes.into_iter().chain(u.runs()).chain(x.second()).chain(Self::lanes(x));
        let ends = [("x", u.buffer, access), ("z", x.buffer, access), ("sums", sums, Access::Write)];
        let found = [Some(("moments", known.moments)), known.norm.map(|norm| ("norm", norm))];
        let found = found.into_iter().flatten().map(|(name, id)| (name, id, Access::Read));
        cx.program.push(Step {
            label: cx.label("sums"),
            op: "project_sums",
            kernel: Kernel { shader: "project_sums", constants: vec![cx.family().constant(), known.silu()] },
            bindings: ends.into_iter().chain(found).collect(),
            role: LaneRole::All,
            immediates: words.chain(named(["chunk", "chunks"], [chunk(u.shape), chunks].map(|v| v as u32))).collect(),
            grid: Grid { items: (chunks * blocks) as u32, workgroup: 64, groups: 1 },
            flops: (5 + if known.norm.is_some() { SLOPE } else { 0 }) * u.shape.len() as u64,
            bytes: (32 * pixels * blocks) as u64,
        });
        sums
    }

    /// Appends the kernel that makes the coefficients of sums, `[lane][4][blocks]` of vec4.
    fn coefficients(&self, cx: &mut Lowering, x: &View, sums: BufferId, known: &Known) -> BufferId {
        let GroupNorm { channels, groups, ref scale, .. } = self.norm;
        let (blocks, size) = (x.blocks(), channels / groups);
        let chunks = x.shape.pixels().div_ceil(chunk(x.shape));
        let coefficients = cx.shared("project coefficients", (64 * blocks) as u64);
        let sizes = [
            ("chunks", chunks),
            ("groups", groups),
            ("size", size),
            ("padding", 4 * blocks - channels),
            ("rowed", usize::from(matches!(scale, Scale::Rows { .. }))),
        ]
        .map(|(name, v)| (name, v as u32));
        let per = (size * x.shape.pixels()) as f32;
        let words = [("blocks", blocks as u32)].into_iter().chain(Self::lanes(x)).chain(sizes);
        let constants = [cx.family().constant()].into_iter().chain(teams(cx.family())).collect();
        cx.program.push(Step {
            label: cx.label("coefficients"),
            op: "project_coefficients",
            kernel: Kernel { shader: "project_coefficients", constants },
            bindings: vec![
                ("sums", sums, Access::Read),
                ("members", known.members, Access::Read),
                ("rows", known.rows, Access::Read),
                ("lanes", cx.lanes, Access::Read),
                ("moments", known.moments, Access::Read),
                ("coefficients", coefficients, Access::Write),
            ],
            role: LaneRole::All,
            immediates: words.chain([("per", per.recip().to_bits())]).collect(),
            grid: teams_grid(cx.family(), groups),
            flops: (4 * chunks * channels) as u64,
            bytes: (48 * chunks * blocks + 64 * blocks) as u64,
        });
        coefficients
    }
}

impl Known {
    /// Constant of shaders that find SiLU's slopes.
    fn silu(&self) -> (&'static str, i64) {
        ("BEHIND_SILU", i64::from(self.norm.is_some()))
    }
}

/// Operations of a slope of SiLU.
const SLOPE: u64 = 12;

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let fixed = |c: usize| Scale::Fixed { gain: super::conv::noise(c, 3), shift: super::conv::noise(c, 4) };
    let case = |name, c, groups, h, w, scale: Scale| Case {
        name,
        row: if matches!(scale, Scale::Rows { .. }) { Some(c) } else { None },
        op: Arc::new(Project { norm: GroupNorm { channels: c, groups, epsilon: 1e-5, scale } }),
        inputs: vec![Shape::new(c, h, w); 2],
    };
    vec![
        case("12 channels, 3 groups", 12, 3, 5, 7, fixed(12)),
        case("14 channels, 7 groups", 14, 7, 3, 5, fixed(14)),
        case("6 channels, 6 groups, rows", 6, 6, 7, 9, Scale::Rows { gain: 0, shift: None }),
        case("3 channels, one group", 3, 1, 20, 15, fixed(3)),
    ]
}
