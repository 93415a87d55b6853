//! Kernels compiled ahead of the first run, on software adapters. Their driver compiles a kernel when it is first dispatched, one after
//! another on one core, and keeps what it made in a cache on disk. So a second device of the same adapter dispatches a program's kernels
//! over no workgroup at all, from the last to the first, while the first run goes from the first to the last; where they meet, all is
//! compiled, and each loads what the other made. In: a device, a program. Out: the driver's cache, on which no result depends.
use super::device::Device;
use super::pipeline::{Pipeline, build};
use super::slot::Slot;
use super::words::{self, Words};
use crate::error::Result;
use crate::program::{Access, Buffer, Kernel, Program, Role, Space};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Programs of fewer kernels are not worth a device.
const FEWEST: usize = 8;

/// A kernel whose first dispatch, over no workgroup, takes no longer than this beyond what its pipeline took was compiled before, and
/// only loaded. llvmpipe takes 1 to 7 ms to load one, and to compile it 20 to 100 times its pipeline's time if it is small, 5 times if
/// it is large.
const LOADED: Duration = Duration::from_millis(5);

/// Bytes of what stands in for a kernel's buffers: more than any kernel wants to see of one at least.
const STAND_IN: u64 = 1 << 16;

/// Bytes of what stands in for a kernel's words, where they are no immediates.
const STAND_IN_WORDS: u32 = 256;

/// The work on other threads; it ends where it meets the first run, or is told to end.
pub(super) struct Ahead {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the threads share.
struct Work {
    device: Device,
    /// In the order of their first steps.
    kernels: Vec<Kernel>,
    /// The program's shaders that are not in `shaders/`.
    own: Vec<(String, String)>,
    /// How many of the kernels are taken, from the last.
    taken: AtomicUsize,
    stop: Arc<AtomicBool>,
}

impl Ahead {
    /// Begins, where that pays.
    pub fn start(device: &Device, program: &Program) -> Option<Self> {
        if !device.compiles_late() {
            return None;
        }
        let mut kernels: Vec<Kernel> = vec![];
        for step in program.steps() {
            if !kernels.contains(&step.kernel) {
                kernels.push(step.kernel.clone());
            }
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        if kernels.len() < FEWEST || cores < 2 {
            return None;
        }
        let helpers = (cores - 1).min(kernels.len() / FEWEST).max(1);
        let own = program.texts().into_iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        let stop = Arc::<AtomicBool>::default();
        let work = Work { device: device.clone(), kernels, own, taken: AtomicUsize::new(0), stop: stop.clone() };
        let thread = thread::Builder::new().name("kernels ahead".into()).spawn(move || work.begin(helpers)).ok();
        Some(Self { stop, thread })
    }

    /// Takes no further kernel: everything was run once.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Ahead {
    /// Waits for the kernel that is being compiled: a process must not end while its driver compiles.
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has no result
        }
    }
}

impl Work {
    /// One helper, and if the first kernel was not known, all of them. Whatever goes wrong shows again in the first run, which says it.
    fn begin(&self, helpers: usize) {
        let Ok(helper) = Helper::new(&self.device) else { return };
        if self.next(&helper) {
            thread::scope(|scope| {
                for _ in 1..helpers {
                    scope.spawn(|| Helper::new(&self.device).map(|helper| while self.next(&helper) {}));
                }
                while self.next(&helper) {}
            });
        }
    }

    /// Compiles the last kernel that nobody has taken; false where this is the end.
    fn next(&self, helper: &Helper) -> bool {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let Some(kernel) = self.kernels.iter().rev().nth(taken) else { return false };
        let own: Vec<_> = self.own.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        !self.stop.load(Ordering::Relaxed) && helper.compile(kernel, &own).unwrap_or(false)
    }
}

/// A second device, and what its kernels are bound to.
struct Helper {
    device: Device,
    read: Slot,
    written: Slot,
    words: Words,
}

impl Helper {
    fn new(device: &Device) -> Result<Self> {
        let device = device.another()?;
        let slot = |label: &str, image| {
            let bytes_per_lane = STAND_IN;
            let buffer = Buffer { label: label.into(), bytes_per_lane, space: Space::Whole, role: Role::Scratch };
            device.checked(label, || Slot::new(&device, &buffer, 1, image))
        };
        let (read, written) = (slot("read", true)?, slot("written", false)?);
        let words = Words::new(&device, 1, STAND_IN_WORDS)?;
        Ok(Self { device, read, written, words })
    }

    /// Has the driver compile a kernel, unless it has; false where it only loaded what it had.
    fn compile(&self, kernel: &Kernel, own: &[(&str, &str)]) -> Result<bool> {
        let start = Instant::now();
        let pipeline = build(&self.device, kernel, own)?;
        let group = self.bind_group(kernel, &pipeline)?;
        let (built, start) = (start.elapsed(), Instant::now());
        let submission = self.device.checked(kernel.shader, || {
            let mut encoder = self.device.handle.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &group, &[]);
            if pipeline.uniform.is_none() {
                pass.set_immediates(0, &vec![0; words::size(&pipeline.immediates) as usize]);
            }
            pass.dispatch_workgroups(0, 0, 0);
            drop(pass);
            self.device.queue.submit([encoder.finish()])
        })?;
        self.device.finish(Some(submission), kernel.shader)?;
        Ok(start.elapsed() > built + LOADED)
    }

    fn bind_group(&self, kernel: &Kernel, pipeline: &Pipeline) -> Result<wgpu::BindGroup> {
        let bound = pipeline.bindings.iter().map(|binding| {
            let resource = match (&self.read.mirror, binding.access) {
                (Some(mirror), Access::Image) => wgpu::BindingResource::TextureView(&mirror.view),
                (_, Access::Write) => self.written.buffer.as_entire_binding(),
                _ => self.read.buffer.as_entire_binding(),
            };
            wgpu::BindGroupEntry { binding: binding.number, resource }
        });
        let words = pipeline.uniform.map(|binding| wgpu::BindGroupEntry { binding, resource: self.words.binding(0) });
        let entries: Vec<_> = bound.chain(words).collect();
        self.device.checked(kernel.shader, || {
            self.device.handle.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(kernel.shader),
                layout: &pipeline.layout,
                entries: &entries,
            })
        })
    }
}
