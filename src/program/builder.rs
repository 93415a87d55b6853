//! How a program is made: for a target and a number of tangents, buffer by buffer and step by step. In: what ops, paths, fields
//! and diagnostics append. Out: a `Program`, or the first step that the target does not allow.
use super::{Access, Action, Buffer, BufferId, HostStep, Program, Role, Space, Step};
use crate::choice::Class;
use crate::error::{Error, Result};
use crate::target::Target;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A program that grows.
#[derive(Debug)]
pub struct Builder {
    target: Target,
    program: Program,
    /// Where buffers and steps go at present.
    space: Space,
    /// Image mirrors that hold what their buffer holds.
    fresh: Vec<BufferId>,
    /// What is wrong with the first step that cannot be.
    refused: Option<Error>,
}

impl Builder {
    /// An empty program for samples with `tangents` tangents each.
    pub fn new(target: Target, tangents: u32) -> Self {
        Self::both(target, tangents, 0)
    }

    /// An empty program for samples with so many tangents and cotangents each.
    pub fn both(target: Target, tangents: u32, cotangents: u32) -> Self {
        let program = Program {
            buffers: vec![],
            actions: vec![],
            tangents,
            cotangents,
            lane_limit: None,
            chosen: BTreeMap::new(),
            sources: vec![],
        };
        Self::behind(program, target)
    }

    /// Goes on behind what a program does, for a target of its own.
    pub fn behind(program: Program, target: Target) -> Self {
        Self { target, program, space: Space::Whole, fresh: vec![], refused: None }
    }

    /// What the program is made for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// From now on buffers and steps are of the lanes of this space.
    pub(crate) fn go_to(&mut self, space: Space) {
        self.space = space;
    }

    /// The space at present.
    pub(crate) fn space(&self) -> Space {
        self.space
    }

    /// Whose lanes a buffer has.
    pub(crate) fn space_of(&self, id: BufferId) -> Space {
        self.program.buffers[id.0].space
    }

    /// Lanes of every sample that follow its primal in the space at present: T tangents. A cotangent's lane has none.
    pub fn tangents(&self) -> u32 {
        self.group() - 1
    }

    /// Lanes per sample in the space at present, 1 + T. Each cotangent's lane is a sample of its own to whoever makes it.
    pub fn group(&self) -> u32 {
        if self.space == Space::Reverse { 1 } else { self.program.lanes_in(self.space) }
    }

    /// K: cotangents of every sample.
    pub fn cotangents(&self) -> u32 {
        self.program.cotangents
    }

    /// Lanes of a sample in a space.
    pub(crate) fn lanes_in(&self, space: Space) -> u32 {
        self.program.lanes_in(space)
    }

    /// Most bytes per lane that one buffer should have, if the target sets a limit: what is larger is cut.
    pub fn budget(&self) -> Option<u64> {
        let most = [Space::Forward, Space::Reverse].map(|space| self.program.lanes_in(space)).into_iter().max();
        self.target.buffer_bytes.map(|bytes| bytes / u64::from(most.unwrap_or(1)))
    }

    /// Brings WGSL of the caller's own, under a name that no file of `shaders/` has; kernels then name it like one. The
    /// text may `#import` files of `shaders/lib` and of the caller. Two texts of one name are an error when they are used.
    pub fn shader(&mut self, name: &'static str, wgsl: impl Into<Cow<'static, str>>) {
        let source = (name, wgsl.into());
        if !self.program.sources.contains(&source) {
            self.program.sources.push(source);
        }
    }

    /// The variant for this class of work: the one chosen, or else `default`.
    pub(crate) fn choose(&mut self, class: Class, default: &str) -> String {
        let name = self.target.choices.of(&class).unwrap_or(default).to_string();
        self.program.chosen.insert(class, name.clone());
        name
    }

    /// Runs may have at most so many lanes: for more the kernels' index arithmetic is not exact.
    pub(crate) fn limit_lanes(&mut self, most: u64) {
        let limit = &mut self.program.lane_limit;
        *limit = Some(limit.map_or(most, |limit| limit.min(most)));
    }

    /// Adds a buffer.
    pub fn buffer(&mut self, label: impl Into<Cow<'static, str>>, bytes_per_lane: u64, role: Role) -> BufferId {
        self.program.buffers.push(Buffer { label: label.into().into_owned(), bytes_per_lane, space: self.space, role });
        BufferId(self.program.buffers.len() - 1)
    }

    /// Bytes of one lane of a buffer.
    pub fn bytes_per_lane(&self, id: BufferId) -> u64 {
        self.program.buffers[id.0].bytes_per_lane
    }

    /// Makes room for at least so many bytes of one lane.
    pub(crate) fn grow(&mut self, id: BufferId, bytes_per_lane: u64) {
        let own = &mut self.program.buffers[id.0].bytes_per_lane;
        *own = bytes_per_lane.max(*own);
    }

    /// A constant buffer of plain values; the same one if it is asked for again.
    pub fn constant<T: bytemuck::NoUninit>(&mut self, label: impl Into<Cow<'static, str>>, data: &[T]) -> BufferId {
        let (label, bytes) = (label.into(), bytemuck::cast_slice(data));
        let same = |b: &Buffer| b.label == label && matches!(&b.role, Role::Constant(data) if data == bytes);
        match self.program.buffers.iter().position(same) {
            Some(made) => BufferId(made),
            None => self.buffer(label, 0, Role::Constant(bytes.to_vec())),
        }
    }

    /// Brings a buffer's image mirror up to date before a step that reads it; the buffer holds `bytes_per_lane` at present.
    pub fn mirror(&mut self, buffer: BufferId, bytes_per_lane: u64) {
        if !self.fresh.contains(&buffer) {
            self.program.actions.push(Action::Mirror { buffer, bytes_per_lane });
            self.fresh.push(buffer);
        }
    }

    /// Appends a dispatch; image mirrors of what it writes go out of date. A step that binds more storage buffers than the
    /// target allows, or reads an image that is out of date, is not made: `finish` then says so.
    pub fn push(&mut self, step: Step) {
        if let Some(why) = self.wrong(&step) {
            self.refused.get_or_insert(Error::invalid(&step.label, why));
            return;
        }
        for &(_, id, access) in &step.bindings {
            if access == Access::Write {
                self.fresh.retain(|&f| f != id);
            }
        }
        self.program.actions.push(Action::Dispatch(step, self.space));
    }

    /// Appends a step of the host; image mirrors of what it writes go out of date.
    pub fn host(&mut self, step: HostStep) {
        self.fresh.retain(|&f| f != step.writes);
        self.program.actions.push(Action::Host(step));
    }

    fn wrong(&self, step: &Step) -> Option<String> {
        let (binds, most) = (step.storage_buffers(), self.target.most_storage_buffers(step.kernel.shader));
        if binds > most {
            return Some(format!("binds {binds} storage buffers, expected at most {most}"));
        }
        let stale = |(_, id, access): &&(&str, BufferId, Access)| *access == Access::Image && !self.fresh.contains(id);
        let (name, id, _) = step.bindings.iter().find(stale)?;
        let label = &self.program.buffers[id.0].label;
        Some(format!(
            "reads '{name}' through an image of buffer '{label}' that is out of date, expected `mirror` first"
        ))
    }

    /// The program.
    ///
    /// # Errors
    /// The first step that `push` did not make.
    pub fn finish(self) -> Result<Program> {
        self.refused.map_or(Ok(self.program), Err)
    }
}
