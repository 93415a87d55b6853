//! How many lanes a tile has. Nothing else decides on it, and results depend on none of it. The rule:
//! 1. A tile is whole samples, one at least, and never more than there is work.
//! 2. It is as large as the caller asks, if the adapter's limits and the kernels' arithmetic allow that (`most`).
//! 3. Where nobody asks, its buffers get on a CPU what is near its caches, or as much as the weights if that is more, since those are
//!    read once per tile; more if that holds few lanes; on a GPU 2 GiB; and no more than a run may take.
//! 4. A sample that alone takes more than this has as many tangents at a time as fit (`Sample`).
//! 5. As tiles run they shrink: to what a watchdog allows (`safe`), by half where memory was refused (`halved`), and at the
//!    end of a sweep to what lets all devices finish together (`share`).
use super::memory::Memory;
use super::open::Gpu;
use super::pace::Pace;
use super::slot::spare;
use crate::error::{Error, Result};
use crate::program::{BufferId, IMAGE_ROW, Program, Role};
use std::ops::RangeInclusive;

/// Workgroups in x before a dispatch is folded into y (the smallest limit any adapter has).
pub(super) const FOLD: u64 = 65535;

/// In a readback buffer what is of one download begins at a multiple of so many bytes.
pub(super) const READBACK_ALIGNMENT: u64 = 256;

/// Bytes of a tile's buffers by default on CPUs, between which they are as many as those of the weights. The least are 80 lanes of the MNIST
/// network, which is faster in tiles of 32 to 128 lanes than in others; one with 450 MiB of weights wants 128 (docs/perf-log.md).
const ON_CPUS: RangeInclusive<u64> = 96 << 20..=1 << 30;

/// Lanes, or one sample's, which the weights read for a tile should at least serve, and the bytes that they may have for it.
const FEW: (u64, u64) = (16, 256 << 20);

/// Bytes of a tile's buffers by default on GPUs.
const ON_GPUS: u64 = 2 << 30;

/// Lanes per tile: what the caller asks for, else what the budget and the adapter's limits allow; never more than `total`.
///
/// # Errors
/// More are asked for than the limits hold, or none.
pub(crate) fn lanes(gpu: &Gpu, program: &Program, asked: Option<usize>, total: u64) -> Result<usize> {
    let fits = most(gpu, program, u64::MAX);
    let lanes = match asked {
        Some(0) => return Err(Error::invalid("tile", "0 lanes, expected at least 1")),
        Some(n) if n > fits => {
            return Err(Error::invalid("tile", format!("{n} lanes, the adapter's limits hold {fits}")));
        }
        Some(n) => n,
        None => most(gpu, program, budget(gpu, program)),
    };
    Ok(whole(lanes.min(usize::try_from(total).unwrap_or(usize::MAX)), program.group()))
}

/// Most lanes, of whole samples, that the adapter's limits allow for this program within so many bytes; at least a sample's
/// if only the bytes forbid it, none if a limit does.
pub(super) fn most(gpu: &Gpu, program: &Program, bytes: u64) -> usize {
    let group = u64::from(program.group());
    let device = |lanes| Memory::of(program, lanes, gpu.images_share()).device();
    // Bytes are affine in the lanes, but for rounding; the slope is that of many lanes.
    let slope = (device(1 << 20) - device(0)).div_ceil(1 << 20).max(1);
    let mut most = (bytes.saturating_sub(device(0)) / slope).max(group);
    for (i, b) in program.buffers.iter().enumerate().filter(|(_, b)| b.bytes_per_lane > 0) {
        let limit = binding(gpu, program.has_image(BufferId(i)));
        // Of a sample's lanes the buffer holds those of its space.
        let sample = program.bytes_of(b, group).max(1);
        most = most.min(limit.saturating_sub(IMAGE_ROW + spare(b.bytes_per_lane)) / sample * group);
    }
    // One buffer takes all that is read back.
    let readback = |lanes| Memory::of(program, lanes, true).readback;
    let downloads = program.buffers.iter().filter(|b| matches!(b.role, Role::Download)).count() as u64;
    let most_readback = gpu.device.limits.max_buffer_size.saturating_sub(READBACK_ALIGNMENT * downloads);
    most = most.min(most_readback / readback(group).max(1) * group);
    most = most.min(program.lane_limit.unwrap_or(u64::MAX));
    let groups = u64::from(gpu.device.limits.max_compute_workgroups_per_dimension);
    for (step, space) in program.dispatches() {
        let sample = step.grid.items.max(1) as u64 * u64::from(program.lanes_in(space)).max(1);
        most = most.min(FOLD * groups * step.grid.workgroup as u64 * group / sample);
        // Kernels count pixels and elements in 32 bits.
        most = most.min((1 << 31) * group / (sample * 4));
    }
    most -= most % group;
    // Each buffer is rounded up.
    while most > group && device(most) > bytes {
        most -= group;
    }
    most as usize
}

/// Bytes of a program with a tile's buffers by default.
fn budget(gpu: &Gpu, program: &Program) -> u64 {
    let constants = program.constant_bytes();
    let buffers = if gpu.is_software() {
        let few = Memory::of(program, FEW.0.max(program.group().into()), gpu.images_share());
        constants.clamp(*ON_CPUS.start(), *ON_CPUS.end()).max((few.device() - few.constants).min(FEW.1))
    } else {
        ON_GPUS
    };
    gpu.memory().min(constants + buffers)
}

/// Bytes that kernels may see of a buffer; `image`: of one that they also read through an image.
pub(super) fn binding(gpu: &Gpu, image: bool) -> u64 {
    let rows = (gpu.device.max_image_rows() - 2) * IMAGE_ROW;
    if image { gpu.device.max_binding().min(rows) } else { gpu.device.max_binding() }
}

/// Bytes of lanes that a buffer holds of which kernels may see `binding` bytes.
pub(crate) fn buffer_bytes(binding: u64) -> u64 {
    binding.saturating_sub(IMAGE_ROW + spare(u64::MAX))
}

/// Whole samples out of so many lanes, one at least.
fn whole(lanes: usize, group: u32) -> usize {
    let group = group as usize;
    (lanes - lanes % group).max(group)
}

/// Lanes, of whole samples, that a run should have at most for the device's watchdog, of so many that there is room for.
pub(super) fn safe(pace: &Pace, room: usize, group: u32) -> usize {
    whole(pace.most_lanes().min(room), group)
}

/// Half as many lanes, of whole samples; none if a sample's are left.
pub(super) fn halved(lanes: usize, group: u32) -> Option<usize> {
    let group = group as usize;
    Some(lanes / 2 / group * group).filter(|half| *half > 0)
}

/// Lanes of the next tile of a sweep, of `left` that nobody has taken, for a device that runs `most` at a time, one of
/// `devices`: towards the end smaller ones, so that all finish together.
pub(crate) fn share(most: usize, left: u64, devices: usize, group: u32) -> usize {
    let share = left.div_ceil(devices as u64).max(most as u64 / 4).next_multiple_of(u64::from(group));
    share.min(most as u64).min(left) as usize
}

/// How much of one sample with its tangents a device holds at a time.
pub(crate) struct Sample<'a> {
    gpu: &'a Gpu,
    /// Bytes that it may take.
    bytes: u64,
}

impl<'a> Sample<'a> {
    /// On a device that holds the constants of `program` besides.
    pub fn on(gpu: &'a Gpu, program: &Program) -> Self {
        Self { gpu, bytes: if gpu.is_software() { budget(gpu, program) } else { gpu.memory() } }
    }

    /// Whether the adapter's limits hold a sample of the program, all lanes.
    pub fn within_limits(&self, program: &Program) -> bool {
        most(self.gpu, program, u64::MAX) > 0
    }

    /// Whether memory holds it.
    pub fn within_memory(&self, program: &Program) -> bool {
        Memory::of(program, program.group().into(), self.gpu.images_share()).device() <= self.bytes
    }

    /// Bytes that a sample of the program takes more than a run may.
    pub fn excess(&self, program: &Program) -> u64 {
        let device = Memory::of(program, program.group().into(), self.gpu.images_share()).device();
        device.saturating_sub(self.gpu.memory())
    }

    /// Most tangents, and most cotangents, at a time, of as many as are asked for of each, by limits and memory; by memory alone
    /// of what is cut into bands to keep to the limits. `single` is planned for one of each that is asked for; at least one.
    pub fn directions(&self, mut single: Program, asked: [u32; 2], bands: bool) -> u32 {
        let mut fits = |n: u32| {
            [single.tangents, single.cotangents] = asked.map(|asked| asked.min(n));
            match bands {
                true => {
                    single.bytes_per_lane() * u64::from(single.group()) + single.constant_bytes() <= self.gpu.memory()
                }
                false => self.within_limits(&single) && self.within_memory(&single),
            }
        };
        let (mut least, mut most) = (1, asked[0].max(asked[1]).max(1) + 1);
        while most - least > 1 {
            let middle = least + (most - least) / 2;
            if fits(middle) { least = middle } else { most = middle }
        }
        least
    }
}
