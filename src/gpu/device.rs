//! An open device: wgpu's handles, what the adapter is and can do, and the two ways in which a device reports trouble, error
//! scopes and the lost callback. In: an adapter. Out: a `Device`, errors that name the place.
use super::cooperative::Cooperative;
use super::policy::{Bounds, Limits};
use super::statistics::{self, Executable};
use super::vulkan::{self, Wish, wished};
use crate::error::{Error, Result};
use crate::program::Kernel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A device that has not finished a tile after so long hangs, and counts as lost. Adapters without a watchdog, which may take
/// any time, are waited for.
const HANG: Duration = Duration::from_secs(600);

/// A device with its queue. Cheap to clone.
#[derive(Clone)]
pub(super) struct Device {
    pub handle: wgpu::Device,
    pub queue: wgpu::Queue,
    pub info: wgpu::AdapterInfo,
    adapter: wgpu::Adapter,
    /// Position of the adapter in the list.
    pub index: usize,
    pub limits: wgpu::Limits,
    /// What the caller set lower than the adapter.
    pub bounds: Bounds,
    pub cooperative: Cooperative,
    /// Whether the driver tells what its compiler makes of kernels.
    pub told: bool,
    lost: Arc<Mutex<Option<String>>>,
    /// The device that took this one's place.
    pub successor: Arc<Mutex<Option<Device>>>,
}

/// What is asked of a device: limits, features, and the cooperative matrices among these.
fn asked(adapter: &wgpu::Adapter, bounds: Bounds) -> (wgpu::Limits, wgpu::Features, Cooperative) {
    let (mut limits, features, cooperative) = match bounds.limits {
        Limits::Adapter => {
            let cooperative = Cooperative::of(adapter);
            let wanted = wgpu::Features::IMMEDIATES | wgpu::Features::SHADER_INT64;
            (adapter.limits(), (adapter.features() & wanted) | cooperative.features(), cooperative)
        }
        Limits::WebGpu => {
            let least = wgpu::Limits::default().or_worse_values_from(&adapter.limits());
            (least, wgpu::Features::empty(), Cooperative::default())
        }
    };
    if !features.contains(wgpu::Features::IMMEDIATES) {
        limits.max_immediate_size = 0;
    }
    if let Some(most) = bounds.binding {
        limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(most & !3);
    }
    (limits, features, cooperative)
}

impl Device {
    /// Opens a device of the adapter at that position of the list.
    /// `telling`: its driver is to tell what its compiler makes of kernels, if it can.
    pub fn request(adapter: &wgpu::Adapter, index: usize, bounds: Bounds, telling: bool) -> Result<Self> {
        let (limits, features, cooperative) = asked(adapter, bounds);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("vorticity"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: cooperative.experimental(),
            ..Default::default()
        };
        let told = telling && vulkan::tells(adapter);
        let own = (told || cooperative.sized).then(|| vulkan::request(adapter, &descriptor, told)).flatten();
        let opened = own.unwrap_or_else(|| {
            pollster::block_on(adapter.request_device(&descriptor)).map_err(|error| error.to_string())
        });
        let (handle, queue) =
            opened.map_err(|e| Error::NoAdapter(format!("'{}' did not open: {e}", adapter.get_info().name)))?;
        let lost: Arc<Mutex<Option<String>>> = Arc::default();
        let note = lost.clone();
        handle.set_device_lost_callback(move |reason, message| {
            if let Ok(mut slot) = note.lock() {
                *slot = Some(format!("{reason:?}: {message}"));
            }
        });
        // Without a handler wgpu panics at what no scope has caught.
        let note = lost.clone();
        handle.on_uncaptured_error(Arc::new(move |error| {
            if let Ok(mut slot) = note.lock() {
                slot.get_or_insert(error.to_string());
            }
        }));
        let (info, adapter, successor) = (adapter.get_info(), adapter.clone(), Arc::default());
        Ok(Self { handle, queue, info, adapter, index, limits, bounds, cooperative, told, lost, successor })
    }

    /// Another device of the same adapter, opened alike.
    pub fn another(&self) -> Result<Self> {
        Self::request(&self.adapter, self.index, self.bounds, false)
    }

    /// A pipeline of a kernel, and what the driver tells of it. Kernels with a constant LANES count on subgroups of that many threads.
    pub fn compile(
        &self,
        kernel: &Kernel,
        descriptor: &wgpu::ComputePipelineDescriptor,
    ) -> (wgpu::ComputePipeline, Vec<Executable>) {
        let lanes = kernel.constants.iter().find(|c| c.0 == "LANES").map(|c| c.1 as u32);
        let wish = Wish { subgroup: lanes.filter(|_| self.cooperative.sized), told: self.told };
        let (pipeline, made) = wished(wish, || self.handle.create_compute_pipeline(descriptor));
        let executables = if self.told { statistics::of(&self.handle, made) } else { vec![] };
        (pipeline, executables)
    }

    /// True for adapters that compute on the CPU (lavapipe, WARP).
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// True for adapters whose driver may compile a kernel no sooner than it is first dispatched (llvmpipe).
    pub fn compiles_late(&self) -> bool {
        self.is_software() && self.info.backend == wgpu::Backend::Vulkan
    }

    /// True for GPUs with memory of their own.
    pub fn is_discrete(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::DiscreteGpu
    }

    /// Largest storage buffer in bytes.
    pub fn max_binding(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }

    /// Most rows of an image mirror.
    pub fn max_image_rows(&self) -> u64 {
        self.limits.max_texture_dimension_2d as u64
    }

    /// How long it is waited for, if that has an end: adapters without a watchdog may take any time.
    fn patience(&self) -> Option<Duration> {
        (!self.is_software()).then_some(HANG)
    }

    /// Runs `make` and turns what the device complained about into an error that names `place`.
    pub fn checked<T>(&self, place: &str, make: impl FnOnce() -> T) -> Result<T> {
        let memory = self.handle.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.handle.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.handle.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let errors = [validation.pop(), internal.pop(), memory.pop()].map(pollster::block_on);
        let error = errors.into_iter().flatten().next();
        if error.is_some() {
            self.settle();
        }
        self.alive(place)?;
        match error {
            None => Ok(made),
            Some(wgpu::Error::OutOfMemory { source }) => {
                Err(Error::OutOfMemory { place: place.into(), message: source.to_string() })
            }
            Some(e) => Err(Error::Gpu { place: place.into(), message: e.to_string() }),
        }
    }

    /// Waits for a submission, or for all of them.
    pub fn finish(&self, submission: Option<wgpu::SubmissionIndex>, place: &str) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: submission, timeout: self.patience() };
        let polled = self.handle.poll(wait);
        if let (Err(wgpu::PollError::Timeout), Ok(mut lost)) = (&polled, self.lost.lock()) {
            lost.get_or_insert(format!("no answer for {} s", HANG.as_secs()));
        }
        if polled.is_err() {
            self.settle();
        }
        self.alive(place)?;
        polled.map(drop).map_err(|e| Error::Gpu { place: place.into(), message: e.to_string() })
    }

    /// After an error, which may be the first sign of a lost device: its buffers are not valid, its submissions not known. wgpu
    /// says that it is lost once its queue is empty.
    fn settle(&self) {
        if self.alive("").is_ok() {
            let wait = wgpu::PollType::Wait { submission_index: None, timeout: self.patience() };
            let _ = self.handle.poll(wait); // the caller has an error to tell anyway
        }
    }

    /// An error if the device was lost, naming where that was noticed. wgpu gives a device up too where a submission finds no
    /// memory: that is what the error then says.
    pub fn alive(&self, place: &str) -> Result<()> {
        let place = || place.to_string();
        match self.lost.lock().ok().and_then(|m| m.clone()) {
            Some(message) if message.ends_with(&wgpu::hal::DeviceError::OutOfMemory.to_string()) => {
                Err(Error::OutOfMemory { place: place(), message })
            }
            Some(message) => Err(Error::DeviceLost { place: place(), message }),
            None => Ok(()),
        }
    }
}
