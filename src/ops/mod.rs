//! One file per op: formula card, shape rule, lowering, f64 dual-number twin, test cases; its kernel is the `.wgsl` of the
//! same name. An op knows nothing of its neighbours: what several of them become together is in `passes/`. Adding an op is those two files and a line of `ops!`; the laws in `kernels-tests/` then test it.
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::program::{Access, BufferId, Builder, Immediate, Role, Space, named};
use crate::shape::Shape;
use crate::target::KernelFamily;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use reverse::{Reverse, Share, Value};
use window::Window;

mod activation;
pub mod curve;
mod elementwise;
mod heads;
mod normed;
mod pairs;
pub mod reverse;
pub mod scale;
mod staged;
mod transposes;
pub mod weight_format;
pub mod window;

/// From one line per op: its module, its row of `OPS`, and the kernels of `shaders/` that are its own, for `KERNELS`. Ends of a
/// graph are in every case, and have none of their own; nor has what the planner puts between lanes.
macro_rules! ops {
    (
        ends { $($end:ident [$($last:literal),*])* }
        ops { $($op:ident [$($kernel:literal),*])* }
    ) => {
        $(pub mod $end;)*
        $(pub mod $op;)*

        /// A name and the op's test cases: every op that a graph may have between its ends.
        pub const OPS: &[Tested] = &[$((stringify!($op), $op::cases)),*];

        /// The ops' kernels: names and texts.
        pub(crate) const KERNELS: &[(&str, &str)] =
            &[$($(ops!(@kernel $last),)*)* $($(ops!(@kernel $kernel),)*)*];
    };
    (@kernel $name:literal) => { ($name, include_str!(concat!("../../shaders/", $name, ".wgsl"))) };
}

ops! {
    ends {
        input ["input"]
        output ["output"]
        spread ["spread"]
    }
    ops {
        add ["add"]
        add_row ["add_row"]
        affine ["affine"]
        attention ["attention", "attention_cc"]
        attention_columns ["attention_columns"]
        attention_logits ["attention_logits"]
        attention_rows ["attention_rows"]
        channels []
        combine ["combine"]
        conv ["conv", "conv_cc", "conv_coop", "window_max", "winograd_in", "winograd_out"]
        depthwise ["depthwise", "depthwise_cc"]
        filter ["filter"]
        gather ["gather"]
        group_norm ["group_norm", "norm_coefficients", "norm_sums"]
        largest ["largest"]
        layer_norm ["layer_norm"]
        max_pool ["max_pool"]
        mix ["mix"]
        modulate ["modulate"]
        outer ["outer"]
        pointwise ["pointwise"]
        project ["project", "project_coefficients", "project_sums"]
        reduce ["reduce"]
        repack ["repack"]
        resample ["resample"]
        rms_norm ["rms_norm"]
        rows ["rows"]
        silu ["silu"]
        slope ["slope"]
        softmax ["softmax"]
        softmax_pixels ["softmax_pixels"]
        sums ["sums"]
        told ["told"]
        unpool ["unpool"]
        upsample ["upsample"]
    }
}

/// A name and what makes test cases.
pub type Tested = (&'static str, fn() -> Vec<Case>);

/// A small graph's worth of test: the op applied to inputs of these shapes.
pub struct Case {
    /// What the case is about.
    pub name: &'static str,
    /// The op under test.
    pub op: Arc<dyn Op>,
    /// Shapes of its inputs.
    pub inputs: Vec<Shape>,
    /// Width of the time row that the op adds, if it adds one.
    pub row: Option<usize>,
}

/// One operation of the graph, on tensors `[C, H, W]` of each lane.
pub trait Op: Any + Debug + Send + Sync {
    /// As timings and plans call it.
    fn name(&self) -> &'static str;

    /// Output shape, or what is wrong with the inputs.
    fn shape(&self, inputs: &[Shape]) -> Result<Shape>;

    /// The f64 oracle: values and derivatives along one tangent, `[C, H, W]` in C order. `rows[i]` is time row `i`.
    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual>;

    /// The transpose of its Jacobian: what each input gets of a cotangent of the output, in order, as nodes of ops that exist.
    ///
    /// # Errors
    /// The op has none: those that only plans have, which are made of a graph that is its own adjoint already.
    fn adjoint(&self, _: &mut Reverse) -> Result<Vec<Share>> {
        Err(Error::invalid(self.name(), "has no adjoint"))
    }

    /// The same as ops that have tangents and adjoints, for one whose kernels and rules are of values alone; `passes::parts` puts them
    /// in its place where those are asked for.
    ///
    /// # Errors
    /// As the shape rules of those ops say.
    fn parts(&self, _: &mut Reverse) -> Result<Option<Value>> {
        Ok(None)
    }

    /// Floating-point operations per sample, 2 per multiply-add.
    fn flops(&self, inputs: &[Shape], output: Shape) -> u64;

    /// For ops that only rearrange channels: (input, channel) of every output channel. No kernel runs.
    fn rearranges(&self) -> Option<&[(usize, usize)]> {
        None
    }

    /// True if its kernels find the primals of an input that has lanes of another space (`View::apart`). Else a copy has them.
    fn finds_primals(&self, _input: usize) -> bool {
        false
    }

    /// The input in whose buffer its kernels may write the output, where nobody reads it later: each thread then reads of it
    /// nothing but what it writes itself.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// True if output channel c sits where input channel c sits (elementwise and per-channel ops).
    fn keeps_layout(&self) -> bool {
        false
    }

    /// Where the channels of an input, of so many, must lie for its kernels.
    fn reads(&self, input: usize, _of: usize) -> Reads {
        if self.keeps_layout() && input == 0 { Reads::InPlace } else { Reads::Anywhere }
    }

    /// Weights that the device may hold in f16.
    fn weights(&self) -> Option<&[f32]> {
        None
    }

    /// On which pixels of an input a pixel of the output depends: what must be known to make some rows of the output alone.
    fn locality(&self, _input: usize) -> Locality {
        Locality::Whole
    }

    /// The same op with other padding above and below, for ops that depend on a window; none if no kernel pads so.
    fn padded(&self, _rows: [isize; 2]) -> Option<Arc<dyn Op>> {
        None
    }

    /// For ops that write a flat buffer outside the network: which of its outputs that is.
    fn writes_port(&self) -> Option<usize> {
        None
    }

    /// Appends the op's dispatches.
    fn lower(&self, cx: &mut Lowering) -> Result<()>;
}

impl dyn Op {
    /// The op as one of this type, if it is.
    pub fn downcast<T: Op>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

/// On which pixels of an input a pixel of the output depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locality {
    /// On the pixel at the same place of an image as large.
    ByPixel,
    /// On those under a window around it; of one input at most (`Op::padded`).
    Window(Window),
    /// On all.
    Whole,
}

/// Where a kernel can find the channels of what it reads; each of them once, and all in one buffer that it does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Anywhere.
    Anywhere,
    /// In at most two runs of blocks, and as in the op's other inputs that are read so.
    InPlace,
    /// That, and channel c at place c, four to a block.
    Ordered,
    /// That, in one run.
    Together,
}

/// Rows of the image outside the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outside {
    /// The image.
    pub whole: Shape,
    /// First of the rows.
    pub first: usize,
}

impl Outside {
    /// Immediates that say where the rows' pixels are: numbers per lane, pixels of the image, the first of these.
    fn words(self) -> [Immediate; 3] {
        let Self { whole, first } = self;
        [("flat", whole.flat_stride()), ("plane", whole.pixels()), ("first", first * whole.w)]
            .map(|(n, v)| (n, v as u32))
    }
}

/// A run of consecutive 4-channel blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First block.
    pub first: usize,
    /// Number of blocks.
    pub count: usize,
}

/// What an op reads: blocks of 4 channels of one buffer `[lane, H, W, stride]`, and where each channel sits in them.
#[derive(Clone, Debug)]
pub struct View {
    /// What is read.
    pub buffer: BufferId,
    /// `[C, H, W]` of the tensor.
    pub shape: Shape,
    /// Blocks per pixel in the buffer.
    pub stride: usize,
    /// The blocks read, in order; at most two runs.
    pub segments: Vec<Segment>,
    /// Position of channel c among the blocks read: 4 * block + component.
    pub slots: Vec<usize>,
    /// Lanes per sample of who reads it, and of the buffer, where these are two spaces: each lane then reads its sample's primal.
    pub apart: Option<[u32; 2]>,
}

impl View {
    /// Bytes that the tensor and its neighbours in the buffer take up, per lane.
    pub fn bytes(&self) -> u64 {
        16 * (self.stride * self.shape.pixels()) as u64
    }

    /// Number of blocks read.
    pub fn blocks(&self) -> usize {
        self.segments.iter().map(|s| s.count).sum()
    }

    /// Where each channel sits in a pixel of the buffer: 4 * block + component.
    pub fn places(&self) -> Vec<u32> {
        let [s0, n0, s1] = self.segment_words();
        let place = |&slot: &usize| {
            let block = (slot / 4) as u32;
            4 * block.wrapping_add(if block < n0 { s0 } else { s1 }) + (slot % 4) as u32
        };
        self.slots.iter().map(place).collect()
    }

    /// `segment_words` of what kernels call x.
    pub(crate) fn runs(&self) -> [Immediate; 3] {
        named(["first0", "count0", "first1"], self.segment_words())
    }

    /// How kernels find blocks of what they call z.
    pub(crate) fn second(&self) -> [Immediate; 4] {
        let [first0, count0, first1] = self.segment_words();
        [("z_stride", self.stride as u32), ("z_first0", first0), ("z_count0", count0), ("z_first1", first1)]
    }

    /// (start of run 0, its length, start of run 1 less that length): block b lies at b + (b < n0 ? s0 : s1).
    pub fn segment_words(&self) -> [u32; 3] {
        let a = self.segments[0];
        let b = self.segments.get(1).copied().unwrap_or(a);
        [a.first as u32, a.count as u32, (b.first as u32).wrapping_sub(a.count as u32)]
    }
}

/// Where an op writes: blocks `offset..offset + blocks` of each pixel of `[lane, H, W, stride]`.
#[derive(Clone, Debug)]
pub struct Place {
    /// What is written.
    pub buffer: BufferId,
    /// `[C, H, W]` of the tensor.
    pub shape: Shape,
    /// Blocks per pixel in the buffer.
    pub stride: usize,
    /// First block of a pixel that is written.
    pub offset: usize,
    /// Number of blocks written per pixel.
    pub blocks: usize,
    /// Position of channel c: 4 * block + component, relative to `offset`.
    pub slots: Vec<usize>,
}

impl Place {
    /// True if a thread that writes `blocks` neighbouring blocks may store them two at a time.
    pub fn pairs(&self, blocks: usize) -> bool {
        [blocks, self.stride, self.offset].iter().all(|n| n.is_multiple_of(2))
    }
}

/// Everything that an op may touch as it is lowered.
pub struct Lowering<'a> {
    /// Where the steps go.
    pub program: &'a mut Builder,
    /// Name of the graph's node.
    pub node: &'a str,
    /// How the device holds weights.
    pub held: weight_format::WeightFormat,
    /// `Graph::direct`.
    pub direct: bool,
    /// Pixels of the largest image of the network, were nothing cut.
    pub largest: usize,
    /// What the op reads, in order.
    pub inputs: Vec<View>,
    /// What the op writes.
    pub output: Place,
    /// `[C, H, W]` of the node's output before it was cut into bands.
    pub whole: Shape,
    /// Per-lane table: which time row, which coefficients (`paths::Lane`).
    pub lanes: BufferId,
    /// The same of every space that a node has.
    pub(crate) lanes_of: &'a BTreeMap<Space, BufferId>,
    /// Values of every time row for every timestep of the run: `rows[table][timestep]`.
    pub rows: &'a [Vec<Vec<f64>>],
    /// The flat `[lane][D]` buffers of the network's inputs.
    pub flat_inputs: &'a [BufferId],
    /// Distinct timesteps of the run.
    pub timesteps: usize,
    /// Buffers that nodes share for what they need no longer than their own steps run, by name.
    pub(crate) shared: &'a mut BTreeMap<&'static str, BufferId>,
}

impl Lowering<'_> {
    /// The label of a step of this node.
    pub fn label(&self, op: &str) -> String {
        format!("{}: {op}", self.node)
    }

    /// Refuses a kernel whose thread goes around its loops so many times, where drivers end a thread's loops after 65,535 rounds
    /// and say nothing: those of CPU adapters.
    fn rounds(&self, count: usize) -> Result<()> {
        match self.family() {
            KernelFamily::Cpu if count > 65_535 => {
                let message = format!("a thread's loops of {count} rounds, of which software adapters do 65535");
                Err(Error::invalid(self.node, message))
            }
            _ => Ok(()),
        }
    }

    /// The family of kernels to use.
    fn family(&self) -> KernelFamily {
        self.program.target().family
    }

    /// How kernels of the family read what the network's ops write; images have to be `mirror`ed first.
    fn x_access(&self) -> Access {
        if self.family() == KernelFamily::Cpu { Access::Image } else { Access::Read }
    }

    /// The shared buffer of that name, of at least so many bytes per lane: free as soon as the node's steps are done.
    fn shared(&mut self, name: &'static str, bytes_per_lane: u64) -> BufferId {
        let id = *self.shared.entry(name).or_insert_with(|| self.program.buffer(name, 0, Role::Scratch));
        self.program.grow(id, bytes_per_lane);
        id
    }

    /// A buffer for the slopes of an activation, `bytes` per sample and `pixel` of them per pixel.
    fn slope(&mut self, bytes: u64, pixel: u64) -> BufferId {
        // Behind the last sample a whole pixel must fit, which the executor gives every buffer of that many bytes per lane.
        let per_lane = bytes.div_ceil(u64::from(self.program.group())).max(pixel);
        self.shared("slopes", per_lane)
    }
}

/// Checks that there is exactly one input and returns it.
pub(crate) fn one(inputs: &[Shape]) -> Result<Shape> {
    match inputs {
        [s] => Ok(*s),
        _ => Err(Error::invalid("inputs", format!("found {}, expected 1", inputs.len()))),
    }
}
