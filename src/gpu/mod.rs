//! The only room that knows wgpu: adapter and device, pipelines with bindings by name, the dispatch loop, readback.
//! In: a `Program` (plain data). Out: the bytes of its download buffers, or an error that names the step.
#[cfg(target_os = "linux")]
mod alias;
mod cooperative;
mod device;
mod executor;
mod faults;
mod family;
mod kernels;
mod load;
mod memory;
mod pace;
mod pipeline;
mod recovery;
mod slot;
mod trouble;

pub use device::{AdapterChoice, AdapterSummary, Bounds, Gpu, adapters, all_of};
pub use executor::{Executor, Pending};
pub use kernels::WGPU;
pub use load::Recipe;
pub use memory::{Measured, Memory, buffer_bytes};
pub use recovery::FAILURES;
pub use trouble::Trouble;
