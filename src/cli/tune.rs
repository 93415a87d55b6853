//! The variants of a verb's kernels: `--tune`. In: devices and a field's networks. Out: the devices with choices.
use super::output::Output;
use crate::error::Result;
use crate::field::Field;
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::tune::{Mode, tuned};

/// Which variants of the kernels run.
#[derive(clap::Args, Clone, Debug)]
pub struct TuneArgs {
    /// Variants of the convolutions on GPUs: auto times them once per adapter and keeps the fastest, off takes the built-in
    /// ones, FILE repeats those of a run (its manifest.json) or of a cache file; force is auto on software adapters too,
    /// which then, as with FILE, run the kernels of GPUs.
    /// Results differ in the last bits, and a run says which it had
    #[arg(long, value_name = "auto|off|force|FILE", default_value = "auto")]
    pub tune: String,
}

impl TuneArgs {
    /// The devices with choices for the field's networks.
    pub(super) fn tuned(&self, gpus: Vec<Gpu>, field: &dyn Field, output: Output) -> Result<Vec<Gpu>> {
        let autoencoder = field.autoencoder().into_iter().flat_map(|a| [&a.networks.encoder, &a.networks.decoder]);
        self.tuned_for(gpus, &field.graph().into_iter().chain(autoencoder).collect::<Vec<_>>(), output)
    }

    /// The devices with choices for networks.
    pub(super) fn tuned_for(&self, gpus: Vec<Gpu>, graphs: &[&Graph], output: Output) -> Result<Vec<Gpu>> {
        let mut say = |text: &str| {
            if !output.quiet {
                eprintln!("tuning: {text}");
            }
        };
        tuned(gpus, &Mode::parse(&self.tune), graphs, &mut say)
    }

    /// `tuned` of one device.
    pub(super) fn tuned_one(&self, gpu: Gpu, field: &dyn Field, output: Output) -> Result<Gpu> {
        Ok(self.tuned(vec![gpu.clone()], field, output)?.pop().unwrap_or(gpu))
    }
}
