//! Cooperative matrices: what an adapter has of them, and the features that kernels with them ask for. In: an adapter. Out:
//! whether a variant of a kernel can run there, or what is missing, in words. Source: VK_KHR_cooperative_matrix, Metal's simdgroup_matrix.
use super::vulkan;
use crate::choice::Needs;
use crate::target::STORAGE_BUFFERS;
use wgpu::CooperativeScalarType::{F16, F32};

/// Threads of a subgroup that the kernels are written for; where an adapter has several, the first of them is asked for.
const SUBGROUPS: [u32; 4] = [32, 64, 16, 8];

/// What kernels with cooperative matrices find on an adapter; nothing by default.
#[derive(Clone, Default)]
pub(super) struct Cooperative {
    /// Threads of a subgroup, if there is one size, or one that kernels may ask for; else 0.
    pub subgroup: u32,
    /// Whether kernels that count on it must ask for it.
    pub sized: bool,
    features: wgpu::Features,
    storage_buffers: u32,
    found: Vec<wgpu::CooperativeMatrixProperties>,
}

/// Storage buffers of the convolution that binds the most: one more than other kernels may, for the maxima of its windows.
const BUFFERS: u32 = STORAGE_BUFFERS as u32 + 1;

impl Cooperative {
    pub fn of(adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let (least, most) = (info.subgroup_min_size, info.subgroup_max_size);
        let wanted = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SUBGROUP;
        let has = adapter.features().contains(wanted);
        let varies = has && least != most;
        let asked = vulkan::subgroups(adapter).filter(|_| varies);
        let one = asked.and_then(|[least, most]| SUBGROUPS.into_iter().find(|size| (least..=most).contains(size)));
        Self {
            subgroup: if least == most { least } else { one.unwrap_or(0) },
            sized: one.is_some(),
            features: if has {
                wanted | (adapter.features() & wgpu::Features::SHADER_F16)
            } else {
                wgpu::Features::empty()
            },
            storage_buffers: adapter.limits().max_storage_buffers_per_shader_stage,
            found: if has { adapter.cooperative_matrix_properties() } else { vec![] },
        }
    }

    /// To be asked of the device.
    pub fn features(&self) -> wgpu::Features {
        self.features
    }

    /// wgpu's consent form: it calls cooperative matrices experimental.
    pub fn experimental(&self) -> wgpu::ExperimentalFeatures {
        match self.features.is_empty() {
            true => wgpu::ExperimentalFeatures::disabled(),
            // SAFETY: the caller accepts that wgpu may have bugs here; kernels with them are checked by selftest, and against
            // the reference before the tuner chooses one.
            false => unsafe { wgpu::ExperimentalFeatures::enabled() },
        }
    }

    pub fn lacks(&self, needs: Needs) -> Option<String> {
        let (side, factors) = match needs {
            Needs::Nothing | Needs::Trust => return None,
            Needs::Halves(side) => (side, F16),
            Needs::Floats(side) => (side, F32),
        };
        let is = |p: &wgpu::CooperativeMatrixProperties| {
            [p.m_size, p.n_size, p.k_size] == [side; 3] && p.ab_type == factors && p.cr_type == F32
        };
        if !self.found.iter().any(is) {
            return Some(format!("no cooperative matrices of {side}x{side}x{side}, {factors:?} to F32"));
        }
        if factors == F16 && !self.features.contains(wgpu::Features::SHADER_F16) {
            return Some("no SHADER_F16".into());
        }
        if !SUBGROUPS.contains(&self.subgroup) {
            return Some(
                "subgroups of several sizes that no kernel may choose from, or of none of 8, 16, 32, 64".into(),
            );
        }
        let few = self.storage_buffers < BUFFERS;
        few.then(|| format!("{} storage buffers per kernel, {BUFFERS} needed", self.storage_buffers))
    }
}
