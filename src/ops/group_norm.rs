//! Group normalisation (arXiv 1803.08494) with gain and shift that may depend on the timestep, optionally with SiLU:
//! `y_c = act(g_c (x_c - mu) r + h_c)`, r = 1 / sqrt(var + eps), mu and var over the pixels and channels of c's group.
//! Tangent rule: y_c' = act' g_c r (x_c' - m1 - xh m2), xh = (x - mu) r, m1 = mean(x'), m2 = mean(xh x') over the group.
//! Three kernels: `norm_sums` by chunks of pixels, `norm_coefficients` by group, `group_norm` element by element.
use super::elementwise::{Elementwise, grouped};
use super::fold::{Before, LoadKind, Loads, Rows, Setting, Then};
use super::window::{Padding, Window};
use super::{Band, Case, Family, Launch, Op, Reads, View};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, BufferId, Grid, Immediate, Kernel, Part, Step, named};
use crate::shape::Shape;
use std::ops::Range;
use std::sync::Arc;

/// Where gain and shift come from.
#[derive(Clone, Debug)]
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
        /// h
        shift: usize,
    },
}

/// Normalisation over groups of neighbouring channels.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    /// Channels read and written.
    pub channels: usize,
    /// Number of groups.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Gain and shift.
    pub scale: Scale,
    /// Whether SiLU follows.
    pub silu: bool,
    /// None: of its one input. Else of input 0, which is this one of the bands of rows that follow as inputs 1, 2, ..; the
    /// first band's launch measures all of them, those of the others follow it at once and use what it found.
    pub band: Option<usize>,
}

/// Pixels that one thread sums: about the root of all, so that sums and their merging are alike in length; whole rows, so
/// that bands of rows sum the same.
pub(crate) fn chunk(s: Shape) -> usize {
    (s.pixels().isqrt().max(16).div_ceil(s.w) * s.w).min(s.pixels())
}

/// The tensor whose bands these are.
fn whole(bands: &[View]) -> Shape {
    Shape { h: bands.iter().map(|v| v.shape.h).sum(), ..bands[0].shape }
}

impl GroupNorm {
    /// g and h by timestep row, `[rows][2][channels]`.
    fn table(&self, cx: &Launch) -> Vec<f32> {
        let f32s = |row: &[f64]| row.iter().map(|&v| v as f32).collect::<Vec<_>>();
        match &self.scale {
            Scale::Fixed { gain, shift } => gain.iter().chain(shift.iter()).copied().collect(),
            &Scale::Rows { gain, shift } => {
                cx.rows[gain].iter().zip(&cx.rows[shift]).flat_map(|(g, h)| [f32s(g), f32s(h)].concat()).collect()
            }
        }
    }

    /// Appends the kernels that make the coefficients from all bands, for one part of the lanes.
    fn measure(
        &self,
        cx: &mut Launch,
        part: Part,
        views: &[View],
        [sums, moments, coefficients]: [BufferId; 3],
        tables: [BufferId; 2],
    ) {
        let (blocks, size, group) = (views[0].blocks(), self.channels / self.groups, cx.program.group());
        let whole = whole(views);
        let (pixels, chunk, padding) = (whole.pixels(), chunk(whole), 4 * blocks - self.channels);
        let chunks = pixels.div_ceil(chunk);
        let rowed = matches!(self.scale, Scale::Rows { .. }) as usize;
        let immediates = |view: &View, first: usize, pixels: usize| -> Vec<Immediate> {
            let words = named(["pixels", "in_stride", "blocks"], [pixels, view.stride, blocks].map(|v| v as u32));
            let shape = [
                ("chunk", chunk),
                ("chunks", pixels.div_ceil(chunk)),
                ("first", first),
                ("all", chunks),
                ("groups", self.groups),
                ("size", size),
                ("padding", padding),
                ("rowed", rowed),
            ]
            .map(|(name, v)| (name, v as u32));
            let words = words.into_iter().chain(view.runs()).chain([("group", group)]).chain(shape);
            words.chain([("epsilon", (self.epsilon as f32).to_bits())]).collect()
        };
        let tangents = part == Part::Tangents;
        let lanes = [("KEEP", (part == Part::Primals) as i64), ("SLOPED", tangents as i64)];
        let access = cx.x_access();
        let known = tangents.then_some(("moments", moments, Access::Read));
        let mut first = 0;
        for view in views {
            let pixels = view.shape.pixels();
            if access == Access::Image {
                cx.program.mirror(view.buffer, view.bytes());
            }
            let bindings = [("x", view.buffer, access), ("sums", sums, Access::Write)].into_iter().chain(known);
            let read = 16 * pixels * blocks * if tangents { 2 } else { 1 };
            cx.program.push(Step {
                label: cx.label("sums"),
                op: "norm_sums",
                kernel: Kernel {
                    shader: "norm_sums",
                    constants: [cx.family().constant()].into_iter().chain(lanes).collect(),
                },
                bindings: bindings.collect(),
                part,
                immediates: immediates(view, first, pixels),
                grid: Grid { items: (pixels.div_ceil(chunk) * blocks) as u32, workgroup: 64, groups: 1 },
                flops: 3 * view.shape.len() as u64,
                bytes: read as u64,
            });
            first += pixels.div_ceil(chunk);
        }
        // A vector of a CPU's: their threads run in one vector, and waiting for each other costs nothing.
        let workgroup = if cx.family() == Family::Cpu { 8 } else { 64 };
        let [members, rows] = tables;
        cx.program.push(Step {
            label: cx.label("coefficients"),
            op: "norm_coefficients",
            kernel: Kernel {
                shader: "norm_coefficients",
                constants: lanes.into_iter().chain([("WORKGROUP", workgroup)]).collect(),
            },
            bindings: vec![
                ("sums", sums, Access::Read),
                ("members", members, Access::Read),
                ("rows", rows, Access::Read),
                ("lanes", cx.lanes, Access::Read),
                ("moments", moments, Access::Write),
                ("coefficients", coefficients, Access::Write),
            ],
            part,
            immediates: immediates(&views[0], 0, pixels),
            grid: Grid { items: self.groups as u32, workgroup: 1, groups: 1 },
            flops: (8 * chunks * self.channels) as u64,
            bytes: (32 * chunks * blocks + 48 * blocks) as u64,
        });
    }
}

/// With a band's number x is that band and what is beside it, and the bands follow as inputs.
impl Loads for GroupNorm {
    fn kind(&self) -> LoadKind {
        LoadKind::Norm { silu: self.silu }
    }

    fn pays(&self, _: usize, setting: Setting) -> bool {
        setting.tangents == 0
    }

    fn inputs(&self, given: usize) -> usize {
        if self.band.is_some() { given } else { 1 }
    }

    fn loaded(&self, inputs: &[Shape]) -> Result<Shape> {
        if self.band.is_some() { Ok(inputs[0]) } else { self.shape(inputs) }
    }

    fn values(&self, inputs: &[&[Dual]], shapes: &[Shape], times: &[Vec<f64>]) -> Vec<Dual> {
        self.twin(inputs, shapes, times)
    }

    fn cost(&self, output: Shape) -> u64 {
        self.flops(&[], Shape { c: self.channels, ..output })
    }

    fn split(
        &self,
        window: Window,
        input: Shape,
        bands: &[Range<usize>],
        which: usize,
    ) -> Option<(Arc<dyn Loads>, Padding, Rows)> {
        let all = self.band(&[input], bands, which)?.reads.into_iter().skip(1);
        let (rows, padding) = window.padding.band(&bands[which], window.kernel, window.stride, input.h)?;
        let reads = [(0, rows)].into_iter().chain(all).collect();
        Some((Arc::new(Self { band: Some(which), ..self.clone() }), padding, reads))
    }

    fn prepare(&self, cx: &mut Launch, inputs: usize) -> Result<(&'static str, BufferId)> {
        let views = if self.band.is_some() { &cx.inputs[1..inputs] } else { &cx.inputs[..1] }.to_vec();
        Ok(("coefficients", self.coefficients(cx, views, self.band.unwrap_or(0) == 0)?))
    }
}

impl Op for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let s = match (self.band, inputs) {
            (None, _) => super::one(inputs)?,
            (Some(band), [own, bands @ ..]) if bands.get(band) == Some(own) => *own,
            (Some(band), _) => {
                return Err(Error::invalid(
                    "inputs",
                    format!("{inputs:?}: the first is not band {band} of the others"),
                ));
            }
        };
        if s.c != self.channels {
            return Err(Error::invalid("input", format!("{} channels, the weights expect {}", s.c, self.channels)));
        }
        if self.groups == 0 || !self.channels.is_multiple_of(self.groups) {
            let message = format!("{} channels do not form {} equal groups", self.channels, self.groups);
            return Err(Error::invalid("groups", message));
        }
        match &self.scale {
            Scale::Fixed { gain, shift } if [gain.len(), shift.len()] != [self.channels; 2] => Err(Error::invalid(
                "weights",
                format!("{} gains and {} shifts for {} channels", gain.len(), shift.len(), self.channels),
            )),
            _ => Ok(s),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let (pixels, size) = (shapes[0].pixels(), self.channels / self.groups);
        let bands = if self.band.is_some() { 1.. } else { 0.. };
        let bands: Vec<_> = inputs[bands.clone()].iter().zip(&shapes[bands]).collect();
        let scale = |c: usize| match &self.scale {
            Scale::Fixed { gain, shift } => (f64::from(gain[c]), f64::from(shift[c])),
            &Scale::Rows { gain, shift } => (rows[gain][c], rows[shift][c]),
        };
        let mut y = Vec::with_capacity(inputs[0].len());
        for (g, x) in inputs[0].chunks_exact(size * pixels).enumerate() {
            let all = || bands.iter().flat_map(|(x, s)| &x[g * size * s.pixels()..(g + 1) * size * s.pixels()]);
            let per = 1.0 / all().count() as f64;
            let mean = all().copied().sum::<Dual>() * per;
            let var = all().map(|&x| (x - mean) * (x - mean)).sum::<Dual>() * per;
            let r = Dual::constant(1.0) / (var + Dual::constant(self.epsilon)).sqrt();
            for (i, &x) in x.iter().enumerate() {
                let (gain, shift) = scale(g * size + i / pixels);
                let z = (x - mean) * r * gain + Dual::constant(shift);
                y.push(if self.silu { z.silu() } else { z });
            }
        }
        y
    }

    fn flops(&self, _: &[Shape], output: Shape) -> u64 {
        (if self.silu { 9 } else { 5 }) * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::InPlace
    }

    fn then(&self, then: &Then) -> Option<Arc<dyn Op>> {
        (matches!(then, Then::Silu) && !self.silu).then(|| Arc::new(Self { silu: true, ..self.clone() }) as _)
    }

    fn as_before(&self) -> Option<Before> {
        self.band.is_none().then(|| Before::Loads(Arc::new(self.clone())))
    }

    fn band(&self, inputs: &[Shape], bands: &[Range<usize>], which: usize) -> Option<Band> {
        let rows = chunk(inputs[0]) / inputs[0].w;
        let whole = bands.iter().all(|band| band.start.is_multiple_of(rows));
        let reads = [&bands[which]].into_iter().chain(bands).map(|rows| (0, rows.clone())).collect();
        whole.then(|| Band { op: Some(Arc::new(Self { band: Some(which), ..self.clone() })), reads })
    }

    fn launch(&self, cx: &mut Launch) -> Result<()> {
        let blocks = cx.inputs[0].blocks();
        let views = if self.band.is_some() { cx.inputs[1..].to_vec() } else { cx.inputs.clone() };
        let coefficients = self.coefficients(cx, views, self.band.unwrap_or(0) == 0)?;
        let flops = self.flops(&[], cx.output.shape);
        let constants = [grouped(cx)];
        let second = Some((coefficients, (48 * blocks) as u64));
        Elementwise { name: "group_norm", silu: self.silu, constants: &constants, second, flops, ..Default::default() }
            .push(cx);
        Ok(())
    }
}

impl GroupNorm {
    /// The buffer of a lane's coefficients, `[3][blocks]` of vec4, made from all bands of the input, or by an earlier band's
    /// node that was the last to ask.
    pub(super) fn coefficients(&self, cx: &mut Launch, views: Vec<View>, first: bool) -> Result<BufferId> {
        let view = cx.inputs[0].clone();
        if views.iter().any(|v| v.slots != view.slots) {
            return Err(Error::invalid(cx.node, "the channels of its bands are ordered differently in memory"));
        }
        let (whole, blocks) = (whole(&views), view.blocks());
        let mut members: Vec<u32> = view.slots.iter().map(|&slot| slot as u32).collect();
        members.extend((0..4 * blocks as u32).filter(|slot| !view.slots.contains(&(*slot as usize))));
        let members = cx.program.constant(cx.label("members"), &members);
        let table = self.table(cx);
        let rows = cx.program.constant(cx.label("gain and shift"), &table);
        let sums = cx.shared("norm sums", (32 * whole.pixels().div_ceil(chunk(whole)) * blocks) as u64);
        let moments = cx.shared("norm moments", (32 * blocks) as u64);
        let coefficients = cx.shared("norm coefficients", (48 * blocks) as u64);
        let parts: &[Part] = if cx.program.tangents() == 0 { &[Part::All] } else { &[Part::Primals, Part::Tangents] };
        if first {
            for &part in parts {
                self.measure(cx, part, &views, [sums, moments, coefficients], [members, rows]);
            }
        }
        Ok(coefficients)
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let fixed = |c: usize| Scale::Fixed { gain: super::conv::noise(c, 3), shift: super::conv::noise(c, 4) };
    let case = |name, c, groups, h, w, scale: Scale, silu| Case {
        name,
        row: if matches!(scale, Scale::Rows { .. }) { Some(c) } else { None },
        op: Arc::new(GroupNorm { channels: c, groups, epsilon: 1e-5, scale, silu, band: None }),
        inputs: vec![Shape::new(c, h, w)],
    };
    vec![
        case("12 channels, 3 groups", 12, 3, 5, 7, fixed(12), false),
        case("14 channels, 7 groups, silu", 14, 7, 3, 5, fixed(14), true),
        case("10 channels, 2 groups, silu", 10, 2, 9, 13, fixed(10), true),
        case("6 channels, 6 groups, rows", 6, 6, 7, 9, Scale::Rows { gain: 0, shift: 0 }, false),
        case("3 channels, one group", 3, 1, 20, 15, fixed(3), false),
    ]
}
