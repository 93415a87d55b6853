//! A program: the plain data that the gpu room runs. Buffers, then steps in order; every buffer grows with the number
//! of lanes. Ops, paths, fields and diagnostics all speak to the GPU by appending steps here; nothing here knows wgpu.
use crate::choice::{Choices, Class};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Index into `Program::buffers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);

/// What a buffer is for; decides its usage flags and who writes it.
#[derive(Clone, Debug)]
pub enum Role {
    /// Written and read by steps; starts as NaN.
    Scratch,
    /// Written by the host before each run.
    Upload,
    /// Read back by the host after each run.
    Download,
    /// Written once, when the program is loaded.
    Constant(Vec<u8>),
}

/// One storage buffer. Bytes = `bytes_per_lane` x lanes, or the constant's own size.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Named in errors.
    pub label: String,
    /// Bytes of one lane; 0 for constants.
    pub bytes_per_lane: u64,
    /// Who writes it.
    pub role: Role,
}

/// How many workgroups a step needs: ceil(lanes * items / workgroup) in x (folded into y beyond 65535), `groups` in z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Threads or workgroups' worth of work per lane.
    pub items: u32,
    /// Items per workgroup.
    pub workgroup: u32,
    /// Workgroups in z.
    pub groups: u32,
}

/// Which lanes of every sample a step is for: a sample is 1 + K lanes, its primal first, then its K tangents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All lanes alike.
    #[default]
    All,
    /// Primals, which are numbered 0, 1, .. in the shader.
    Primals,
    /// Tangents, likewise.
    Tangents,
}

/// How a shader sees a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Written, and perhaps read.
    Write,
    /// Read through an rgba32float image that mirrors the buffer (fast path of CPU adapters).
    Image,
}

/// A shader, a file of `shaders/` or one given to `Program::shader`, and the integer constants that its text needs; one pipeline each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Name of the shader.
    pub shader: &'static str,
    /// Integers by name, part of the text.
    pub constants: Vec<(&'static str, i64)>,
}

/// A word that a kernel is told at each run: its name in the shader's struct, and its bits.
pub type Immediate = (&'static str, u32);

/// Words by their names.
pub(crate) fn named<const N: usize>(names: [&'static str; N], words: [u32; N]) -> [Immediate; N] {
    std::array::from_fn(|i| (names[i], words[i]))
}

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where the step comes from, as `graph node: op`; errors and timings name it.
    pub label: String,
    /// The op's name, for grouping in timings.
    pub op: &'static str,
    /// What runs.
    pub kernel: Kernel,
    /// Shader variable, buffer, access.
    pub bindings: Vec<(&'static str, BufferId, Access)>,
    /// Which lanes it is for.
    pub part: Part,
    /// The members of the shader's `var<immediate>` behind the first, in order. The first is `lanes`, the number of lanes in
    /// that part, and is filled in at each run.
    pub immediates: Vec<Immediate>,
    /// How much of it runs.
    pub grid: Grid,
    /// Floating-point operations per lane of the part (2 per multiply-add).
    pub flops: u64,
    /// Bytes read and written per lane of the part, weights not counted.
    pub bytes: u64,
}

impl Step {
    /// Storage buffers that it binds; images are none.
    pub fn storage_buffers(&self) -> usize {
        self.bindings.iter().filter(|(_, _, access)| *access != Access::Image).count()
    }

    /// Storage buffers that it may bind. `gpu::cooperative` asks for one more where it lets that variant run.
    pub fn most_storage_buffers(&self) -> usize {
        STORAGE_BUFFERS + usize::from(self.kernel.shader == "conv_coop")
    }
}

/// What happens in order: a dispatch, or making what a buffer holds visible in its image mirror (a copy, or a barrier
/// where both share memory).
#[derive(Clone, Debug)]
pub enum Action {
    /// A kernel runs.
    Dispatch(Step),
    /// An image mirror catches up with its buffer.
    Mirror {
        /// What is mirrored.
        buffer: BufferId,
        /// Bytes of a lane that it holds at present.
        bytes_per_lane: u64,
    },
}

/// Buffers and actions. `Debug` prints the whole plan.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// By `BufferId`.
    pub buffers: Vec<Buffer>,
    /// In order.
    pub actions: Vec<Action>,
    /// K: tangents of every sample, whose lanes follow its primal.
    pub tangents: u32,
    /// Most bytes per lane that one buffer should have, if the adapter sets a limit that a sample's lanes might not fit in:
    /// what is larger is cut.
    pub room: Option<u64>,
    /// Most lanes for which the kernels' index arithmetic is exact, if they have such a limit.
    pub lane_limit: Option<u64>,
    /// Threads of a subgroup, where kernels count on it.
    pub subgroup: u32,
    /// Which variants compute what, where there are several.
    pub choices: Arc<Choices>,
    /// The classes of work that there are, and the variant of each.
    pub chosen: BTreeMap<Class, String>,
    /// WGSL of the caller's own, by name.
    pub(crate) sources: Vec<(&'static str, &'static str)>,
    /// Image mirrors that hold what their buffer holds.
    fresh: Vec<BufferId>,
}

/// Storage buffers that a step may bind: WebGPU's least, which every adapter has.
pub const STORAGE_BUFFERS: usize = 8;

/// Texels in a row of an image mirror; row 0 is kept at zero and is what padding reads.
pub const IMAGE_WIDTH: u64 = 1024;

/// Bytes of a texel of an image mirror.
pub const TEXEL: u64 = 16;

/// Bytes of a row of it.
pub const IMAGE_ROW: u64 = IMAGE_WIDTH * TEXEL;

/// Most bytes of a pixel that threads of convolutions on CPU adapters store behind the last lane, having nothing else to store.
pub const SPARE: u64 = 1 << 17;

impl Program {
    /// Brings WGSL of the caller's own, under a name that no file of `shaders/` has; kernels then name it like one. The
    /// text may `#import` files of `shaders/lib` and of the caller. Two texts of one name are an error when they are used.
    pub fn shader(&mut self, name: &'static str, wgsl: &'static str) {
        if !self.sources.contains(&(name, wgsl)) {
            self.sources.push((name, wgsl));
        }
    }

    /// The variant for this class of work: the one chosen, or else `default`.
    pub(crate) fn choose(&mut self, class: Class, default: &str) -> String {
        let name = self.choices.of(&class).unwrap_or(default).to_string();
        self.chosen.insert(class, name.clone());
        name
    }

    /// Adds a buffer.
    pub fn buffer(&mut self, label: impl Into<Cow<'static, str>>, bytes_per_lane: u64, role: Role) -> BufferId {
        self.buffers.push(Buffer { label: label.into().into_owned(), bytes_per_lane, role });
        BufferId(self.buffers.len() - 1)
    }

    /// Lanes per sample, 1 + K. Runs are of whole samples.
    pub fn group(&self) -> u32 {
        self.tangents + 1
    }

    /// How many of `lanes` belong to a part.
    pub fn part(&self, part: Part, lanes: u64) -> u64 {
        let samples = lanes / u64::from(self.group());
        match part {
            Part::All => lanes,
            Part::Primals => samples,
            Part::Tangents => lanes - samples,
        }
    }

    /// A constant buffer of plain values; the same one if it is asked for again.
    pub fn constant<T: bytemuck::NoUninit>(&mut self, label: impl Into<Cow<'static, str>>, data: &[T]) -> BufferId {
        let (label, bytes) = (label.into(), bytemuck::cast_slice(data));
        let same = |b: &Buffer| b.label == label && matches!(&b.role, Role::Constant(data) if data == bytes);
        match self.buffers.iter().position(same) {
            Some(made) => BufferId(made),
            None => self.buffer(label, 0, Role::Constant(bytes.to_vec())),
        }
    }

    /// Brings a buffer's image mirror up to date before a step that reads it; the buffer holds `bytes_per_lane` at present.
    pub fn mirror(&mut self, buffer: BufferId, bytes_per_lane: u64) {
        if !self.fresh.contains(&buffer) {
            self.actions.push(Action::Mirror { buffer, bytes_per_lane });
            self.fresh.push(buffer);
        }
    }

    /// Appends a dispatch; image mirrors of what it writes go out of date.
    pub fn push(&mut self, step: Step) {
        let stale = |id, access| access == Access::Image && !self.fresh.contains(&id);
        debug_assert!(!step.bindings.iter().any(|b| stale(b.1, b.2)), "{}: `mirror` its images first", step.label);
        debug_assert!(
            step.storage_buffers() <= step.most_storage_buffers(),
            "{}: too many storage buffers",
            step.label
        );
        for &(_, id, access) in &step.bindings {
            if access == Access::Write {
                self.fresh.retain(|&f| f != id);
            }
        }
        self.actions.push(Action::Dispatch(step));
    }

    /// The dispatches, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.actions.iter().filter_map(|a| match a {
            Action::Dispatch(step) => Some(step),
            Action::Mirror { .. } => None,
        })
    }

    /// True if some step reads the buffer through an image mirror.
    pub fn has_image(&self, id: BufferId) -> bool {
        self.actions.iter().any(|a| matches!(a, Action::Mirror { buffer, .. } if *buffer == id))
    }

    /// Bytes of all buffers and image mirrors that grow with the lanes, per lane; as if no mirror shared its memory.
    pub fn bytes_per_lane(&self) -> u64 {
        let copies = |i: usize| if self.has_image(BufferId(i)) { 2 } else { 1 };
        self.buffers.iter().enumerate().map(|(i, b)| b.bytes_per_lane * copies(i)).sum()
    }

    /// Bytes of the constants.
    pub fn constant_bytes(&self) -> u64 {
        self.buffers.iter().map(|b| if let Role::Constant(data) = &b.role { data.len() as u64 } else { 0 }).sum()
    }

    /// Floating-point operations per lane, on average over the lanes of a sample.
    pub fn flops(&self) -> u64 {
        let group = u64::from(self.group());
        self.steps().map(|s| s.flops * self.part(s.part, group)).sum::<u64>() / group
    }
}
