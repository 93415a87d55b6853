//! The variants of a verb's kernels: `--tune`. In: devices and a field's networks. Out: the devices with choices.
use super::output::Output;
use crate::error::Result;
use crate::field::Field;
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::model::{AutoencoderModel, Model};
use crate::tune::{Mode, known, tuned};

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
        self.tuned_for(gpus, &networks(field.graph(), field.autoencoder()), output)
    }

    /// The devices with choices for networks.
    pub(super) fn tuned_for(&self, gpus: Vec<Gpu>, graphs: &[&Graph], output: Output) -> Result<Vec<Gpu>> {
        tuned(gpus, &Mode::parse(&self.tune), graphs, &mut |text| say(text, output))
    }

    /// The device with the choices that a run of the model has, as far as they are known without timing anything, and how many
    /// kinds of convolution such a run would time first.
    pub(super) fn known(&self, gpu: Gpu, model: &Model, output: Output) -> Result<(Gpu, usize)> {
        let networks = networks(Some(&model.graph), model.autoencoder.as_ref());
        known(gpu, &Mode::parse(&self.tune), &networks, &mut |text| say(text, output))
    }

    /// `tuned` of one device.
    pub(super) fn tuned_one(&self, gpu: Gpu, field: &dyn Field, output: Output) -> Result<Gpu> {
        Ok(self.tuned(vec![gpu.clone()], field, output)?.pop().unwrap_or(gpu))
    }
}

/// All networks that a field runs.
fn networks<'a>(graph: Option<&'a Graph>, autoencoder: Option<&'a AutoencoderModel>) -> Vec<&'a Graph> {
    let both = autoencoder.into_iter().flat_map(|a| [&a.networks.encoder, &a.networks.decoder]);
    graph.into_iter().chain(both).collect()
}

fn say(text: &str, output: Output) {
    if !output.quiet {
        eprintln!("tuning: {text}");
    }
}
