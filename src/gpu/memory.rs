//! Memory: what a run may take of an adapter's, what a program will take, and what the process took. In: the driver's
//! word on its heaps, a program and its lanes. Out: bytes. Results never depend on any of it, but for K and tile sizes.
use super::open::Gpu;
use super::slot::Slot;
use crate::program::{BufferId, IMAGE_ROW, LaneRole, Program, Role};
use std::collections::HashSet;

/// What a run may take where the driver does not say how much there is.
const UNKNOWN: u64 = 4 << 30;

/// Memory in use, by a meter that is named.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Who counted.
    pub meter: &'static str,
    /// Bytes.
    pub bytes: u64,
}

impl Gpu {
    /// Bytes that a run may take: what the caller said, else half of the adapter's own memory, else 4 GiB.
    pub fn memory(&self) -> u64 {
        self.device.bounds.memory.or_else(|| own_memory(self).map(|all| all / 2)).unwrap_or(UNKNOWN)
    }

    /// True if image mirrors lie over their buffers' memory (`alias`).
    pub(super) fn images_share(&self) -> bool {
        cfg!(target_os = "linux") && self.is_software()
    }

    /// Bytes in use on the device now. Software adapters use the process's own memory: its resident pages, and the most
    /// that there ever were; GPUs have wgpu's allocator report, of buffers and textures. None where nobody counts.
    pub(crate) fn memory_in_use(&self) -> Option<Measured> {
        if self.is_software() {
            return resident().map(|bytes| Measured { meter: "resident memory of the process", bytes });
        }
        let report = self.device.handle.generate_allocator_report()?;
        Some(Measured { meter: "allocator report", bytes: report.total_allocated_bytes })
    }
}

/// What a program takes on a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Bytes of what grows with the lanes.
    pub buffers: u64,
    /// Bytes of image mirrors, beyond the buffers' own memory where they share it.
    pub images: u64,
    /// Bytes of weights and tables.
    pub constants: u64,
    /// Bytes of one readback buffer; sweeps have two in flight, and small ones.
    pub readback: u64,
    /// Kernels compiled.
    pub kernels: u64,
}

/// Of a process that uses a software adapter, before any plan: program, driver and its compiler. Measured: Mesa 22.3,
/// LLVM 15.
const PROCESS: u64 = 75 << 20;
/// Of each kernel that a software adapter compiles. Measured there too: 3.7 to 6 MiB, more the more is unrolled (1.6 of tiny networks);
/// with 4.25 the networks of docs/BENCHMARKS.md are predicted to about a tenth.
const KERNEL: u64 = 17 << 18;

impl Memory {
    /// Of `lanes` lanes; `share`: image mirrors lie over their buffers (`Gpu::images_share`).
    pub fn of(program: &Program, lanes: u64, share: bool) -> Self {
        let mut memory = Self::default();
        for (i, b) in program.buffers.iter().enumerate() {
            let size = Slot::bytes(b, program.lanes_of(b.space, LaneRole::All, lanes));
            match b.role {
                Role::Constant(_) => memory.constants += size,
                _ => memory.buffers += size,
            }
            if program.has_image(BufferId(i)) {
                memory.images += if share { IMAGE_ROW } else { size + IMAGE_ROW };
            }
            if matches!(b.role, Role::Download) {
                memory.readback += program.bytes_of(b, lanes);
            }
        }
        memory.kernels = program.steps().map(|s| &s.kernel).collect::<HashSet<_>>().len() as u64;
        memory
    }

    /// Bytes on the device.
    pub fn device(&self) -> u64 {
        self.buffers + self.images + self.constants + self.readback
    }

    /// Bytes of a process on a software adapter: the device is part of it, and so are the `parameters` of a network in f32, as the host
    /// keeps them for its twin. What was packed for the plan goes back to the system (`main`), before the kernels are compiled.
    pub fn process(&self, parameters: u64) -> u64 {
        self.device() + 4 * parameters + PROCESS + KERNEL * self.kernels
    }
}

/// The largest heap that is the device's own; of integrated adapters, which share the system's, the largest.
#[cfg(target_os = "linux")]
fn own_memory(gpu: &Gpu) -> Option<u64> {
    use wgpu::hal::api::Vulkan;
    // Safety: the handles live as long as the device, which `gpu` holds, and are only asked.
    unsafe {
        let hal = gpu.device.handle.as_hal::<Vulkan>()?;
        let instance = hal.shared_instance().raw_instance();
        let memories = instance.get_physical_device_memory_properties(hal.raw_physical_device());
        let shared = !gpu.device.is_discrete();
        let own = |heap: &&ash::vk::MemoryHeap| shared || heap.flags.contains(ash::vk::MemoryHeapFlags::DEVICE_LOCAL);
        memories.memory_heaps_as_slice().iter().filter(own).map(|heap| heap.size).max()
    }
}

#[cfg(not(target_os = "linux"))]
fn own_memory(_: &Gpu) -> Option<u64> {
    None
}

/// The most that the process ever had in memory (VmHWM, proc(5)).
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}
