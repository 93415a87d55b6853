//! A device as everything else holds it: the device, what the caller says about runs on it, what happened on it. In: which
//! adapter, and bounds. Out: a `Gpu`.
use super::adapters::{AdapterChoice, chosen};
use super::device::Device;
use super::diary::{Diary, Trouble};
use super::family::family;
use super::faults::Faults;
use super::pace::LONGEST;
use super::policy::{Bounds, Policy};
use crate::error::Result;
use crate::target::AttentionWay;
use std::sync::Arc;

/// An open device. Cheap to clone; clones are the same device, and of what is said about them each keeps to its own.
#[derive(Clone)]
pub struct Gpu {
    pub(super) device: Device,
    pub(super) policy: Policy,
    pub(super) diary: Diary,
}

impl Gpu {
    /// Opens an adapter with all the limits it offers.
    pub fn open(choice: &AdapterChoice) -> Result<Self> {
        Self::open_within(choice, Bounds::default())
    }

    /// Opens an adapter with lower limits than it offers, or with fewer features.
    pub fn open_within(choice: &AdapterChoice, bounds: Bounds) -> Result<Self> {
        Self::request(choice, bounds, false)
    }

    /// The same, so that its driver tells what its compiler makes of kernels, if it can (`Gpu::tells`).
    pub fn open_telling(choice: &AdapterChoice, bounds: Bounds) -> Result<Self> {
        Self::request(choice, bounds, true)
    }

    fn request(choice: &AdapterChoice, bounds: Bounds, telling: bool) -> Result<Self> {
        let (adapter, index) = chosen(choice)?;
        bounds.check()?;
        let device = Device::request(&adapter, index, bounds, telling)?;
        // Nothing watches over a CPU's work: a run is one submission there.
        let longest = (!device.is_software()).then_some(LONGEST);
        let (family, choices, faults) = (family(&device), Arc::default(), Arc::default());
        let policy = Policy { longest, family, choices, attention: AttentionWay::Auto, checked: false, faults };
        let gpu = Self { device, policy, diary: Diary::default() };
        match std::env::var("VORTICITY_FAULTS") {
            Ok(list) => gpu.with_faults(&list),
            Err(_) => Ok(gpu),
        }
    }

    /// The same, on the device that is alive: this one, or the one that took its place.
    pub(super) fn living(&self) -> Result<Self> {
        Ok(Self { device: self.device.living()?, ..self.clone() })
    }

    /// The same device, on which faults happen as `VORTICITY_FAULTS` would have it (docs/FORMATS.md): for tests.
    ///
    /// # Errors
    /// A list that does not say what and when.
    pub fn with_faults(mut self, list: &str) -> Result<Self> {
        self.policy.faults = Faults::parse(list)?.into();
        Ok(self)
    }

    /// The same device, whose runs are cut into submissions of about `seconds` at most. GPUs have 0.5 unless told
    /// otherwise, software adapters no such limit. Results do not depend on it.
    pub fn limit_submissions(mut self, seconds: f64) -> Self {
        self.policy.longest = Some(seconds);
        self
    }

    /// What runs on this device, and on those that took its place, got over so far.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.diary.troubles()
    }

    /// What the user should know of the runs on this device so far: steps that a watchdog may end, and troubles.
    pub fn warnings(&self) -> Vec<String> {
        self.diary.told()
    }

    /// As the driver gives it.
    pub fn name(&self) -> &str {
        &self.device.info.name
    }

    /// Adapter, back end and driver, for manifests.
    pub fn describe(&self) -> String {
        let info = &self.device.info;
        format!("{} ({}, {} {})", info.name, info.backend, info.driver, info.driver_info)
    }

    /// True for adapters that compute on the CPU (lavapipe, WARP).
    pub fn is_software(&self) -> bool {
        self.device.is_software()
    }
}
