//! A program on its device: constants, buffers for its lanes, pipelines and bind groups. In: a program. Out: slots and
//! commands, made anew where the room changes or another device takes over.
use super::ahead::Ahead;
use super::memory::Memory;
use super::open::Gpu;
use super::pipeline::{Cache, LANES, Pipeline};
use super::slot::{Slot, Written};
use super::words::{self, Words};
use crate::error::{Error, Result};
use crate::program::{Access, Action, BufferId, HostStep, LaneRole, Program, Role, Step};
use std::collections::BTreeMap;

/// How a program is planned again on a device that took a lost one's place; it must be the same program. That takes the
/// time and, for a while, the host's memory of the first planning.
pub(super) type Recipe<'a> = Box<dyn Fn(&Gpu) -> Result<Program> + Send + 'a>;

pub(super) enum Command {
    Dispatch { pipeline: usize, bind_group: wgpu::BindGroup, step: usize },
    Mirror { slot: usize, bytes_per_lane: u64 },
    Host(HostStep),
}

/// What is on the device, and how it comes there again.
pub(super) struct Loaded<'a> {
    pub gpu: Gpu,
    pub program: Program,
    /// How the program is made again.
    pub recipe: Option<Recipe<'a>>,
    /// By the buffer's number.
    pub slots: BTreeMap<usize, Slot>,
    pub cache: Cache,
    pub commands: Vec<Command>,
    /// Who compiles its kernels ahead of the first run.
    pub ahead: Option<Ahead>,
    /// What the steps are told, where that is not by immediates.
    pub words: Option<Words>,
    /// Whether the device has all constants.
    pub loaded: bool,
    pub max_lanes: usize,
    /// In a row, since a run last ended well.
    pub failures: usize,
    pub memory: Memory,
    /// Staging buffers that are free for another readback.
    pub staging: Vec<wgpu::Buffer>,
}

impl<'a> Loaded<'a> {
    /// Nothing is on the device yet.
    pub fn new(gpu: Gpu, program: Program, max_lanes: usize, memory: Memory, recipe: Option<Recipe<'a>>) -> Self {
        Self {
            gpu,
            program,
            recipe,
            slots: BTreeMap::new(),
            cache: Cache::default(),
            commands: vec![],
            ahead: None,
            words: None,
            loaded: false,
            max_lanes,
            failures: 0,
            memory,
            staging: vec![],
        }
    }

    /// Drops what grows with the lanes; `whole`: everything on the device.
    pub fn release(&mut self, whole: bool) {
        self.commands.clear();
        self.words = None;
        self.staging.clear();
        let program = &self.program;
        self.slots.retain(|&i, _| !whole && matches!(program.buffers[i].role, Role::Constant(_)));
        if whole {
            self.cache = Cache::default();
            self.ahead = None;
            self.loaded = false;
        }
    }

    /// Brings the constants to the device, which has the only copy from then on.
    pub fn load(&mut self) -> Result<()> {
        self.ahead = Ahead::start(&self.gpu.device, &self.program);
        let mut written = Written::default();
        for i in 0..self.program.buffers.len() {
            if !matches!(self.program.buffers[i].role, Role::Constant(_)) {
                continue;
            }
            self.slot(i, 0)?;
            let Role::Constant(data) = &mut self.program.buffers[i].role else { continue };
            let data = std::mem::take(data);
            if !data.is_empty() {
                self.gpu.device.queue.write_buffer(&self.slots[&i].buffer, 0, &data);
                written.add(&self.gpu.device, data.len() as u64)?;
            }
        }
        self.loaded = true;
        Ok(())
    }

    /// Allocates what grows with the lanes.
    pub fn allocate(&mut self, lanes: usize) -> Result<()> {
        let memory = Memory::of(&self.program, lanes as u64, self.gpu.images_share());
        self.memory = Memory { constants: self.memory.constants, ..memory };
        self.max_lanes = lanes;
        if !self.gpu.policy.faults.has_room(lanes) {
            let message = format!("no room for {lanes} lanes: VORTICITY_FAULTS");
            return Err(Error::OutOfMemory { place: "buffers".into(), message });
        }
        for i in 0..self.program.buffers.len() {
            if !matches!(self.program.buffers[i].role, Role::Constant(_)) {
                self.slot(i, lanes)?;
            }
        }
        self.poison()?;
        self.bind()
    }

    fn slot(&mut self, i: usize, lanes: usize) -> Result<()> {
        let (device, b) = (&self.gpu.device, &self.program.buffers[i]);
        let lanes = self.program.lanes_of(b.space, LaneRole::All, lanes as u64);
        let (place, size) = (format!("buffer '{}'", b.label), Slot::bytes(b, lanes));
        if size > device.max_binding() {
            let message = format!("{size} bytes, the adapter binds at most {}", device.max_binding());
            return Err(Error::OutOfMemory { place, message });
        }
        let image = self.program.has_image(BufferId(i));
        let slot = device.checked(&place, || Slot::new(device, b, lanes, image))?;
        self.slots.insert(i, slot);
        Ok(())
    }

    /// Fills scratch and download buffers with NaN.
    fn poison(&self) -> Result<()> {
        let nan = vec![f32::NAN; 1 << 18];
        let mut written = Written::default();
        for (&i, slot) in &self.slots {
            if matches!(self.program.buffers[i].role, Role::Scratch | Role::Download) {
                let mut at = 0;
                while at < slot.buffer.size() {
                    let n = (slot.buffer.size() - at).min(4 * nan.len() as u64);
                    self.gpu.device.queue.write_buffer(&slot.buffer, at, &bytemuck::cast_slice(&nan)[..n as usize]);
                    at += n;
                    written.add(&self.gpu.device, n)?;
                }
            }
        }
        written.flush(&self.gpu.device)
    }

    fn bind(&mut self) -> Result<()> {
        let own = self.program.texts();
        self.cache.fill(&self.gpu.device, self.program.steps().map(|s| &s.kernel), &own)?;
        self.words = self.words()?;
        let mut next = 0;
        for action in &self.program.actions {
            let step = match action {
                &Action::Mirror { buffer, bytes_per_lane } => {
                    self.commands.push(Command::Mirror { slot: buffer.0, bytes_per_lane });
                    continue;
                }
                Action::Host(step) => {
                    self.commands.push(Command::Host(step.clone()));
                    continue;
                }
                Action::Dispatch(step, _) => step,
            };
            let pipeline = self.cache.index(&self.gpu.device, &step.kernel, &own)?;
            let bind_group = self.bind_group(self.cache.get(pipeline), next, step)?;
            self.commands.push(Command::Dispatch { pipeline, bind_group, step: next });
            next += 1;
        }
        Ok(())
    }

    /// The uniform buffer of the words, if some kernel reads it.
    fn words(&self) -> Result<Option<Words>> {
        let kernels = self.program.steps().filter_map(|s| self.cache.find(&s.kernel));
        let bytes = kernels.filter(|p| p.uniform.is_some()).map(|p| words::size(&p.immediates)).max();
        let steps = self.program.dispatches().count();
        bytes.map(|bytes| Words::new(&self.gpu.device, steps, bytes)).transpose()
    }

    /// Of the step of that number.
    fn bind_group(&self, pipeline: &Pipeline, number: usize, step: &Step) -> Result<wgpu::BindGroup> {
        let fail =
            |m: String| Error::Gpu { place: format!("{} (shader {})", step.label, step.kernel.shader), message: m };
        if step.bindings.len() != pipeline.bindings.len() {
            let (given, expected) = (step.bindings.len(), pipeline.bindings.len());
            return Err(fail(format!("{given} bindings given, the shader has {expected}")));
        }
        let given: Vec<&str> = [LANES].into_iter().chain(step.immediates.iter().map(|word| word.0)).collect();
        if given != pipeline.immediates {
            let (given, expected) = (given.join(", "), pipeline.immediates.join(", "));
            return Err(fail(format!("immediates {given} given, the shader has {expected}")));
        }
        let mut entries = Vec::with_capacity(step.bindings.len());
        for binding in &pipeline.bindings {
            let found = step.bindings.iter().find(|b| b.0 == binding.name);
            let Some(&(_, BufferId(id), access)) = found else {
                return Err(fail(format!("the shader's '{}' is not bound", binding.name)));
            };
            if access != binding.access {
                return Err(fail(format!(
                    "'{}' is {:?} in the shader, {access:?} in the step",
                    binding.name, binding.access
                )));
            }
            let resource = match (&self.slots[&id].mirror, access) {
                (Some(mirror), Access::Image) => wgpu::BindingResource::TextureView(&mirror.view),
                _ => self.slots[&id].buffer.as_entire_binding(),
            };
            entries.push(wgpu::BindGroupEntry { binding: binding.number, resource });
        }
        if let (Some(binding), Some(words)) = (pipeline.uniform, &self.words) {
            entries.push(wgpu::BindGroupEntry { binding, resource: words.binding(number) });
        }
        self.gpu.device.checked(&step.label, || {
            self.gpu.device.handle.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&step.label),
                layout: &pipeline.layout,
                entries: &entries,
            })
        })
    }
}
