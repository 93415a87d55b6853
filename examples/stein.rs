//! The Stein operator on the shipped network's error field: cargo run --release --example stein
use std::ops::ControlFlow;
use vorticity::data;
use vorticity::diagnostics::{Divergence, Selection, SteinOptions, stein};
use vorticity::error::Result;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures;
pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let field = field::open("assets/models/mnist", None, ScoreScale::Definition)?;
    let images = data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 4, field.data_range())?;
    let options = SteinOptions {
        selection: Selection { timesteps: vec![501], samples: 4, seed: 0 },
        divergence: Divergence::Hutchinson(4),
        verified: 1,
    };
    // Nothing for the reference: the conditional score -eps/sigma.
    let table = stein(&gpu, &field, None, &images, &options, &mut |_| ControlFlow::Continue(()))?;
    let (mean, error) = measures::stein::mean(&table, 0)?;
    println!("|e| of the first sample {:.3} nat/x", table.column("error_norm")?.values[0]);
    println!("mean of S               {mean:.3} ± {error:.3} nat/x^2, zero if the samples were infinitely many");
    Ok(())
}
