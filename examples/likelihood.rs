//! Bits per dimension of a digit under the shipped network, on a coarse grid: cargo run --release --example likelihood
use std::ops::ControlFlow;
use vorticity::data;
use vorticity::diagnostics::{Divergence, LikelihoodOptions, likelihood};
use vorticity::error::Result;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let field = field::open("assets/models/mnist", None, ScoreScale::Definition)?;
    let images = data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 1, field.data_range())?;
    let options = LikelihoodOptions {
        timesteps: (0..=960).step_by(160).collect(),
        samples: 1,
        seed: 0,
        divergence: Divergence::Hutchinson(2),
        levels: images.levels.most(),
        verified: 2,
    };
    let table = likelihood(&gpu, &field, &images, &options, &mut |_| ControlFlow::Continue(()))?;
    let value = |name: &str| table.column(name).map(|c| c.values[0]);
    let (bits, grid, probes) = (value("bits_per_dim")?, value("grid")?, value("probe_se")?);
    println!("{bits:.2} bits/dim; errors: grid {grid:.2}, probes {probes:.2}");
    Ok(())
}
