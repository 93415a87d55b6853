//! The Stein operator on the shipped network's error field: cargo run --release --example stein
use vorticity::error::Result;
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::{self, Stein};
use vorticity::run::Settings;
use vorticity::session::Opening;

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let opening = Opening::new("assets/models/mnist", "assets/data/mnist-test-256-idx3-ubyte.gz", 4);
    let session = opening.open()?.on(vec![gpu], 0)?;
    // No reference: the conditional score -eps/sigma.
    let asked = Settings::of(&Stein)?.with("timesteps", [501])?.with("samples", 4)?.with("probes", 4)?;
    let table = session.table(session.task(&asked)?.as_ref())?;
    let (mean, error) = measures::stein::mean(&table, 0)?;
    println!("|e| of the first sample {:.3} nat/x", table.column("error_norm")?.values[0]);
    println!("mean of S               {mean:.3} ± {error:.3} nat/x^2, zero if the samples were infinitely many");
    Ok(())
}
