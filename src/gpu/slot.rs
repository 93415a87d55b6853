//! A program's buffer on the device: the buffer itself and, where kernels load it as an image, the mirror.
//! In: a `program::Buffer` and lanes. Out: a `Slot`, constants filled in, images with their row of zeros.
use super::device::Gpu;
use crate::program::{Buffer, IMAGE_WIDTH, Role};

/// Bytes of a texel of an image mirror, and of a row of it.
const TEXEL: u64 = 16;
pub(super) const IMAGE_ROW: u64 = IMAGE_WIDTH * TEXEL;

pub(super) struct Slot {
    pub buffer: wgpu::Buffer,
    pub mirror: Option<Mirror>,
}

/// The image through which kernels load what a buffer holds.
pub(super) struct Mirror {
    pub image: wgpu::Texture,
    pub view: wgpu::TextureView,
    /// It is over the buffer's own memory, and bringing it up to date is a barrier, not a copy.
    pub alias: bool,
}

/// Room behind the last lane: one pixel of any width fits, for threads that have nothing to store.
pub(super) fn spare(bytes_per_lane: u64) -> u64 {
    bytes_per_lane.min(1 << 16)
}

pub(super) fn allocate(gpu: &Gpu, b: &Buffer, max_lanes: usize, image: bool) -> Slot {
    let used = b.bytes_per_lane * max_lanes as u64;
    let size = match &b.role {
        Role::Constant(data) => (data.len() as u64).max(TEXEL),
        _ => (used + spare(b.bytes_per_lane)).next_multiple_of(IMAGE_ROW),
    };
    let descriptor = wgpu::BufferDescriptor {
        label: Some(&b.label),
        size: size.next_multiple_of(4),
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    };
    if !image {
        let buffer = gpu.device.create_buffer(&descriptor);
        if let Role::Constant(data) = &b.role
            && !data.is_empty()
        {
            gpu.queue.write_buffer(&buffer, 0, data);
        }
        return Slot { buffer, mirror: None };
    }
    let image = wgpu::TextureDescriptor {
        label: Some(&b.label),
        size: wgpu::Extent3d {
            width: IMAGE_WIDTH as u32,
            height: used.div_ceil(IMAGE_ROW) as u32 + 1,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    };
    #[cfg(target_os = "linux")]
    let both = super::alias::buffer_and_image(gpu, &descriptor, &image);
    #[cfg(not(target_os = "linux"))]
    let both = None;
    let alias = both.is_some();
    let (buffer, image) =
        both.unwrap_or_else(|| (gpu.device.create_buffer(&descriptor), gpu.device.create_texture(&image)));
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(IMAGE_ROW as u32), rows_per_image: None };
    let row = wgpu::Extent3d { width: IMAGE_WIDTH as u32, height: 1, depth_or_array_layers: 1 };
    gpu.queue.write_texture(image.as_image_copy(), &[0; IMAGE_ROW as usize], layout, row);
    let view = image.create_view(&Default::default());
    Slot { buffer, mirror: Some(Mirror { image, view, alias }) }
}

/// Copies the first `used` bytes, whole rows, below the zero row.
pub(super) fn copy_to_image(
    encoder: &mut wgpu::CommandEncoder,
    buffer: &wgpu::Buffer,
    texture: &wgpu::Texture,
    used: u64,
) {
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(IMAGE_ROW as u32), rows_per_image: None };
    let mut target = texture.as_image_copy();
    target.origin.y = 1;
    encoder.copy_buffer_to_texture(
        wgpu::TexelCopyBufferInfo { buffer, layout },
        target,
        wgpu::Extent3d { width: IMAGE_WIDTH as u32, height: used.div_ceil(IMAGE_ROW) as u32, depth_or_array_layers: 1 },
    );
}
