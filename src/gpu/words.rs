//! The words that kernels are told at each run. In: steps, a number of lanes. Out: immediates where the device has them and they fit;
//! else a piece of one uniform buffer for each step, which is written before a run: an adapter need not have immediates.
use super::device::Device;
use crate::error::Result;
use crate::program::{Program, Space, Step};

/// Bytes of the words.
pub(super) fn size(names: &[String]) -> u32 {
    4 * names.len() as u32
}

/// The binding of the uniform buffer that such words need on a device of such limits, behind all others of the kernel; none if they
/// fit into immediates.
pub(super) fn uniform(limits: &wgpu::Limits, names: &[String], others: impl Iterator<Item = u32>) -> Option<u32> {
    (size(names) > limits.max_immediate_size).then(|| others.max().map_or(0, |most| most + 1))
}

/// That binding in a layout.
pub(super) fn entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        count: None,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: None,
        },
    }
}

/// What a step is told for so many lanes of all spaces.
pub(super) fn of(program: &Program, (step, space): (&Step, Space), lanes: usize) -> Vec<u32> {
    let own = program.lanes_of(space, step.role, lanes as u64);
    [own as u32].into_iter().chain(step.immediates.iter().map(|word| word.1)).collect()
}

/// The uniform buffer of a program: a piece for every step, in order.
pub(super) struct Words {
    buffer: wgpu::Buffer,
    /// Bytes of a piece.
    piece: u64,
}

impl Words {
    /// For so many steps, of which none that reads it is told more than `bytes`.
    pub fn new(device: &Device, steps: usize, bytes: u32) -> Result<Self> {
        let piece = u64::from(bytes.next_multiple_of(device.limits.min_uniform_buffer_offset_alignment));
        let descriptor = wgpu::BufferDescriptor {
            label: Some("words"),
            size: piece * steps as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let buffer = device.checked("buffer 'words'", || device.handle.create_buffer(&descriptor))?;
        Ok(Self { buffer, piece })
    }

    /// The piece of a step.
    pub fn binding(&self, step: usize) -> wgpu::BindingResource<'_> {
        let (offset, size) = (self.piece * step as u64, wgpu::BufferSize::new(self.piece));
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.buffer, offset, size })
    }

    /// Tells every step what it is told for so many lanes, before whatever is submitted next.
    pub fn write(&self, device: &Device, program: &Program, lanes: usize) -> Result<()> {
        let words = self.piece as usize / 4;
        let mut all = vec![0u32; words * program.dispatches().count()];
        for (piece, (step, space)) in all.chunks_mut(words).zip(program.dispatches()) {
            // A step that has immediates may have more of them than a piece holds.
            piece.iter_mut().zip(of(program, (step, space), lanes)).for_each(|(place, word)| *place = word);
        }
        device.checked("words", || device.queue.write_buffer(&self.buffer, 0, bytemuck::cast_slice(&all)))
    }
}
