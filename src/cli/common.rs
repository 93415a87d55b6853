//! What verbs share: how weights are held, what devices and results give cause to say.
use super::output::Output;
use crate::error::NOT_FINITE;
use crate::gpu::Gpu;
use crate::ops::weight_format::{Rounding, WeightFormat};
use crate::session::Marked;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// How the device holds a network's weights.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct HeldArgs {
    /// How the device holds the weights of convolutions and linear layers: f32, or f16 in half the memory, with arithmetic
    /// in f32 all the same. Rounding is printed and recorded, and part of the error against f64
    #[arg(long, value_name = "FORMAT", value_parser = formats(), default_value = "f32")]
    pub weights: WeightFormat,
}

fn formats() -> impl TypedValueParser<Value = WeightFormat> {
    PossibleValuesParser::new([WeightFormat::F32, WeightFormat::F16].map(WeightFormat::name))
        .try_map(|name| WeightFormat::parse(&name))
}

/// The line that says how weights are rounded, if they are.
pub(super) fn rounded(rounding: Option<Rounding>) -> String {
    rounding.map_or(String::new(), |r| format!("weights      {}\n", r.describe()))
}

/// Passes on what the devices warn of.
pub(super) fn warn(gpus: &[Gpu], output: Output) {
    for warning in gpus.iter().flat_map(|gpu| gpu.warnings()).filter(|_| !output.quiet) {
        eprintln!("warning: {warning}");
    }
}

/// Says what is not finite, whatever else is to be said; the verb's exit code.
pub(super) fn exit(marked: &Marked) -> i32 {
    let mut code = 0;
    for line in marked.lines() {
        eprintln!("warning: {line}");
        code = NOT_FINITE;
    }
    code
}
