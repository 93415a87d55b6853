//! What a program's buffer is on a device: the buffer, for CPU adapters perhaps an image that mirrors it, and their first
//! contents. In: a `program::Buffer` and a number of lanes. Out: a `Slot`.
use super::device::Device;
use crate::error::{Error, Result};
use crate::program::{Buffer, IMAGE_ROW, IMAGE_WIDTH, Role, SPARE, TEXEL};

/// A buffer on the device, and what kernels load it through.
pub(super) struct Slot {
    pub buffer: wgpu::Buffer,
    pub mirror: Option<Mirror>,
}

impl Slot {
    /// Bytes of the buffer for that many lanes of its space.
    pub fn bytes(b: &Buffer, lanes: u64) -> u64 {
        let size = match &b.role {
            Role::Constant(data) => (data.len() as u64).max(TEXEL),
            _ => (b.bytes_per_lane * lanes + spare(b.bytes_per_lane)).next_multiple_of(IMAGE_ROW),
        };
        size.next_multiple_of(4)
    }

    /// Allocates; with an image if the program reads it through one.
    pub fn new(device: &Device, b: &Buffer, lanes: u64, image: bool) -> Self {
        let used = b.bytes_per_lane * lanes;
        let descriptor = wgpu::BufferDescriptor {
            label: Some(&b.label),
            size: Self::bytes(b, lanes),
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        if !image {
            return Self { buffer: device.handle.create_buffer(&descriptor), mirror: None };
        }
        let image = wgpu::TextureDescriptor {
            label: Some(&b.label),
            size: wgpu::Extent3d { width: IMAGE_WIDTH as u32, height: rows(used), depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba32Float,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        #[cfg(target_os = "linux")]
        let both = super::alias::buffer_and_image(device, &descriptor, &image);
        #[cfg(not(target_os = "linux"))]
        let both = None;
        let alias = both.is_some();
        let (buffer, image) =
            both.unwrap_or_else(|| (device.handle.create_buffer(&descriptor), device.handle.create_texture(&image)));
        let layout =
            wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(IMAGE_ROW as u32), rows_per_image: None };
        let row = wgpu::Extent3d { width: IMAGE_WIDTH as u32, height: 1, depth_or_array_layers: 1 };
        device.queue.write_texture(image.as_image_copy(), &[0; IMAGE_ROW as usize], layout, row);
        let view = image.create_view(&Default::default());
        Self { buffer, mirror: Some(Mirror { image, view, alias }) }
    }
}

/// Rows of the image of a buffer of which `used` bytes are loaded: the row of zeros, and those that hold them. A power of two has one row
/// more: llvmpipe compiles a kernel once for images of such heights and once for others (`pot_height` of its keys), so that a program
/// which has both would be compiled twice.
fn rows(used: u64) -> u32 {
    let rows = used.div_ceil(IMAGE_ROW).max(1) as u32 + 1;
    if rows.is_power_of_two() { rows + 1 } else { rows }
}

/// The image through which kernels load what a buffer holds.
pub(super) struct Mirror {
    pub image: wgpu::Texture,
    pub view: wgpu::TextureView,
    /// It is over the buffer's own memory, and bringing it up to date is a barrier, not a copy.
    pub alias: bool,
}

/// Bytes handed to the queue, which keeps copies until they are submitted and done: now and then they are.
#[derive(Default)]
pub(super) struct Written(u64);

impl Written {
    const MOST: u64 = 32 << 20;

    pub fn add(&mut self, device: &Device, bytes: u64) -> Result<()> {
        self.0 += bytes;
        if self.0 >= Self::MOST { self.flush(device) } else { Ok(()) }
    }

    pub fn flush(&mut self, device: &Device) -> Result<()> {
        self.0 = 0;
        let place = "filling buffers";
        let wait = wgpu::PollType::Wait { submission_index: Some(device.queue.submit([])), timeout: None };
        let polled = device.handle.poll(wait);
        device.alive(place)?;
        polled.map(drop).map_err(|e| Error::Gpu { place: place.into(), message: e.to_string() })
    }
}

/// Room behind the last lane: one pixel of any width fits, for threads of convolutions on CPU adapters that have nothing to
/// store. All other kernels stay within their lanes.
pub(super) fn spare(bytes_per_lane: u64) -> u64 {
    bytes_per_lane.min(SPARE)
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

#[cfg(test)]
mod tests {
    use super::{IMAGE_ROW, rows};

    #[test]
    fn no_image_has_a_power_of_two_of_rows() {
        let found = [0, 1, IMAGE_ROW, IMAGE_ROW + 1, 6 * IMAGE_ROW, 7 * IMAGE_ROW, 8 * IMAGE_ROW].map(rows);
        assert_eq!(found, [3, 3, 3, 3, 7, 9, 9]);
    }
}
