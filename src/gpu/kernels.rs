//! Which kernels a device runs: the family that suits it, the variants that were chosen, and what those could need. In: an
//! adapter's properties. Out: what plans are made with, and the facts that such choices hang on.
use super::open::Gpu;
use super::tiles::{binding, buffer_bytes};
use crate::choice::{Choices, Needs};
use crate::target::{AttentionWay, KernelFamily, Target};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of wgpu and naga, which translate the kernels; a test compares it with Cargo.lock.
pub const WGPU: &str = "30.0.1";

impl Gpu {
    /// The family of kernels: what suits the adapter, or what `with_family` said.
    pub fn family(&self) -> KernelFamily {
        self.policy.family
    }

    /// The same device with another family of kernels.
    pub fn with_family(mut self, family: KernelFamily) -> Self {
        self.policy.family = family;
        self
    }

    /// Which variants compute what; none chosen unless `with_choices` did.
    pub fn choices(&self) -> &Arc<Choices> {
        &self.policy.choices
    }

    /// The same device, whose plans have these variants.
    pub fn with_choices(mut self, choices: Choices) -> Self {
        self.policy.choices = choices.into();
        self
    }

    /// The same device, on which no kernel runs without the checks of its indices and loops (`Needs::Trust`).
    pub fn checked(mut self, checked: bool) -> Self {
        self.policy.checked = checked;
        self
    }

    /// The same device, whose plans compute attention so.
    pub fn with_attention(mut self, way: AttentionWay) -> Self {
        self.policy.attention = way;
        self
    }

    /// What the adapter lacks of what a variant needs.
    pub fn lacks(&self, needs: Needs) -> Option<String> {
        match needs {
            Needs::Trust if self.policy.checked => Some("leave to run without checks, which --checked refuses".into()),
            needs => self.device.cooperative.lacks(needs),
        }
    }

    /// What plans for this device are made for.
    pub fn target(&self) -> Target {
        let most = binding(self, self.policy.family == KernelFamily::Cpu);
        Target {
            buffer_bytes: Some(buffer_bytes(most)),
            subgroup: self.device.cooperative.subgroup,
            choices: self.policy.choices.clone(),
            attention: self.policy.attention,
            ..Target::of(self.policy.family)
        }
    }

    /// Its vendor's PCI number; 0 where the back end has none.
    pub fn vendor(&self) -> u32 {
        self.device.info.vendor
    }

    /// What decides on speed and on the last bits, by name: adapter, driver, back end, and with which limits it was opened.
    pub fn identity(&self) -> BTreeMap<&'static str, String> {
        let info = &self.device.info;
        BTreeMap::from([
            ("adapter", info.name.clone()),
            ("vendor", format!("{:#06x}", info.vendor)),
            ("device", format!("{:#06x}", info.device)),
            ("driver", info.driver.clone()),
            ("driver_info", info.driver_info.clone()),
            ("backend", info.backend.to_string()),
            ("wgpu", WGPU.to_string()),
            ("limits", self.device.bounds.limits.name().to_string()),
        ])
    }
}
