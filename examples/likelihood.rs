//! Bits per dimension of a digit under the shipped network, on a coarse grid: cargo run --release --example likelihood
use std::ops::ControlFlow;
use vorticity::error::Result;
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::Likelihood;
use vorticity::run::Settings;
use vorticity::session::{Found, How, Opening};

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let opening = Opening::new("assets/models/mnist", "assets/data/mnist-test-256-idx3-ubyte.gz", 1);
    let session = opening.open()?.on(vec![gpu], 0)?;
    let asked = Settings::of(&Likelihood)?.with("timesteps", "0..961:160")?.with("samples", 1)?.with("probes", 2)?;
    let task = session.task(&asked)?; // what is not said follows from the data: 8-bit levels
    let finished = session.run(task.as_ref(), How::default(), &mut |state| {
        eprint!("\r{} of {}", state.done, state.total);
        ControlFlow::Continue(()) // Break ends the run with Error::Interrupted
    })?;
    let Found::Table(table) = finished.found else { return Ok(()) };
    let value = |name: &str| table.column(name).map(|c| c.values[0]);
    let (bits, grid, probes) = (value("bits_per_dim")?, value("grid")?, value("probe_se")?);
    println!("\n{bits:.2} bits/dim; errors: grid {grid:.2}, probes {probes:.2}");
    Ok(())
}
