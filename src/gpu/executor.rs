//! The one dispatch loop: allocates a program's buffers for a number of lanes, then runs it any number of times.
//! `submit` waits only for the first tiles on a GPU, which it times; `wait` does. Buffers start as NaN, so that what was
//! never written shows.
use super::device::Gpu;
use super::memory::Memory;
use super::pace::Pace;
use super::pipeline::{Cache, Pipeline};
use super::slot::{IMAGE_ROW, Slot, Written, copy_to_image, spare};
use crate::error::{Error, Result};
use crate::program::{Access, Action, BufferId, Program, Role, Step};
use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Instant;

/// Workgroups in x before a dispatch is folded into y (the smallest limit any adapter has).
const FOLD: u64 = 65535;

enum Command {
    Dispatch { pipeline: usize, bind_group: wgpu::BindGroup, step: usize },
    Mirror { slot: usize, bytes_per_lane: u64 },
}

/// A program on a device, with room for `max_lanes` lanes.
pub struct Executor {
    gpu: Gpu,
    program: Program,
    steps: Vec<Step>,
    slots: Vec<Slot>,
    cache: Cache,
    commands: Vec<Command>,
    max_lanes: usize,
    memory: Memory,
    /// Cuts runs into submissions, where the device has a watchdog.
    pace: Pace,
    /// Staging buffers that are free for another readback.
    staging: Vec<wgpu::Buffer>,
}

/// A submitted run; `wait` reads its download buffers back.
pub struct Pending {
    staging: wgpu::Buffer,
    submission: Option<wgpu::SubmissionIndex>,
    submissions: usize,
    mapped: mpsc::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
    /// Download buffers: offset in `staging` and bytes in use.
    parts: Vec<(BufferId, u64, u64)>,
}

impl Pending {
    /// How many submissions the run was cut into.
    pub fn submissions(&self) -> usize {
        self.submissions
    }
}

impl Executor {
    /// Most lanes, of whole samples, that the adapter's limits allow for this program within `budget` bytes; at least a
    /// sample's if only the budget forbids it.
    pub fn most_lanes(gpu: &Gpu, program: &Program, budget: u64) -> usize {
        let group = u64::from(program.group());
        let device = |lanes| Memory::of(program, lanes, gpu.images_share()).device();
        // Bytes are affine in the lanes, but for rounding; the slope is that of many lanes.
        let slope = (device(1 << 20) - device(0)).div_ceil(1 << 20).max(1);
        let mut most = (budget.saturating_sub(device(0)) / slope).max(group);
        for (i, b) in program.buffers.iter().enumerate().filter(|(_, b)| b.bytes_per_lane > 0) {
            let image = (gpu.max_image_rows() - 2) * IMAGE_ROW;
            let limit = if program.has_image(BufferId(i)) { gpu.max_binding().min(image) } else { gpu.max_binding() };
            most = most.min(limit.saturating_sub(IMAGE_ROW + spare(b.bytes_per_lane)) / b.bytes_per_lane);
        }
        most = most.min(program.lane_limit.unwrap_or(u64::MAX));
        let groups = gpu.limits().max_compute_workgroups_per_dimension as u64;
        for step in program.steps() {
            most = most.min(FOLD * groups * step.grid.workgroup as u64 / step.grid.items.max(1) as u64);
            // Kernels count pixels and elements in 32 bits.
            most = most.min((1 << 31) / (step.grid.items.max(1) as u64 * 4));
        }
        (most - most % program.group() as u64) as usize
    }

    /// Allocates and compiles everything. Needs at least one lane to fit.
    pub fn new(gpu: &Gpu, mut program: Program, max_lanes: usize) -> Result<Self> {
        let most = Self::most_lanes(gpu, &program, u64::MAX);
        if max_lanes == 0 || max_lanes > most {
            let place = format!("plan on {}", gpu.name());
            return Err(Error::OutOfMemory {
                place,
                message: format!("{max_lanes} lanes asked for, the adapter's limits hold {most}"),
            });
        }
        let predicted = Memory::of(&program, max_lanes as u64, gpu.images_share());
        let (needed, memory) = (predicted.device(), gpu.memory());
        if needed > memory {
            let message = format!(
                "{needed} bytes for {max_lanes} lanes, a run may take {memory}: as --memory says, or else half of the \
                 adapter's own memory as far as that is known"
            );
            return Err(Error::OutOfMemory { place: format!("plan on {}", gpu.name()), message });
        }
        let mut slots = Vec::with_capacity(program.buffers.len());
        let mut written = Written::default();
        for i in 0..program.buffers.len() {
            let (b, image) = (&program.buffers[i], program.has_image(BufferId(i)));
            let place = format!("buffer '{}'", b.label);
            let size = Slot::bytes(b, max_lanes as u64);
            if size > gpu.max_binding() {
                let message = format!("{size} bytes, the adapter binds at most {}", gpu.max_binding());
                return Err(Error::OutOfMemory { place, message });
            }
            slots.push(gpu.checked(&place, || Slot::new(gpu, b, max_lanes, image))?);
            if let Role::Constant(data) = &mut program.buffers[i].role {
                // The device has its own copy from here on.
                let data = std::mem::take(data);
                if !data.is_empty() {
                    gpu.queue.write_buffer(&slots[i].buffer, 0, &data);
                    written.add(gpu, data.len() as u64)?;
                }
            }
        }
        let mut executor = Self {
            gpu: gpu.clone(),
            pace: Pace::new(&program, gpu.longest_submission()),
            steps: program.steps().cloned().collect(),
            program,
            slots,
            cache: Cache::default(),
            commands: vec![],
            max_lanes,
            memory: predicted,
            staging: vec![],
        };
        executor.poison()?;
        executor.bind()?;
        Ok(executor)
    }

    /// Lanes that there is room for.
    pub fn max_lanes(&self) -> usize {
        self.max_lanes
    }

    /// Lanes, of whole samples, that a run should have at most for the device's watchdog; at most `max_lanes`. It changes
    /// as runs are timed, and is a sample's where even that may take too long.
    pub fn safe_lanes(&self) -> usize {
        let group = self.program.group() as usize;
        let most = self.pace.most_lanes().min(self.max_lanes);
        (most - most % group).max(group)
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What it takes.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// What runs; the contents of constants are on the device only.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Fills scratch and download buffers with NaN.
    fn poison(&self) -> Result<()> {
        let nan = vec![f32::NAN; 1 << 18];
        let mut written = Written::default();
        for (slot, buffer) in self.slots.iter().zip(&self.program.buffers) {
            if matches!(buffer.role, Role::Scratch | Role::Download) {
                let mut at = 0;
                while at < slot.buffer.size() {
                    let n = (slot.buffer.size() - at).min(4 * nan.len() as u64);
                    self.gpu.queue.write_buffer(&slot.buffer, at, &bytemuck::cast_slice(&nan)[..n as usize]);
                    at += n;
                    written.add(&self.gpu, n)?;
                }
            }
        }
        written.flush(&self.gpu)
    }

    fn bind(&mut self) -> Result<()> {
        self.cache.fill(&self.gpu, self.program.steps().map(|s| &s.kernel), &self.program.sources)?;
        let mut next = 0;
        for action in &self.program.actions {
            let step = match action {
                &Action::Mirror { buffer, bytes_per_lane } => {
                    self.commands.push(Command::Mirror { slot: buffer.0, bytes_per_lane });
                    continue;
                }
                Action::Dispatch(step) => step,
            };
            let pipeline = self.cache.index(&self.gpu, &step.kernel, &self.program.sources)?;
            let bind_group = self.bind_group(self.cache.get(pipeline), step)?;
            self.commands.push(Command::Dispatch { pipeline, bind_group, step: next });
            next += 1;
        }
        Ok(())
    }

    fn bind_group(&self, pipeline: &Pipeline, step: &Step) -> Result<wgpu::BindGroup> {
        let fail =
            |m: String| Error::Gpu { place: format!("{} (shader {})", step.label, step.kernel.shader), message: m };
        if step.bindings.len() != pipeline.bindings.len() || pipeline.immediates as usize != 4 * step.immediates.len() {
            return Err(fail(format!(
                "{} bindings and {} bytes of immediates given, the shader has {} and {}",
                step.bindings.len(),
                4 * step.immediates.len(),
                pipeline.bindings.len(),
                pipeline.immediates
            )));
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
            let resource = match (&self.slots[id].mirror, access) {
                (Some(mirror), Access::Image) => wgpu::BindingResource::TextureView(&mirror.view),
                _ => self.slots[id].buffer.as_entire_binding(),
            };
            entries.push(wgpu::BindGroupEntry { binding: binding.number, resource });
        }
        self.gpu.checked(&step.label, || {
            self.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&step.label),
                layout: &pipeline.layout,
                entries: &entries,
            })
        })
    }

    /// Writes the beginning of an upload buffer.
    pub fn upload<T: bytemuck::NoUninit>(&self, id: BufferId, data: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let (slot, label) = (&self.slots[id.0], &self.program.buffers[id.0].label);
        if bytes.len() as u64 > slot.buffer.size() {
            return Err(Error::Gpu {
                place: format!("buffer '{label}'"),
                message: format!("{} bytes to write, {} allocated", bytes.len(), slot.buffer.size()),
            });
        }
        self.gpu.queue.write_buffer(&slot.buffer, 0, bytes);
        Ok(())
    }

    fn encode(&self, encoder: &mut wgpu::CommandEncoder, commands: &[Command], lanes: usize, repeat: usize) {
        let mut pass = None;
        for command in (0..repeat).flat_map(|_| commands) {
            match command {
                Command::Dispatch { pipeline, bind_group, step } => {
                    let step = &self.steps[*step];
                    let pass =
                        pass.get_or_insert_with(|| encoder.begin_compute_pass(&Default::default()).forget_lifetime());
                    pass.set_pipeline(&self.cache.get(*pipeline).pipeline);
                    pass.set_bind_group(0, bind_group, &[]);
                    let part = self.program.part(step.part, lanes as u64);
                    pass.set_immediates(0, bytemuck::bytes_of(&(part as u32)));
                    pass.set_immediates(4, bytemuck::cast_slice(&step.immediates[1..]));
                    let groups = (part * step.grid.items as u64).div_ceil(step.grid.workgroup as u64);
                    pass.dispatch_workgroups(groups.min(FOLD) as u32, groups.div_ceil(FOLD) as u32, step.grid.groups);
                }
                Command::Mirror { slot, bytes_per_lane } => {
                    pass = None;
                    let buffer = &self.slots[*slot].buffer;
                    match &self.slots[*slot].mirror {
                        Some(mirror) if mirror.alias => {
                            let state = wgpu::BufferUses::STORAGE_READ_ONLY;
                            let barrier = wgpu::BufferTransition { buffer, state };
                            encoder.transition_resources([barrier].into_iter(), [].into_iter());
                        }
                        Some(mirror) => copy_to_image(encoder, buffer, &mirror.image, bytes_per_lane * lanes as u64),
                        None => {}
                    }
                }
            }
        }
    }

    /// Encodes and submits one run over the first `lanes` lanes, whole samples, and starts reading the download buffers back.
    pub fn submit(&mut self, lanes: usize) -> Result<Pending> {
        let group = self.program.group() as usize;
        if lanes == 0 || lanes > self.max_lanes || !lanes.is_multiple_of(group) {
            return Err(Error::Gpu {
                place: "submit".into(),
                message: format!(
                    "{lanes} lanes asked for, the plan holds {group}..={} in steps of {group}",
                    self.max_lanes
                ),
            });
        }
        let mut parts = vec![];
        let mut total = 0;
        for (i, b) in self.program.buffers.iter().enumerate().filter(|(_, b)| matches!(b.role, Role::Download)) {
            let bytes = b.bytes_per_lane * lanes as u64;
            parts.push((BufferId(i), total, bytes));
            total += (b.bytes_per_lane * self.max_lanes as u64).next_multiple_of(256);
        }
        let staging = match self.staging.pop() {
            Some(buffer) => buffer,
            None => self.gpu.checked("readback buffer", || {
                self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("readback"),
                    size: total.max(4),
                    usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            })?,
        };
        let (submission, submissions) = self.send(lanes, &staging, &parts)?;
        let (tell, mapped) = mpsc::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |r| {
            let _ = tell.send(r); // the receiver may be gone: nobody waits any more
        });
        Ok(Pending { staging, submission, submissions, mapped, parts })
    }

    /// All commands, in as many submissions as the watchdog asks for, the last with copies of the download buffers. Runs
    /// of a size whose time is not known are timed, submission by submission. The last one's index, and how many.
    fn send(
        &mut self,
        lanes: usize,
        staging: &wgpu::Buffer,
        parts: &[(BufferId, u64, u64)],
    ) -> Result<(Option<wgpu::SubmissionIndex>, usize)> {
        let (ends, timed) = (self.pace.cuts(lanes), !self.pace.knows(lanes));
        let (mut from, mut taken, mut last) = (0, vec![], None);
        for &end in &ends {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            self.encode(&mut encoder, &self.commands[from..end], lanes, 1);
            for &(id, offset, bytes) in parts.iter().filter(|_| end == self.commands.len()) {
                encoder.copy_buffer_to_buffer(&self.slots[id.0].buffer, 0, staging, offset, bytes);
            }
            let start = Instant::now();
            last = Some(self.gpu.checked("submit", || self.gpu.queue.submit([encoder.finish()]))?);
            if timed {
                self.gpu.finish(last.clone(), "timing a tile")?;
                taken.push(start.elapsed().as_secs_f64());
            }
            from = end;
        }
        if timed {
            self.pace.learn(lanes, &taken);
            self.gpu.warn(self.pace.warning(&self.program));
        }
        Ok((last, ends.len()))
    }

    /// Waits for a run and hands its download buffers to `read`, one call each.
    pub fn wait(&mut self, pending: Pending, mut read: impl FnMut(BufferId, &[u8])) -> Result<()> {
        let place = "waiting for a tile";
        self.gpu.finish(pending.submission, place)?;
        let fail = |m: String| Error::Gpu { place: "readback".into(), message: m };
        pending.mapped.recv().map_err(|e| fail(e.to_string()))?.map_err(|e| fail(e.to_string()))?;
        {
            let view = pending.staging.slice(..).get_mapped_range().map_err(|e| fail(e.to_string()))?;
            for (id, offset, bytes) in pending.parts {
                read(id, &view[offset as usize..(offset + bytes) as usize]);
            }
        }
        pending.staging.unmap();
        self.staging.push(pending.staging);
        Ok(())
    }

    /// Submits and waits; the values of one download buffer.
    pub fn run(&mut self, lanes: usize, download: BufferId) -> Result<Vec<f32>> {
        let pending = self.submit(lanes)?;
        let mut out = vec![];
        self.wait(pending, |id, bytes| {
            if id == download {
                out = bytemuck::pod_collect_to_vec(bytes);
            }
        })?;
        Ok(out)
    }

    /// Seconds that each action takes on its own over `lanes` lanes, best of `rounds` submissions of `repeat` copies
    /// of it: (label, op, seconds, the step or nothing for an image update). Results are not read.
    pub fn time_actions(&self, lanes: usize, repeat: usize, rounds: usize) -> Result<Vec<(Option<&Step>, f64)>> {
        let mut times = HashMap::new();
        for _ in 0..rounds {
            for (i, command) in self.commands.iter().enumerate() {
                let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
                self.encode(&mut encoder, std::slice::from_ref(command), lanes, repeat);
                let start = Instant::now();
                let submission = self.gpu.queue.submit([encoder.finish()]);
                self.gpu.finish(Some(submission), "timing")?;
                let seconds = start.elapsed().as_secs_f64() / repeat as f64;
                times.entry(i).and_modify(|t: &mut f64| *t = t.min(seconds)).or_insert(seconds);
            }
        }
        let step = |c: &Command| match c {
            Command::Dispatch { step, .. } => Some(&self.steps[*step]),
            Command::Mirror { .. } => None,
        };
        Ok(self.commands.iter().enumerate().map(|(i, c)| (step(c), times[&i])).collect())
    }
}
