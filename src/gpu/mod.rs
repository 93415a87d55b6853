//! The only room that knows wgpu: adapter and device, pipelines with bindings by name, the dispatch loop, readback.
//! In: a `Program` (plain data). Out: the bytes of its download buffers, or an error that names the step.
mod adapters;
mod ahead;
#[cfg(target_os = "linux")]
mod alias;
mod compiled;
mod cooperative;
mod device;
mod diary;
mod executor;
mod family;
mod faults;
mod host;
mod kernels;
mod load;
mod memory;
mod open;
mod pace;
mod pipeline;
mod policy;
mod recovery;
mod slot;
mod statistics;
pub(crate) mod tiles;
#[cfg(target_os = "linux")]
mod vulkan;
#[cfg(not(target_os = "linux"))]
#[path = "no_vulkan.rs"]
mod vulkan;
mod words;

pub use adapters::{AdapterChoice, AdapterSummary, adapters, all_of};
pub use compiled::Compiled;
pub use diary::Trouble;
pub use executor::{Executor, Pending};
pub use kernels::WGPU;
pub use memory::{Measured, Memory};
pub use open::Gpu;
pub use policy::{Bounds, Limits};
pub use recovery::FAILURES;
pub use statistics::{Executable, Representation, Statistic};
