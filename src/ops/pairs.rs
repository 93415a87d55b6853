//! The steps of attention's kernels, which go through all pairs of pixels of each head (`shaders/lib/pairs.wgsl`). In: an op as it is
//! lowered, its heads, and how much a thread holds. Out: dispatches, and what the ops' twins share.
use super::elementwise::plain;
use super::heads::per_head;
use super::{Lowering, View};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, Grid, Immediate, Kernel, LaneRole, Step, named};
use crate::shape::Shape;
use crate::target::KernelFamily;

/// Threads of a workgroup.
const THREADS: usize = 256;

/// Blocks of a head of so many channels that has whole ones to itself.
pub(super) fn blocks(size: usize) -> usize {
    size.div_ceil(4)
}

/// Where the channels of heads are that have whole blocks to themselves, behind so many blocks of others.
pub(super) fn spaced(heads: usize, size: usize, behind: usize) -> Vec<usize> {
    let head = |h: usize| (0..size).map(move |c| 4 * (behind + h * blocks(size)) + c);
    (0..heads).flat_map(head).collect()
}

/// A kernel of attention.
pub(super) struct Pairs<'a> {
    /// Shader file, and the op's name.
    pub name: &'static str,
    pub heads: usize,
    pub scale: f64,
    /// What its inputs are called.
    pub inputs: &'a [&'static str],
    /// Channels of a head of q and k, and of v.
    pub sizes: [usize; 2],
    /// How many times a thread holds the blocks of a head of q, and those of one of v.
    pub held: [usize; 2],
    /// Pixels of the output, and those that each of them goes through.
    pub pixels: [usize; 2],
    /// Floating-point operations per lane.
    pub flops: u64,
}

/// Into how many slices a head is cut, a power of two, and how many pixels a thread has.
fn split(family: KernelFamily, sizes: [usize; 2], held: [usize; 2]) -> [usize; 2] {
    // Vectors of 4, so many that the compilers for AMD and NVIDIA spill none of their registers (docs/COMPILERS.md). On software adapters memory is as good as
    // those, and compilation takes longer than it saves beyond 64.
    let most = if family == KernelFamily::Cpu { 64 } else { 12 };
    let vectors = |slices: usize| -> usize { (0..2).map(|i| held[i] * blocks(sizes[i]).div_ceil(slices)).sum() };
    let slices = (0..).map(|n| 1 << n).find(|&n| n == THREADS || vectors(n) <= most).unwrap_or(THREADS);
    let points = match family {
        KernelFamily::Cpu => 4,
        KernelFamily::Gpu if slices > 1 => 1,
        KernelFamily::Gpu => [4, 2].into_iter().find(|n| n * vectors(1) <= most).unwrap_or(1),
    };
    [slices, points]
}

impl Pairs<'_> {
    /// Immediates of a kernel; its inputs are ready to be read then.
    pub fn words(&self, cx: &mut Lowering, lanes: &Lanes) -> Result<Vec<Immediate>> {
        let (views, place, access) = (cx.inputs.clone(), cx.output.clone(), cx.x_access());
        let mut words = named(["own", "others"], self.pixels.map(|n| n as u32)).to_vec();
        if let Lanes::Tangents = lanes {
            words.push(("group", cx.program.group()));
        }
        words.push(("scale", (self.scale as f32).to_bits()));
        for (name, view) in self.inputs.iter().zip(&views) {
            words.extend(lanes.input(name, view)?);
            if access == Access::Image {
                cx.program.mirror(view.buffer, view.bytes());
            }
        }
        words.extend(named(["y_stride", "y_first"], [place.stride, place.offset].map(|n| n as u32)));
        Ok(words)
    }

    /// Appends a dispatch for lanes of this role; `lanes`: how a kernel finds them.
    pub fn push(&self, cx: &mut Lowering, role: LaneRole, lanes: &Lanes) -> Result<()> {
        let (views, place, access) = (cx.inputs.clone(), cx.output.clone(), cx.x_access());
        let [slices, points] = split(cx.family(), self.sizes, self.held);
        let [own, others] = self.pixels;
        // A loop's round has four of the others.
        cx.rounds(others.div_ceil(4))?;
        let words = self.words(cx, lanes)?;
        let constants = [
            ("HEADS", self.heads),
            ("FEATURES", self.sizes[0]),
            ("VALUES", self.sizes[1]),
            ("SLICES", slices),
            ("POINTS", points),
            ("MASKED", usize::from(!others.is_multiple_of(4))),
            ("KEEP", usize::from(role == LaneRole::Primals)),
            ("SLOPED", usize::from(role == LaneRole::Tangents)),
        ];
        let constants = constants.map(|(name, value)| (name, value as i64));
        let reads = self.inputs.iter().zip(&views).map(|(&name, view)| (name, view.buffer, access));
        let read: usize = views.iter().map(|view| view.shape.pixels() * view.blocks()).sum();
        cx.program.push(Step {
            label: cx.label(self.name),
            op: self.name,
            kernel: Kernel {
                shader: self.name,
                constants: [cx.family().constant()].into_iter().chain(constants).collect(),
            },
            bindings: reads.chain([("y", place.buffer, Access::Write)]).collect(),
            role,
            immediates: words,
            grid: Grid {
                items: (self.heads * own.div_ceil(points)) as u32,
                workgroup: (THREADS / slices) as u32,
                groups: 1,
            },
            flops: self.flops,
            bytes: 16 * (place.shape.pixels() * place.blocks + read) as u64,
        });
        Ok(())
    }
}

/// How a kernel finds the lanes of its inputs.
pub(super) enum Lanes {
    /// They have the output's, and tangents find their primal.
    Tangents,
    /// They may have lanes of other spaces (`View::apart`).
    Apart,
}

impl Lanes {
    /// Immediates of an input.
    fn input(&self, name: &str, view: &View) -> Result<Vec<Immediate>> {
        const NAMES: [(&str, [&str; 4]); 5] = [
            ("q", ["q_stride", "q_first", "q_to", "q_from"]),
            ("k", ["k_stride", "k_first", "k_to", "k_from"]),
            ("v", ["v_stride", "v_first", "v_to", "v_from"]),
            ("u", ["u_stride", "u_first", "u_to", "u_from"]),
            ("z", ["z_stride", "z_first", "z_to", "z_from"]),
        ];
        let words = [view.stride as u32, plain(view)?];
        let apart = view.apart.unwrap_or([1, 1]);
        let all = words.into_iter().chain(apart);
        let names = NAMES.iter().filter(|(known, _)| *known == name).flat_map(|(_, names)| *names);
        let count = if matches!(self, Self::Tangents) { 2 } else { 4 };
        Ok(names.zip(all).take(count).collect())
    }
}

/// Of each head and each of n pixels i of q: s times its dot products with the m pixels of k.
pub(super) fn logits(
    (heads, scale): (usize, f64),
    [q, k]: [&[Dual]; 2],
    [n, m]: [usize; 2],
    see: &mut dyn FnMut(usize, usize, Vec<Dual>),
) {
    let size = q.len() / n / heads;
    for (head, i) in (0..heads).flat_map(|head| (0..n).map(move |i| (head, i))) {
        let channels = head * size..(head + 1) * size;
        let dot = |j: usize| channels.clone().map(|c| q[c * n + i] * k[c * m + j]).sum::<Dual>() * scale;
        see(head, i, (0..m).map(dot).collect());
    }
}

/// Checks that q has as many channels as k, and k as many pixels as v, in so many heads; channels of a head of both.
pub(super) fn sizes(heads: usize, [q, k, v]: [Shape; 3]) -> Result<[usize; 2]> {
    let sizes = [per_head(q.c, heads)?, per_head(v.c, heads)?];
    if q.c != k.c || (k.h, k.w) != (v.h, v.w) {
        let message =
            format!("{q}, {k} and {v}, expected as many channels of the first two, and pixels of the last two");
        return Err(Error::invalid("inputs", message));
    }
    Ok(sizes)
}
