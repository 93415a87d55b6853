//! The one dispatch loop: allocates a program's buffers for a number of lanes, then runs it any number of times.
//! `submit` never waits; `Pending::wait` does. Buffers start as NaN, so that what was never written shows.
use super::device::Gpu;
use super::pipeline::{Cache, Pipeline};
use crate::error::{Error, Result};
use crate::program::{Access, Action, BufferId, IMAGE_WIDTH, Program, Role, Step};
use std::collections::HashMap;
use std::sync::mpsc;

/// Bytes of a texel of an image mirror, and of a row of it.
const TEXEL: u64 = 16;
pub(super) const IMAGE_ROW: u64 = IMAGE_WIDTH * TEXEL;

/// Workgroups in x before a dispatch is folded into y (the smallest limit any adapter has).
const FOLD: u64 = 65535;

struct Slot {
    buffer: wgpu::Buffer,
    mirror: Option<Mirror>,
}

/// The image through which kernels load what a buffer holds.
struct Mirror {
    image: wgpu::Texture,
    view: wgpu::TextureView,
    /// It is over the buffer's own memory, and bringing it up to date is a barrier, not a copy.
    alias: bool,
}

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
    /// Staging buffers that are free for another readback.
    staging: Vec<wgpu::Buffer>,
}

/// A submitted run; `wait` reads its download buffers back.
pub struct Pending {
    staging: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    mapped: mpsc::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
    /// Download buffers: offset in `staging` and bytes in use.
    parts: Vec<(BufferId, u64, u64)>,
}

impl Executor {
    /// Most lanes, of whole samples, that the adapter's limits allow for this program within `budget` bytes; at least a
    /// sample's if only the budget forbids it.
    pub fn most_lanes(gpu: &Gpu, program: &Program, budget: u64) -> usize {
        let within = budget.saturating_sub(program.constant_bytes()) / program.bytes_per_lane().max(1);
        let mut most = within.max(program.group() as u64);
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
    pub fn new(gpu: &Gpu, program: Program, max_lanes: usize) -> Result<Self> {
        let most = Self::most_lanes(gpu, &program, u64::MAX);
        if max_lanes == 0 || max_lanes > most {
            let place = format!("plan on {}", gpu.name());
            return Err(Error::OutOfMemory {
                place,
                message: format!("{max_lanes} lanes asked for, the adapter's limits hold {most}"),
            });
        }
        let mut slots = Vec::with_capacity(program.buffers.len());
        for (i, b) in program.buffers.iter().enumerate() {
            let image = program.has_image(BufferId(i));
            slots.push(gpu.checked(&format!("buffer '{}'", b.label), || allocate(gpu, b, max_lanes, image))?);
        }
        let mut executor = Self {
            gpu: gpu.clone(),
            steps: program.steps().cloned().collect(),
            program,
            slots,
            cache: Cache::default(),
            commands: vec![],
            max_lanes,
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

    /// What runs.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Fills scratch and download buffers with NaN.
    fn poison(&self) -> Result<()> {
        let nan = vec![f32::NAN; 1 << 18];
        for (slot, buffer) in self.slots.iter().zip(&self.program.buffers) {
            if matches!(buffer.role, Role::Scratch | Role::Download) {
                let mut at = 0;
                while at < slot.buffer.size() {
                    let n = (slot.buffer.size() - at).min(4 * nan.len() as u64);
                    self.gpu.queue.write_buffer(&slot.buffer, at, &bytemuck::cast_slice(&nan)[..n as usize]);
                    at += n;
                }
            }
        }
        self.gpu.queue.submit([]);
        self.gpu.alive("filling buffers")
    }

    fn bind(&mut self) -> Result<()> {
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
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        self.encode(&mut encoder, &self.commands, lanes, 1);
        for &(id, offset, bytes) in &parts {
            encoder.copy_buffer_to_buffer(&self.slots[id.0].buffer, 0, &staging, offset, bytes);
        }
        let submission = self.gpu.checked("submit", || self.gpu.queue.submit([encoder.finish()]))?;
        let (tell, mapped) = mpsc::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |r| {
            let _ = tell.send(r); // the receiver may be gone: nobody waits any more
        });
        Ok(Pending { staging, submission, mapped, parts })
    }

    /// Waits for a run and hands its download buffers to `read`, one call each.
    pub fn wait(&mut self, pending: Pending, mut read: impl FnMut(BufferId, &[u8])) -> Result<()> {
        let place = "waiting for a tile";
        let wait = wgpu::PollType::Wait { submission_index: Some(pending.submission), timeout: None };
        let polled = self.gpu.device.poll(wait);
        self.gpu.alive(place)?;
        polled.map_err(|e| Error::Gpu { place: place.into(), message: e.to_string() })?;
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
                let start = std::time::Instant::now();
                let submission = self.gpu.queue.submit([encoder.finish()]);
                let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
                self.gpu
                    .device
                    .poll(wait)
                    .map_err(|e| Error::Gpu { place: "timing".into(), message: e.to_string() })?;
                let seconds = start.elapsed().as_secs_f64() / repeat as f64;
                times.entry(i).and_modify(|t: &mut f64| *t = t.min(seconds)).or_insert(seconds);
            }
        }
        self.gpu.alive("timing")?;
        let step = |c: &Command| match c {
            Command::Dispatch { step, .. } => Some(&self.steps[*step]),
            Command::Mirror { .. } => None,
        };
        Ok(self.commands.iter().enumerate().map(|(i, c)| (step(c), times[&i])).collect())
    }
}

/// Room behind the last lane: one pixel of any width fits, for threads of convolutions on CPU adapters that have nothing to
/// store. All other kernels stay within their lanes.
fn spare(bytes_per_lane: u64) -> u64 {
    bytes_per_lane.min(1 << 16)
}

fn allocate(gpu: &Gpu, b: &crate::program::Buffer, max_lanes: usize, image: bool) -> Slot {
    let used = b.bytes_per_lane * max_lanes as u64;
    let size = match &b.role {
        Role::Constant(data) => (data.len() as u64).max(TEXEL),
        _ => (used + spare(b.bytes_per_lane)).next_multiple_of(IMAGE_ROW),
    };
    let descriptor = wgpu::BufferDescriptor {
        label: Some(&b.label),
        size: size.next_multiple_of(4),
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    };
    if !image {
        let buffer = gpu.device.create_buffer(&descriptor);
        if let Role::Constant(data) = &b.role
            && !data.is_empty()
        {
            gpu.queue.write_buffer(&buffer, 0, data);
        }
        return Slot { buffer, mirror: None };
    }
    let image = wgpu::TextureDescriptor {
        label: Some(&b.label),
        size: wgpu::Extent3d {
            width: IMAGE_WIDTH as u32,
            height: used.div_ceil(IMAGE_ROW) as u32 + 1,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    };
    #[cfg(target_os = "linux")]
    let both = super::alias::buffer_and_image(gpu, &descriptor, &image);
    #[cfg(not(target_os = "linux"))]
    let both = None;
    let alias = both.is_some();
    let (buffer, image) =
        both.unwrap_or_else(|| (gpu.device.create_buffer(&descriptor), gpu.device.create_texture(&image)));
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(IMAGE_ROW as u32), rows_per_image: None };
    let row = wgpu::Extent3d { width: IMAGE_WIDTH as u32, height: 1, depth_or_array_layers: 1 };
    gpu.queue.write_texture(image.as_image_copy(), &[0; IMAGE_ROW as usize], layout, row);
    let view = image.create_view(&Default::default());
    Slot { buffer, mirror: Some(Mirror { image, view, alias }) }
}

/// Copies the first `used` bytes, whole rows, below the zero row.
fn copy_to_image(encoder: &mut wgpu::CommandEncoder, buffer: &wgpu::Buffer, texture: &wgpu::Texture, used: u64) {
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(IMAGE_ROW as u32), rows_per_image: None };
    let mut target = texture.as_image_copy();
    target.origin.y = 1;
    encoder.copy_buffer_to_texture(
        wgpu::TexelCopyBufferInfo { buffer, layout },
        target,
        wgpu::Extent3d { width: IMAGE_WIDTH as u32, height: used.div_ceil(IMAGE_ROW) as u32, depth_or_array_layers: 1 },
    );
}
