//! nasym of the shipped network's whole Jacobian by random tangents: cargo run --release --example asymmetry
use vorticity::diagnostics::Selection;
use vorticity::error::Result;
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::asymmetry::{AsymmetryOptions, Estimator};
use vorticity::session::Opening;

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let opening = Opening::new("assets/models/mnist", "assets/data/mnist-test-256-idx3-ubyte.gz", 2);
    let session = opening.open()?.on(vec![gpu], 0)?;
    let selection = Selection { timesteps: vec![501], samples: 2, seed: 0 };
    let table =
        session.table(&AsymmetryOptions { selection, estimator: Estimator::Both, probes: Some(4), verified: 1 })?;
    for sample in 0..2 {
        let value = |name: &str| table.column(name).map(|c| c.values[sample]);
        println!("nasym {:.5} ± {:.5}, tr J {:.1} nat/x^2", value("nasym")?, value("nasym_se")?, value("trace")?);
    }
    Ok(())
}
