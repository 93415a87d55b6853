//! Sub-Jacobians of the shipped network and their asymmetry: cargo run --release --example curl
use std::ops::ControlFlow;
use vorticity::data;
use vorticity::diagnostics::{CurlOptions, Selection, curl};
use vorticity::error::Result;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let field = field::open("assets/models/mnist", None, ScoreScale::Definition)?;
    let images = data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 1, field.data_range())?;
    let options = CurlOptions {
        selection: Selection { timesteps: vec![501], samples: 1, seed: 0 },
        components: 16,
        verified: 1,
        ..CurlOptions::default()
    };
    let table = curl(&gpu, &field, &images, &options, &mut |_| ControlFlow::Continue(()))?;
    let first = |name: &str| table.column(name).map(|c| c.values[0]);
    println!("median |J_ab - J_ba| {:.3e} nat/x^2, error {:.1e}", first("asymmetry")?, first("error")?);
    println!("rms J_ab             {:.3e} nat/x^2", first("entry_rms")?);
    println!("sub-Jacobians        {:?}", table.array("jacobian")?.shape); // [timestep, sample, K, K]
    Ok(())
}
