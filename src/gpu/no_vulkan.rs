//! `vulkan` where this crate does not speak to Vulkan itself: nothing is wished for, no driver tells.

/// What would be said of pipelines.
#[derive(Clone, Copy, Default)]
pub(super) struct Wish {
    pub subgroup: Option<u32>,
    pub told: bool,
}

pub(super) fn wished<T>(_: Wish, make: impl FnOnce() -> T) -> (T, ()) {
    (make(), ())
}

pub(super) fn tells(_: &wgpu::Adapter) -> bool {
    false
}

pub(super) fn subgroups(_: &wgpu::Adapter) -> Option<[u32; 2]> {
    None
}

pub(super) fn request(
    _: &wgpu::Adapter,
    _: &wgpu::DeviceDescriptor,
    _: bool,
) -> Option<Result<(wgpu::Device, wgpu::Queue), String>> {
    None
}
