//! Which family of kernels suits an adapter. In: an open device. Out: the family.
use super::device::Device;
use crate::target::KernelFamily;

/// The family of kernels that suits a device. `cc` wants 512 threads and 32 KiB a workgroup, and 64-bit integers.
pub(super) fn family(device: &Device) -> KernelFamily {
    let limits = &device.limits;
    let roomy =
        limits.max_compute_invocations_per_workgroup >= 512 && limits.max_compute_workgroup_storage_size >= 32 << 10;
    let wide = device.handle.features().contains(wgpu::Features::SHADER_INT64);
    if device.is_software() && roomy && wide { KernelFamily::Cpu } else { KernelFamily::Gpu }
}
