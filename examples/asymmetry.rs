//! nasym of the shipped network's whole Jacobian by random tangents: cargo run --release --example asymmetry
use std::ops::ControlFlow;
use vorticity::data;
use vorticity::diagnostics::{AsymmetryOptions, Selection, asymmetry};
use vorticity::error::Result;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let field = field::open("assets/models/mnist", None, ScoreScale::Definition)?;
    let images = data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 2, field.data_range())?;
    let options = AsymmetryOptions {
        selection: Selection { timesteps: vec![501], samples: 2, seed: 0 },
        probes: Some(4),
        verified: 1,
    };
    let table = asymmetry(&gpu, &field, &images, &options, &mut |_| ControlFlow::Continue(()))?;
    for sample in 0..2 {
        let value = |name: &str| table.column(name).map(|c| c.values[sample]);
        println!("nasym {:.5} ± {:.5}, tr J {:.1} nat/x^2", value("nasym")?, value("nasym_se")?, value("trace")?);
    }
    Ok(())
}
