//! The one dispatch loop: allocates a program's buffers for a number of lanes, then runs it any number of times.
//! `submit` waits only for the first tiles on a GPU, which it times; `wait` does. Buffers start as NaN, so that what was
//! never written shows.
use super::faults::Fault;
use super::load::{Command, Loaded, Recipe};
use super::memory::Memory;
use super::open::Gpu;
use super::pace::Pace;
use super::slot::copy_to_image;
use super::tiles::{self, FOLD, READBACK_ALIGNMENT};
use super::words;
use crate::error::{Error, Result};
use crate::program::{BufferId, LaneRole, Program, Role, Space, Step};
use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Instant;

/// An action and its seconds: a step and the space it runs over, or nothing for an image update.
pub(crate) type Timed<'a> = (Option<&'a (Step, Space)>, f64);

/// A program on a device, with room for `max_lanes` lanes.
pub struct Executor<'a> {
    on: Loaded<'a>,
    steps: Vec<(Step, Space)>,
    /// Cuts runs into submissions, where the device has a watchdog.
    pace: Pace,
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

impl<'a> Executor<'a> {
    /// Allocates and compiles everything; for fewer lanes where the device has no room. Needs at least one lane to fit.
    pub fn new(gpu: &Gpu, program: Program, max_lanes: usize) -> Result<Self> {
        Self::with(gpu, program, max_lanes, None)
    }

    /// `new` of a program that can be planned again if the device is lost.
    pub(crate) fn lasting(gpu: &Gpu, program: Program, max_lanes: usize, recipe: Recipe<'a>) -> Result<Self> {
        Self::with(gpu, program, max_lanes, Some(recipe))
    }

    fn with(gpu: &Gpu, program: Program, max_lanes: usize, recipe: Option<Recipe<'a>>) -> Result<Self> {
        let gpu = gpu.living()?;
        let most = tiles::most(&gpu, &program, u64::MAX);
        if max_lanes == 0 || max_lanes > most {
            let place = format!("plan on {}", gpu.name());
            return Err(Error::OutOfMemory {
                place,
                message: format!("{max_lanes} lanes asked for, the adapter's limits hold {most}"),
            });
        }
        let memory = Memory::of(&program, max_lanes as u64, gpu.images_share());
        let (needed, may) = (memory.device(), gpu.memory());
        if needed > may {
            let message = format!(
                "{needed} bytes for {max_lanes} lanes, a run may take {may}: as --memory says, or else half of the \
                 adapter's own memory as far as that is known"
            );
            return Err(Error::OutOfMemory { place: format!("plan on {}", gpu.name()), message });
        }
        let pace = Pace::new(&program, gpu.policy.longest);
        let steps = program.dispatches().map(|(step, space)| (step.clone(), space)).collect();
        let mut on = Loaded::new(gpu, program, max_lanes, memory, recipe);
        if let Err(error) = on.load().and_then(|()| on.allocate(max_lanes)) {
            on.recover(error)?;
        }
        Ok(Self { on, steps, pace })
    }

    /// After an error of a run: makes the executor ready for the same runs again, perhaps of fewer lanes (`max_lanes`). Out of
    /// memory the room is halved, whole samples, down to one, for good; a lost device is opened again. Nothing of the runs in
    /// flight is left.
    ///
    /// # Errors
    /// The error itself if it is none of the two, if there is no recipe for a lost device, or after `FAILURES` in a row.
    pub(crate) fn recover(&mut self, error: Error) -> Result<()> {
        self.on.recover(error)
    }

    /// Lanes that there is room for.
    pub fn max_lanes(&self) -> usize {
        self.on.max_lanes
    }

    /// Lanes, of whole samples, that a run should have at most for the device's watchdog; at most `max_lanes`. It changes
    /// as runs are timed, and is a sample's where even that may take too long.
    pub fn safe_lanes(&self) -> usize {
        tiles::safe(&self.pace, self.on.max_lanes, self.on.program.group())
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.on.gpu
    }

    /// What it takes.
    pub fn memory(&self) -> Memory {
        self.on.memory
    }

    /// What runs; the contents of constants are on the device only.
    pub fn program(&self) -> &Program {
        &self.on.program
    }

    /// Writes the beginning of an upload buffer.
    pub fn upload<T: bytemuck::NoUninit>(&self, id: BufferId, data: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let (slot, label) = (&self.on.slots[&id.0], &self.on.program.buffers[id.0].label);
        if bytes.len() as u64 > slot.buffer.size() {
            return Err(Error::Gpu {
                place: format!("buffer '{label}'"),
                message: format!("{} bytes to write, {} allocated", bytes.len(), slot.buffer.size()),
            });
        }
        self.on.gpu.device.checked("upload", || self.on.gpu.device.queue.write_buffer(&slot.buffer, 0, bytes))
    }

    /// The buffer on the device.
    pub(super) fn buffer(&self, id: BufferId) -> &wgpu::Buffer {
        &self.on.slots[&id.0].buffer
    }

    /// Tells the kernels how many lanes there are, where that is not by immediates; before what is then submitted.
    fn tell(&self, lanes: usize) -> Result<()> {
        let (device, program) = (&self.on.gpu.device, &self.on.program);
        self.on.words.as_ref().map_or(Ok(()), |words| words.write(device, program, lanes))
    }

    fn encode(&self, encoder: &mut wgpu::CommandEncoder, commands: &[Command], lanes: usize, repeat: usize) {
        let mut pass = None;
        for command in (0..repeat).flat_map(|_| commands) {
            match command {
                Command::Dispatch { pipeline, bind_group, step } => {
                    let (step, space) = &self.steps[*step];
                    let pass =
                        pass.get_or_insert_with(|| encoder.begin_compute_pass(&Default::default()).forget_lifetime());
                    let pipeline = self.on.cache.get(*pipeline);
                    pass.set_pipeline(&pipeline.pipeline);
                    pass.set_bind_group(0, bind_group, &[]);
                    let own = self.on.program.lanes_of(*space, step.role, lanes as u64);
                    if pipeline.uniform.is_none() {
                        let told = words::of(&self.on.program, (step, *space), lanes);
                        pass.set_immediates(0, bytemuck::cast_slice(&told));
                    }
                    let groups = (own * step.grid.items as u64).div_ceil(step.grid.workgroup as u64);
                    pass.dispatch_workgroups(groups.min(FOLD) as u32, groups.div_ceil(FOLD) as u32, step.grid.groups);
                }
                Command::Host(_) => {} // `send` does it between two submissions
                Command::Mirror { slot, bytes_per_lane } => {
                    pass = None;
                    let buffer = &self.on.slots[slot].buffer;
                    let space = self.on.program.buffers[*slot].space;
                    let own = self.on.program.lanes_of(space, LaneRole::All, lanes as u64);
                    match &self.on.slots[slot].mirror {
                        Some(mirror) if mirror.alias => {
                            let state = wgpu::BufferUses::STORAGE_READ_ONLY;
                            let barrier = wgpu::BufferTransition { buffer, state };
                            encoder.transition_resources([barrier].into_iter(), [].into_iter());
                        }
                        Some(mirror) => copy_to_image(encoder, buffer, &mirror.image, bytes_per_lane * own),
                        None => {}
                    }
                }
            }
        }
    }

    /// Encodes and submits one run over the first `lanes` lanes, whole samples, and starts reading the download buffers back.
    pub fn submit(&mut self, lanes: usize) -> Result<Pending> {
        let group = self.on.program.group() as usize;
        if lanes == 0 || lanes > self.on.max_lanes || !lanes.is_multiple_of(group) {
            return Err(Error::Gpu {
                place: "submit".into(),
                message: format!(
                    "{lanes} lanes asked for, the plan holds {group}..={} in steps of {group}",
                    self.on.max_lanes
                ),
            });
        }
        match self.on.gpu.policy.faults.next() {
            Some(Fault::OutOfMemory) => {
                let message = format!("no memory for {lanes} lanes: VORTICITY_FAULTS");
                return Err(Error::OutOfMemory { place: "submit".into(), message });
            }
            Some(Fault::Lost) => self.on.gpu.device.handle.destroy(), // wgpu itself then finds it lost
            None => {}
        }
        let mut parts = vec![];
        let mut total = 0;
        for (i, b) in self.on.program.buffers.iter().enumerate().filter(|(_, b)| matches!(b.role, Role::Download)) {
            let bytes = self.on.program.bytes_of(b, lanes as u64);
            parts.push((BufferId(i), total, bytes));
            total += self.on.program.bytes_of(b, self.on.max_lanes as u64).next_multiple_of(READBACK_ALIGNMENT);
        }
        let staging = match self.on.staging.pop() {
            Some(buffer) => buffer,
            None => self.on.gpu.device.checked("readback buffer", || {
                self.on.gpu.device.handle.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("readback"),
                    size: total.max(4),
                    usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            })?,
        };
        let (submission, submissions) = self.send(lanes, &staging, &parts)?;
        let (tell, mapped) = mpsc::channel();
        self.on.gpu.device.checked("readback", || {
            staging.slice(..).map_async(wgpu::MapMode::Read, move |r| {
                let _ = tell.send(r); // the receiver may be gone: nobody waits any more
            })
        })?;
        Ok(Pending { staging, submission, submissions, mapped, parts })
    }

    /// All commands, in as many submissions as the watchdog and the host's steps ask for, the last with copies of the download
    /// buffers. Runs of a size whose time is not known are timed, piece by piece. The last one's index, and how many pieces.
    fn send(
        &mut self,
        lanes: usize,
        staging: &wgpu::Buffer,
        parts: &[(BufferId, u64, u64)],
    ) -> Result<(Option<wgpu::SubmissionIndex>, usize)> {
        let (ends, timed) = (self.pace.cuts(lanes), !self.pace.knows(lanes));
        let (mut from, mut taken, mut last) = (0, vec![], None);
        self.tell(lanes)?;
        for &end in &ends {
            let start = Instant::now();
            let mut encoder = self.on.gpu.device.handle.create_command_encoder(&Default::default());
            match &self.on.commands[from] {
                Command::Host(step) => self.host(step, lanes)?,
                _ => self.encode(&mut encoder, &self.on.commands[from..end], lanes, 1),
            }
            for &(id, offset, bytes) in parts.iter().filter(|_| end == self.on.commands.len()) {
                encoder.copy_buffer_to_buffer(&self.on.slots[&id.0].buffer, 0, staging, offset, bytes);
            }
            last = Some(self.on.gpu.device.checked("submit", || self.on.gpu.device.queue.submit([encoder.finish()]))?);
            if timed {
                self.on.gpu.device.finish(last.clone(), "timing a tile")?;
                taken.push(start.elapsed().as_secs_f64());
            }
            from = end;
        }
        if timed {
            self.pace.learn(lanes, &taken);
            self.on.gpu.diary.warn(self.pace.warning(&self.on.program));
        }
        Ok((last, ends.len()))
    }

    /// Waits for a run and hands its download buffers to `read`, one call each.
    pub fn wait(&mut self, pending: Pending, mut read: impl FnMut(BufferId, &[u8])) -> Result<()> {
        let place = "waiting for a tile";
        self.on.gpu.device.finish(pending.submission, place)?;
        // What cannot be read of a lost device is no error of its own.
        let fail = |m: String| match self.on.gpu.device.alive("readback") {
            Err(lost) => lost,
            Ok(()) => Error::Gpu { place: "readback".into(), message: m },
        };
        pending.mapped.recv().map_err(|e| fail(e.to_string()))?.map_err(|e| fail(e.to_string()))?;
        {
            let view = pending.staging.slice(..).get_mapped_range().map_err(|e| fail(e.to_string()))?;
            for (id, offset, bytes) in pending.parts {
                read(id, &view[offset as usize..(offset + bytes) as usize]);
            }
        }
        pending.staging.unmap();
        self.on.staging.push(pending.staging);
        self.on.failures = 0;
        if let Some(ahead) = &self.on.ahead {
            ahead.stop(); // the run has compiled what was left
        }
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
    /// of it. Results are not read.
    pub(crate) fn time_actions(&self, lanes: usize, repeat: usize, rounds: usize) -> Result<Vec<Timed<'_>>> {
        let mut times = HashMap::new();
        self.tell(lanes)?;
        for _ in 0..rounds {
            for (i, command) in self.on.commands.iter().enumerate() {
                let mut encoder = self.on.gpu.device.handle.create_command_encoder(&Default::default());
                self.encode(&mut encoder, std::slice::from_ref(command), lanes, repeat);
                let start = Instant::now();
                let submission = self.on.gpu.device.queue.submit([encoder.finish()]);
                self.on.gpu.device.finish(Some(submission), "timing")?;
                let seconds = start.elapsed().as_secs_f64() / repeat as f64;
                times.entry(i).and_modify(|t: &mut f64| *t = t.min(seconds)).or_insert(seconds);
            }
        }
        let step = |c: &Command| match c {
            Command::Dispatch { step, .. } => Some(&self.steps[*step]),
            Command::Mirror { .. } | Command::Host(_) => None,
        };
        Ok(self.on.commands.iter().enumerate().map(|(i, c)| (step(c), times[&i])).collect())
    }
}
