//! What verbs that measure are given: a model on data, and a device. In: options. Out: the field and so many of its
//! samples; open devices.
use super::device::Device;
use super::network::NetworkArgs;
use super::output::Output;
use super::tune::TuneArgs;
use crate::error::Result;
use crate::field::{Field, HELP, ScoreScale};
use crate::gpu::Gpu;
use crate::session::{Opening, Source};
use crate::spec::Spec;

/// What is measured, and where.
#[derive(clap::Args, Clone, Debug)]
pub struct SubjectArgs {
    /// As `field::open` takes it.
    #[arg(help = HELP, long_help = HELP)]
    pub model: Spec,
    /// Clean images: IDX, NPY, NPZ or safetensors (FILE#tensor), also .gz, or a folder of PNG files, taken by name; 8-bit
    /// data and PNG are scaled to the model's range. Or exact samples: data:funnel?seed=0, data:gaussian?seed=0
    #[arg(long)]
    pub data: Spec,
    #[command(flatten)]
    /// Where it runs.
    pub device: Device,
    /// Which variants of its kernels.
    #[command(flatten)]
    pub tune: TuneArgs,
    /// What its files do not say.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Eps-prediction to score: -eps/sigma (definition) or -eps/sigma^2 (notebook)
    #[arg(long, value_parser = ["definition", "notebook"], default_value = "definition")]
    pub score_scale: String,
}

impl SubjectArgs {
    /// Field and data, so many of its images.
    pub(super) fn opening(&self, samples: usize) -> Result<Opening> {
        let notebook = self.score_scale == "notebook";
        Ok(Opening {
            scale: if notebook { ScoreScale::Notebook } else { ScoreScale::Definition },
            said: self.network.said()?,
            ..Opening::new(self.model.clone(), self.data.clone(), samples)
        })
    }

    /// Opens field and data, so many of its images, and says where these do not look like the network's.
    pub(super) fn source(&self, samples: usize, output: Output) -> Result<Source> {
        let source = self.opening(samples)?.open()?;
        if let Some(misfit) = source.misfit().filter(|_| !output.quiet) {
            eprintln!("warning: --data {}: {misfit}", self.data);
        }
        Ok(source)
    }

    /// Opens the device, with kernels chosen for the field; `several`: or all of them, since the work can be shared.
    pub(super) fn gpus(&self, field: &dyn Field, several: bool, output: Output) -> Result<Vec<Gpu>> {
        let gpus = if several { self.device.open_all()? } else { vec![self.device.open()?] };
        self.tune.tuned(gpus, field, output)
    }
}
