//! A buffer and an image over the same memory: what kernels store in the buffer, others load through the image, and
//! nothing is copied. The image is linear, so both see the same bytes (Vulkan 1.3, 12.8 "Memory Aliasing"); it has a row
//! of its own in front of the buffer's bytes. wgpu has no word for this, hence Vulkan's own calls, on software adapters,
//! which alone load through images. Nothing comes back where the driver lays images out otherwise: then images are copies.
use super::device::Device;
use crate::program::IMAGE_ROW;
use ash::vk;

/// What both are made of, until wgpu owns them.
struct Raw {
    image: vk::Image,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
}

/// A buffer of `size` bytes, whole rows, and the image of a row of zeros followed by those bytes.
pub(super) fn buffer_and_image(
    device: &Device,
    descriptor: &wgpu::BufferDescriptor,
    image: &wgpu::TextureDescriptor,
) -> Option<(wgpu::Buffer, wgpu::Texture)> {
    use wgpu::hal::{api::Vulkan, vulkan};
    if !device.is_software() {
        return None;
    }
    // Safety: the handles are fresh, of the descriptors' sizes and usages, and handed over to wgpu, which destroys them;
    // image and memory go together, after the last command that uses either (`Slot` holds both).
    unsafe {
        let hal = device.handle.as_hal::<Vulkan>()?;
        let raw = create(&hal, descriptor.size, image.size)?;
        let hal_image = hal.texture_from_raw(
            raw.image,
            &wgpu::hal::TextureDescriptor {
                label: image.label,
                size: image.size,
                mip_level_count: 1,
                sample_count: 1,
                dimension: image.dimension,
                format: image.format,
                usage: wgpu::TextureUses::STORAGE_READ_ONLY | wgpu::TextureUses::COPY_DST,
                memory_flags: wgpu::hal::MemoryFlags::empty(),
                view_formats: vec![],
            },
            None,
            vulkan::TextureMemory::Dedicated(raw.memory),
        );
        let hal_buffer = vulkan::Buffer::from_raw(raw.buffer);
        drop(hal);
        let texture =
            device.handle.create_texture_from_hal::<Vulkan>(hal_image, image, wgpu::TextureUses::UNINITIALIZED);
        Some((device.handle.create_buffer_from_hal::<Vulkan>(hal_buffer, descriptor), texture))
    }
}

/// Safety: the device must be alive.
unsafe fn create(hal: &wgpu::hal::vulkan::Device, size: u64, extent: wgpu::Extent3d) -> Option<Raw> {
    let device = hal.raw_device();
    let image_info = vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(vk::Format::R32G32B32A32_SFLOAT)
        .extent(vk::Extent3D { width: extent.width, height: extent.height, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(vk::ImageTiling::LINEAR)
        .usage(vk::ImageUsageFlags::STORAGE | vk::ImageUsageFlags::TRANSFER_DST);
    let buffer_info = vk::BufferCreateInfo::default().size(size).usage(
        vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST,
    );
    unsafe {
        let (instance, physical) = (hal.shared_instance().raw_instance(), hal.raw_physical_device());
        let offered = instance.get_physical_device_image_format_properties(
            physical,
            image_info.format,
            image_info.image_type,
            image_info.tiling,
            image_info.usage,
            image_info.flags,
        );
        let most = offered.ok()?.max_extent;
        if most.width < extent.width || most.height < extent.height {
            return None;
        }
        let image = device.create_image(&image_info, None).ok()?;
        let Ok(buffer) = device.create_buffer(&buffer_info, None) else {
            device.destroy_image(image, None);
            return None;
        };
        let memories = instance.get_physical_device_memory_properties(physical);
        match bind(device, &memories, image, buffer) {
            Some(memory) => Some(Raw { image, buffer, memory }),
            None => {
                device.destroy_buffer(buffer, None);
                device.destroy_image(image, None);
                None
            }
        }
    }
}

/// Memory for both, the buffer a row behind the image's beginning. Safety: the handles must be the device's and unbound.
unsafe fn bind(
    device: &ash::Device,
    memories: &vk::PhysicalDeviceMemoryProperties,
    image: vk::Image,
    buffer: vk::Buffer,
) -> Option<vk::DeviceMemory> {
    unsafe {
        let color = vk::ImageSubresource { aspect_mask: vk::ImageAspectFlags::COLOR, ..Default::default() };
        let layout = device.get_image_subresource_layout(image, color);
        let (i, b) = (device.get_image_memory_requirements(image), device.get_buffer_memory_requirements(buffer));
        if layout.offset != 0 || layout.row_pitch != IMAGE_ROW || !IMAGE_ROW.is_multiple_of(b.alignment) {
            return None;
        }
        let usable = i.memory_type_bits & b.memory_type_bits;
        let kind = memories.memory_types_as_slice().iter().enumerate().position(|(n, kind)| {
            usable & (1 << n) != 0 && kind.property_flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL)
        })?;
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(i.size.max(IMAGE_ROW + b.size))
            .memory_type_index(kind as u32);
        let memory = device.allocate_memory(&info, None).ok()?;
        let bound = device
            .bind_image_memory(image, memory, 0)
            .and_then(|()| device.bind_buffer_memory(buffer, memory, IMAGE_ROW));
        if bound.is_err() {
            device.free_memory(memory, None);
            return None;
        }
        Some(memory)
    }
}
