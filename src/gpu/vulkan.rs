//! What wgpu has no word for when it makes pipelines, said by Vulkan's own calls: the size of a kernel's subgroups, and that the
//! driver is to keep what it knows of a pipeline. wgpu opens its device over ours, of whose functions one is replaced: what makes
//! compute pipelines hands on what wgpu asks for with these two things added. So a pipeline is wgpu's to the last bit of SPIR-V.
//! In: an adapter and a descriptor. Out: wgpu's device and queue; nothing where the adapter is not Vulkan's.
use ash::{khr, vk};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use wgpu::hal::api::Vulkan;

/// What is said of the pipelines that this thread makes next.
#[derive(Clone, Copy, Default)]
pub(super) struct Wish {
    /// Threads of a subgroup, if the kernel counts on them.
    pub subgroup: Option<u32>,
    /// Whether the driver is to keep statistics and its own forms of the kernel.
    pub told: bool,
}

thread_local! {
    static WISH: RefCell<Wish> = RefCell::default();
    static MADE: RefCell<vk::Pipeline> = RefCell::default();
}

/// The driver's own function of every device that was opened here, which stays so long as the process: handles are not given out again
/// while wgpu holds the device, and a later device of the same handle has its own entered.
fn makers() -> &'static Mutex<HashMap<vk::Device, vk::PFN_vkCreateComputePipelines>> {
    static MAKERS: OnceLock<Mutex<HashMap<vk::Device, vk::PFN_vkCreateComputePipelines>>> = OnceLock::new();
    MAKERS.get_or_init(Mutex::default)
}

/// Runs `make`, whose pipelines are made as wished for, on this thread. Also the last pipeline that it made.
pub(super) fn wished<T>(wish: Wish, make: impl FnOnce() -> T) -> (T, vk::Pipeline) {
    MADE.set(vk::Pipeline::null());
    WISH.set(wish);
    let made = make();
    WISH.set(Wish::default());
    (made, MADE.take())
}

/// In the place of `vkCreateComputePipelines`.
unsafe extern "system" fn make(
    device: vk::Device,
    cache: vk::PipelineCache,
    count: u32,
    infos: *const vk::ComputePipelineCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    pipelines: *mut vk::Pipeline,
) -> vk::Result {
    let driver = makers().lock().unwrap_or_else(|e| e.into_inner()).get(&device).copied();
    let Some(driver) = driver else { return vk::Result::ERROR_INITIALIZATION_FAILED };
    let wish = WISH.with_borrow(|wish| *wish);
    // One for all: wgpu makes one pipeline at a time.
    let mut size = vk::PipelineShaderStageRequiredSubgroupSizeCreateInfo::default();
    // Safety: the caller keeps to Vulkan's rules for this function, and what is added lives until the driver's returns.
    unsafe {
        let mut infos = std::slice::from_raw_parts(infos, count as usize).to_vec();
        for info in &mut infos {
            if wish.told {
                info.flags |= vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                    | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            }
            if let Some(threads) = wish.subgroup {
                size.required_subgroup_size = threads;
                size.p_next = info.stage.p_next.cast_mut();
                info.stage.p_next = (&raw const size).cast();
                // wgpu lets sizes vary, which does not go with asking for one (VUID-VkPipelineShaderStageCreateInfo-pNext-02754).
                info.stage.flags &= !vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE;
            }
        }
        let result = driver(device, cache, count, infos.as_ptr(), allocator, pipelines);
        if result == vk::Result::SUCCESS && count > 0 {
            MADE.set(*pipelines);
        }
        result
    }
}

/// True if the adapter's driver tells what it made of a kernel.
pub(super) fn tells(adapter: &wgpu::Adapter) -> bool {
    // Safety: only read.
    let hal = unsafe { adapter.as_hal::<Vulkan>() };
    hal.is_some_and(|hal| {
        hal.physical_device_capabilities().supports_extension(khr::pipeline_executable_properties::NAME)
    })
}

/// The sizes that a compute kernel may ask its subgroups to have, least and most.
pub(super) fn subgroups(adapter: &wgpu::Adapter) -> Option<[u32; 2]> {
    // Safety: only read.
    let hal = unsafe { adapter.as_hal::<Vulkan>() }?;
    let mut sizes = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut sizes);
    let instance = hal.shared_instance().raw_instance();
    // Safety: the structs are Vulkan's, chained as it says.
    unsafe { instance.get_physical_device_properties2(hal.raw_physical_device(), &mut properties) };
    let compute = sizes.required_subgroup_size_stages.contains(vk::ShaderStageFlags::COMPUTE);
    compute.then_some([sizes.min_subgroup_size, sizes.max_subgroup_size])
}

/// A device whose pipelines are made as wished for; `told`: its driver `tells`.
pub(super) fn request(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor,
    told: bool,
) -> Option<Result<(wgpu::Device, wgpu::Queue), String>> {
    // Safety: the device is made as wgpu makes it, of the features that its descriptor asks for, on the adapter's own handle, and
    // wgpu destroys it.
    unsafe {
        let hal = adapter.as_hal::<Vulkan>()?;
        let features = descriptor.required_features;
        let mut extensions = hal.required_device_extensions(features);
        let mut own = hal.physical_device_features(&extensions, features);
        if told {
            extensions.push(khr::pipeline_executable_properties::NAME);
        }
        let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
        let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
        let mut tells =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let mut info = vk::DeviceCreateInfo::default().queue_create_infos(&queues).enabled_extension_names(&names);
        if told {
            info = info.push_next(&mut tells);
        }
        let info = own.add_to_device_create(info);
        let instance = hal.shared_instance().raw_instance();
        let device = match instance.create_device(hal.raw_physical_device(), &info, None) {
            Ok(device) => device,
            Err(error) => return Some(Err(error.to_string())),
        };
        let (handle, loader) = (device.handle(), instance.fp_v1_0().get_device_proc_addr);
        makers().lock().unwrap_or_else(|e| e.into_inner()).insert(handle, device.fp_v1_0().create_compute_pipelines);
        let replaced = ash::Device::load_with(
            |name| match name.to_bytes() {
                b"vkCreateComputePipelines" => make as *const std::ffi::c_void,
                _ => std::mem::transmute::<vk::PFN_vkVoidFunction, *const std::ffi::c_void>(loader(
                    handle,
                    name.as_ptr(),
                )),
            },
            handle,
        );
        let (limits, hints) = (&descriptor.required_limits, &descriptor.memory_hints);
        let opened = hal.device_from_raw(replaced, None, &extensions, features, limits, hints, 0, 0);
        if opened.is_err() {
            device.destroy_device(None); // nobody else has it
        }
        drop(hal);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return Some(Err(error.to_string())),
        };
        Some(adapter.create_device_from_hal::<Vulkan>(opened, descriptor).map_err(|e| e.to_string()))
    }
}
