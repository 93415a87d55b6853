//! Kernels compiled and not run: what the driver's compiler makes of them, or why it refuses. In: kernels. Out: a `Compiled` each.
use super::open::Gpu;
use super::pipeline::build;
use super::statistics::Executable;
use crate::error::Result;
use crate::program::Kernel;
use crate::shaders;
use crate::threads::in_parallel;

/// What became of a kernel.
#[derive(Debug)]
pub struct Compiled {
    /// Which.
    pub kernel: Kernel,
    /// The kernel's WGSL, with immediates; where an adapter has none or too few, they are a uniform buffer in what is compiled.
    pub wgsl: String,
    /// What the driver tells, nothing where it tells nothing; or why there is no pipeline.
    pub executables: Result<Vec<Executable>>,
}

impl Gpu {
    /// True if this device's driver tells what its compiler made of kernels (`open_telling`).
    pub fn tells(&self) -> bool {
        self.device.told
    }

    /// Builds the pipelines of kernels as a run would, on as many threads as there are cores, and submits nothing. `own` are
    /// shaders that are not in `shaders/`; `observe` hears of each that is done.
    pub fn compiled(&self, kernels: &[Kernel], own: &[(&str, &str)], observe: &(dyn Fn() + Sync)) -> Vec<Compiled> {
        let one = |i: usize| {
            let kernel: &Kernel = &kernels[i];
            let wgsl = shaders::assemble_with(kernel.shader, &kernel.constants, own).unwrap_or_default();
            let executables = build(&self.device, kernel, own).map(|pipeline| pipeline.executables);
            observe();
            Compiled { kernel: kernel.clone(), wgsl, executables }
        };
        in_parallel(kernels.len(), one)
    }
}
