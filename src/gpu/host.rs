//! Work of the host in the middle of a run: what the device holds is read, handed over, and what comes back is written. In: a step,
//! lanes. Out: the buffer that it makes; whatever the work says went wrong.
use super::executor::Executor;
use crate::error::{Error, Result};
use crate::program::{BufferId, HostStep};

impl Executor<'_> {
    /// Does a host's step for the first `lanes` lanes. Whatever was submitted before has to be done for that, and is.
    pub(super) fn host(&self, step: &HostStep, lanes: usize) -> Result<()> {
        let (program, device) = (self.program(), &self.gpu().device);
        let bytes = |id: &BufferId| program.bytes_of(&program.buffers[id.0], lanes as u64);
        let mut at = vec![0];
        step.reads.iter().for_each(|id| at.push(at[at.len() - 1] + bytes(id).next_multiple_of(256)));
        let size = at[step.reads.len()].max(4);
        let staging = device.checked(&step.label, || {
            let staging = device.handle.create_buffer(&wgpu::BufferDescriptor {
                label: Some("for the host"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = device.handle.create_command_encoder(&Default::default());
            for (id, &at) in step.reads.iter().zip(&at) {
                encoder.copy_buffer_to_buffer(self.buffer(*id), 0, &staging, at, bytes(id));
            }
            device.queue.submit([encoder.finish()]);
            staging.slice(..).map_async(wgpu::MapMode::Read, |_| ()); // the wait below is for this too
            staging
        })?;
        device.finish(None, &step.label)?;
        let view = staging.slice(..).get_mapped_range().map_err(|e| match device.alive(&step.label) {
            Err(lost) => lost,
            Ok(()) => Error::Gpu { place: step.label.clone(), message: e.to_string() },
        })?;
        let given: Vec<&[u8]> =
            step.reads.iter().zip(&at).map(|(id, &at)| &view[at as usize..(at + bytes(id)) as usize]).collect();
        let made = (step.work)(&given)?;
        if made.len() as u64 != bytes(&step.writes) {
            let message = format!("the host made {} bytes, expected {}", made.len(), bytes(&step.writes));
            return Err(Error::invalid(&step.label, message));
        }
        self.upload(step.writes, &made)
    }
}
