//! The adapters of this machine: what they are called, which of them a caller means, what is missing on those that cannot be
//! used. In: what wgpu finds. Out: summaries, positions in the list.
use crate::error::{Error, Result};

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

/// The kind of adapters that compute on the CPU.
const SOFTWARE: &str = "software";

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // The GL back end lacks long compute shaders; these three have them.
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
    lacking(&adapter.limits())
}

/// What is missing of WebGPU's least, on which kernels count and which some drivers of old hardware do not reach.
fn lacking(limits: &wgpu::Limits) -> Option<String> {
    let needed: [(&str, fn(&wgpu::Limits) -> u32); 5] = [
        ("storage buffers per kernel", |l| l.max_storage_buffers_per_shader_stage),
        ("threads per workgroup", |l| l.max_compute_invocations_per_workgroup),
        ("threads per workgroup in x", |l| l.max_compute_workgroup_size_x),
        ("bytes of workgroup memory", |l| l.max_compute_workgroup_storage_size),
        ("workgroups per dimension", |l| l.max_compute_workgroups_per_dimension),
    ];
    let least = wgpu::Limits::default();
    let (what, of) = needed.into_iter().find(|(_, of)| of(limits) < of(&least))?;
    Some(format!("{} {what}, {} needed", of(limits), of(&least)))
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

/// The adapter that is meant, and its position in the list.
///
/// # Errors
/// There is none, or it cannot be used; the message names those that there are.
pub(super) fn chosen(choice: &AdapterChoice) -> Result<(wgpu::Adapter, usize)> {
    let mut all = enumerate();
    let names = || {
        let list: Vec<_> = all.iter().enumerate().map(|(i, a)| format!("{i}: {}", a.get_info().name)).collect();
        if list.is_empty() { "none was found; is a Vulkan driver installed?".into() } else { list.join(", ") }
    };
    let found = match choice {
        AdapterChoice::Index(i) => Some(*i).filter(|i| *i < all.len()),
        AdapterChoice::Name(n) => all.iter().position(|a| a.get_info().name.to_lowercase().contains(&n.to_lowercase())),
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
    Ok((all.swap_remove(index), index))
}

#[cfg(test)]
mod tests {
    use super::lacking;

    #[test]
    fn what_an_adapter_lacks_is_named() {
        let least = wgpu::Limits::default();
        assert_eq!((lacking(&least), least.max_immediate_size), (None, 0));
        let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..least.clone() };
        assert_eq!(lacking(&few).as_deref(), Some("4 storage buffers per kernel, 8 needed"));
        let small = wgpu::Limits { max_compute_invocations_per_workgroup: 128, ..least };
        assert_eq!(lacking(&small).as_deref(), Some("128 threads per workgroup, 256 needed"));
    }
}
