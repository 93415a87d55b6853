//! A step of a program: one dispatch of one kernel, as plain data. Buffers and words are given by the names that the shader has for them.
use super::BufferId;

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

/// Which lanes of every sample a buffer holds and a step runs over. A sample is 1 + T + K lanes: its primal, T tangents at it,
/// K cotangents of its output. What ops see of a space is lanes 0, 1, .. of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// All of them: what is outside networks, and everything where there are no cotangents.
    #[default]
    Whole,
    /// The primal and its tangents: what a network makes of its input.
    Forward,
    /// The primal alone: what only the reverse sweep reads.
    Primal,
    /// The cotangents: what depends on them.
    Reverse,
}

/// Which lanes of its space a step is for: the primal, which is the first of 1 + T, or the T tangents behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneRole {
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

/// A shader, a file of `shaders/` or one given to `Builder::shader`, and the integer constants that its text needs; one pipeline each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Name of the shader.
    pub shader: &'static str,
    /// Integers by name, part of the text.
    pub constants: Vec<(&'static str, i64)>,
}

impl Kernel {
    /// The constant of kernels that run without the checks of indices and loops that are otherwise put into every kernel.
    pub const UNCHECKED: &str = "UNCHECKED";

    /// Whether it is one of them.
    pub fn unchecked(&self) -> bool {
        self.constants.contains(&(Self::UNCHECKED, 1))
    }
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
    pub role: LaneRole,
    /// The members of the shader's `var<immediate>` behind the first, in order. The first is `lanes`, the number of lanes of
    /// that role, and is filled in at each run.
    pub immediates: Vec<Immediate>,
    /// How much of it runs.
    pub grid: Grid,
    /// Floating-point operations per lane of that role (2 per multiply-add).
    pub flops: u64,
    /// Bytes read and written per lane of that role, weights not counted.
    pub bytes: u64,
}

impl Step {
    /// Storage buffers that it binds; images are none.
    pub fn storage_buffers(&self) -> usize {
        self.bindings.iter().filter(|(_, _, access)| *access != Access::Image).count()
    }
}
