//! Which family of kernels suits an adapter. In: its properties. Out: the family.
use crate::target::KernelFamily;

/// The family of kernels that suits an adapter. `cc` wants 512 threads and 32 KiB a workgroup, and 64-bit integers.
pub(super) fn family(info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> KernelFamily {
    let software = info.device_type == wgpu::DeviceType::Cpu;
    let roomy =
        limits.max_compute_invocations_per_workgroup >= 512 && limits.max_compute_workgroup_storage_size >= 32 << 10;
    let wide = features.contains(wgpu::Features::SHADER_INT64);
    if software && roomy && wide { KernelFamily::Cpu } else { KernelFamily::Gpu }
}
