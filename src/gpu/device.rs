//! Adapter choice, device creation, and the two ways a device reports trouble: error scopes and the lost callback.
use super::cooperative::Cooperative;
use super::family::family;
use super::faults::Faults;
use super::pace::LONGEST;
use super::trouble::{Trouble, told};
use crate::choice::Choices;
use crate::error::{Error, Result};
use crate::target::KernelFamily;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Which adapter to run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The first discrete GPU, else integrated, else virtual, else software.
    #[default]
    Best,
    /// A CPU adapter (lavapipe, WARP).
    Software,
    /// Position in the list of `vorticity devices`.
    Index(usize),
    /// Part of the adapter's name, any case.
    Name(String),
}

impl AdapterChoice {
    /// `INDEX`, `software`, or part of a name.
    pub fn parse(text: &str) -> Self {
        match (text, text.parse()) {
            ("software", _) => Self::Software,
            (_, Ok(index)) => Self::Index(index),
            _ => Self::Name(text.to_string()),
        }
    }

    /// What `--adapter` may name: `all` (see `all_of`), or choices separated by commas, the same one twice for two devices
    /// on it. A whole name with a comma in it is one choice.
    pub fn list(text: &str) -> Result<Vec<Self>> {
        if text == "all" {
            let all = all_of(&adapters());
            return Ok(if all.is_empty() { vec![Self::Best] } else { all.into_iter().map(Self::Index).collect() });
        }
        let is_name = || adapters().iter().any(|a| a.name.eq_ignore_ascii_case(text));
        if !text.contains(',') || is_name() {
            return Ok(vec![Self::parse(text)]);
        }
        let choice = |part: &str| match part.trim() {
            "" | "all" => {
                let said = format!("'{text}', expected `all`, or adapters separated by commas");
                Err(Error::invalid("--adapter", said))
            }
            part => Ok(Self::parse(part)),
        };
        text.split(',').map(choice).collect()
    }
}

/// What `vorticity devices` prints of an adapter.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// As the driver gives it.
    pub name: String,
    /// Discrete, integrated, virtual or software.
    pub kind: &'static str,
    /// Vulkan, Metal or DX12.
    pub backend: String,
    /// Name and version of the driver.
    pub driver: String,
    /// Vendor and device by their PCI numbers; 0 where the back end has none.
    pub ids: [u32; 2],
    /// Where it sits on the PCI bus; empty where that is not known.
    pub bus: String,
    /// What is missing, if vorticity cannot run on it.
    pub unusable: Option<String>,
    /// The limits that bound a run, by name.
    pub limits: Vec<(&'static str, u64)>,
    /// The features that kernels may use.
    pub features: Vec<String>,
}

/// What a caller sets lower than the adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Bytes that a run may take; none: `Gpu::memory` says.
    pub memory: Option<u64>,
    /// Bytes that a kernel may see of one buffer; none: the adapter's limit. The device then enforces it.
    pub binding: Option<u64>,
}

impl Bounds {
    /// Refuses bindings that hold nothing.
    pub fn check(&self) -> Result<()> {
        let least = 1 << 20;
        match self.binding.filter(|most| *most < least) {
            Some(most) => Err(Error::invalid("binding limit", format!("{most} bytes, expected {least} or more"))),
            None => Ok(()),
        }
    }
}

/// An open device with its queue. Cheap to clone.
#[derive(Clone)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) info: wgpu::AdapterInfo,
    /// Position of the adapter in the list.
    pub(super) index: usize,
    pub(super) limits: wgpu::Limits,
    pub(super) bounds: Bounds,
    pub(super) lost: Arc<Mutex<Option<String>>>,
    /// The device that took this one's place.
    pub(super) successor: Arc<Mutex<Option<Gpu>>>,
    pub(super) longest: Option<f64>,
    pub(super) faults: Arc<Faults>,
    pub(super) warnings: Arc<Mutex<Vec<String>>>,
    pub(super) troubles: Arc<Mutex<Vec<Trouble>>>,
    pub(super) cooperative: Cooperative,
    pub(super) family: KernelFamily,
    pub(super) choices: Arc<Choices>,
}

/// The kind of adapters that compute on the CPU.
const SOFTWARE: &str = "software";

/// A device that has not finished a tile after so long hangs, and counts as lost. Adapters without a watchdog, which may take
/// any time, are waited for.
const HANG: Duration = Duration::from_secs(600);

/// Bytes of immediates that every kernel fits in.
const IMMEDIATE_BYTES: u32 = 128;

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // The GL back end lacks immediates and long compute shaders; these three have them.
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    wgpu::Instance::new(descriptor)
}

pub(super) fn enumerate() -> Vec<wgpu::Adapter> {
    pollster::block_on(instance().enumerate_adapters(wgpu::Backends::all()))
}

fn kind(t: wgpu::DeviceType) -> (usize, &'static str) {
    match t {
        wgpu::DeviceType::DiscreteGpu => (0, "discrete GPU"),
        wgpu::DeviceType::IntegratedGpu => (1, "integrated GPU"),
        wgpu::DeviceType::VirtualGpu => (2, "virtual GPU"),
        wgpu::DeviceType::Cpu => (3, SOFTWARE),
        wgpu::DeviceType::Other => (4, "other"),
    }
}

fn unusable(adapter: &wgpu::Adapter) -> Option<String> {
    if !adapter.features().contains(wgpu::Features::IMMEDIATES) {
        return Some("no IMMEDIATES (push constants)".into());
    }
    let bytes = adapter.limits().max_immediate_size;
    (bytes < IMMEDIATE_BYTES).then(|| format!("{bytes} bytes of immediates, {IMMEDIATE_BYTES} needed"))
}

/// Every adapter of this machine.
pub fn adapters() -> Vec<AdapterSummary> {
    let summary = |a: &wgpu::Adapter| {
        let (info, limits) = (a.get_info(), a.limits());
        let wanted = [
            wgpu::Features::SUBGROUP,
            wgpu::Features::SHADER_F16,
            wgpu::Features::TIMESTAMP_QUERY,
            wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
            wgpu::Features::PIPELINE_CACHE,
        ];
        AdapterSummary {
            name: info.name.clone(),
            kind: kind(info.device_type).1,
            backend: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
            ids: [info.vendor, info.device],
            bus: info.device_pci_bus_id.clone(),
            unusable: unusable(a),
            limits: vec![
                ("largest storage binding, bytes", limits.max_storage_buffer_binding_size),
                ("largest buffer, bytes", limits.max_buffer_size),
                ("workgroup memory, bytes", limits.max_compute_workgroup_storage_size as u64),
                ("invocations per workgroup", limits.max_compute_invocations_per_workgroup as u64),
                ("workgroups per dimension", limits.max_compute_workgroups_per_dimension as u64),
                ("image width or height", limits.max_texture_dimension_2d as u64),
            ],
            features: wanted
                .iter()
                .filter(|f| a.features().contains(**f))
                .flat_map(|f| f.iter_names().map(|(n, _)| n.to_string()).collect::<Vec<_>>())
                .collect(),
        }
    };
    enumerate().iter().map(summary).collect()
}

/// The adapters that `all` means, as positions in the list: all usable hardware, or the first software adapter if there
/// is none (beside a GPU it would only take the cores that prepare the GPU's work). Hardware that several back ends or
/// drivers list is taken once, as listed first.
pub fn all_of(list: &[AdapterSummary]) -> Vec<usize> {
    let same = |a: &AdapterSummary, b: &AdapterSummary| {
        let alike = a.name == b.name || (a.ids == b.ids && a.ids != [0, 0]);
        (a.bus == b.bus && !a.bus.is_empty()) || (a.backend != b.backend && alike)
    };
    let mut all: Vec<usize> = vec![];
    for (i, a) in list.iter().enumerate().filter(|(_, a)| a.unusable.is_none() && a.kind != SOFTWARE) {
        if !all.iter().any(|&j| same(a, &list[j])) {
            all.push(i);
        }
    }
    if all.is_empty() {
        all.extend(list.iter().position(|a| a.unusable.is_none()));
    }
    all
}

impl Gpu {
    /// Opens an adapter with all the limits it offers.
    pub fn open(choice: &AdapterChoice) -> Result<Self> {
        Self::open_within(choice, Bounds::default())
    }

    /// Opens an adapter with lower limits than it offers.
    pub fn open_within(choice: &AdapterChoice, bounds: Bounds) -> Result<Self> {
        let all = enumerate();
        let names = || {
            let list: Vec<_> = all.iter().enumerate().map(|(i, a)| format!("{i}: {}", a.get_info().name)).collect();
            if list.is_empty() { "none was found; is a Vulkan driver installed?".into() } else { list.join(", ") }
        };
        let found = match choice {
            AdapterChoice::Index(i) => Some(*i).filter(|i| *i < all.len()),
            AdapterChoice::Name(n) => {
                all.iter().position(|a| a.get_info().name.to_lowercase().contains(&n.to_lowercase()))
            }
            AdapterChoice::Software => all.iter().position(|a| a.get_info().device_type == wgpu::DeviceType::Cpu),
            AdapterChoice::Best => (0..all.len())
                .filter(|&i| unusable(&all[i]).is_none())
                .min_by_key(|&i| kind(all[i].get_info().device_type).0),
        };
        let index = found.ok_or_else(|| {
            let wanted = match choice {
                AdapterChoice::Best => "any adapter".to_string(),
                AdapterChoice::Software => "a software adapter".to_string(),
                AdapterChoice::Index(i) => format!("adapter {i}"),
                AdapterChoice::Name(n) => format!("an adapter named like '{n}'"),
            };
            Error::NoAdapter(format!("wanted {wanted}; present: {}", names()))
        })?;
        if let Some(why) = unusable(&all[index]) {
            return Err(Error::NoAdapter(format!("'{}' cannot be used: {why}", all[index].get_info().name)));
        }
        bounds.check()?;
        let gpu = Self::request(&all[index], index, bounds)?;
        match std::env::var("VORTICITY_FAULTS") {
            Ok(list) => gpu.with_faults(&list),
            Err(_) => Ok(gpu),
        }
    }

    /// Opens a device of the adapter at that position of the list.
    pub(super) fn request(adapter: &wgpu::Adapter, index: usize, bounds: Bounds) -> Result<Self> {
        let mut limits = adapter.limits();
        if let Some(most) = bounds.binding {
            limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.min(most & !3);
        }
        let cooperative = Cooperative::of(adapter);
        let features =
            wgpu::Features::IMMEDIATES | (adapter.features() & wgpu::Features::SHADER_INT64) | cooperative.features();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("vorticity"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: cooperative.experimental(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|e| Error::NoAdapter(format!("'{}' did not open: {e}", adapter.get_info().name)))?;
        let lost: Arc<Mutex<Option<String>>> = Arc::default();
        let note = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            if let Ok(mut slot) = note.lock() {
                *slot = Some(format!("{reason:?}: {message}"));
            }
        });
        // Without a handler wgpu panics at what no scope has caught.
        let note = lost.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            if let Ok(mut slot) = note.lock() {
                slot.get_or_insert(error.to_string());
            }
        }));
        let info = adapter.get_info();
        // Nothing watches over a CPU's work: a run is one submission there.
        let longest = (info.device_type != wgpu::DeviceType::Cpu).then_some(LONGEST);
        Ok(Self {
            device,
            queue,
            family: family(&info, &limits, features),
            info,
            index,
            limits,
            bounds,
            lost,
            successor: Arc::default(),
            longest,
            faults: Arc::default(),
            warnings: Arc::default(),
            troubles: Arc::default(),
            cooperative,
            choices: Arc::default(),
        })
    }

    /// The same device, whose runs are cut into submissions of about `seconds` at most. GPUs have 0.5 unless told
    /// otherwise, software adapters no such limit. Results do not depend on it.
    pub fn limit_submissions(self, seconds: f64) -> Self {
        Self { longest: Some(seconds), ..self }
    }

    /// Longest submission in seconds, if there is a limit.
    pub fn longest_submission(&self) -> Option<f64> {
        self.longest
    }

    /// What runs on this device, and on those that took its place, got over so far.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.troubles.lock().map(|t| t.clone()).unwrap_or_default()
    }

    /// What the user should know of the runs on this device so far: steps that a watchdog may end, and troubles.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = self.warnings.lock().map(|w| w.clone()).unwrap_or_default();
        all.extend(told(&self.troubles()));
        all
    }

    pub(super) fn warn(&self, text: Option<String>) {
        if let (Some(text), Ok(mut warnings)) = (text, self.warnings.lock())
            && !warnings.contains(&text)
        {
            warnings.push(text);
        }
    }

    /// As the driver gives it.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Adapter, back end and driver, for manifests.
    pub fn describe(&self) -> String {
        let info = &self.info;
        format!("{} ({}, {} {})", info.name, info.backend, info.driver, info.driver_info)
    }

    /// True for adapters that compute on the CPU (lavapipe, WARP).
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// True for GPUs with memory of their own.
    pub(super) fn is_discrete(&self) -> bool {
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

    /// Runs `make` and turns what the device complained about into an error that names `place`.
    pub(super) fn checked<T>(&self, place: &str, make: impl FnOnce() -> T) -> Result<T> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
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
    pub(super) fn finish(&self, submission: Option<wgpu::SubmissionIndex>, place: &str) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: submission, timeout: self.longest.map(|_| HANG) };
        let polled = self.device.poll(wait);
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
            let wait = wgpu::PollType::Wait { submission_index: None, timeout: self.longest.map(|_| HANG) };
            let _ = self.device.poll(wait); // the caller has an error to tell anyway
        }
    }

    /// An error if the device was lost, naming where that was noticed. wgpu gives a device up too where a submission finds no
    /// memory: that is what the error then says.
    pub(super) fn alive(&self, place: &str) -> Result<()> {
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
