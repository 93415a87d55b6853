//! Sub-Jacobians of the shipped network and their asymmetry: cargo run --release --example curl
use vorticity::error::Result;
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::Curl;
use vorticity::run::Settings;
use vorticity::session::Opening;

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let opening = Opening::new("assets/models/mnist", "assets/data/mnist-test-256-idx3-ubyte.gz", 1);
    let session = opening.open()?.on(vec![gpu], 0)?;
    // What `vorticity curl --help` lists, by the same names.
    let asked = Settings::of(&Curl)?.with("timesteps", [501])?.with("samples", 1)?.with("components", 16)?;
    let table = session.table(session.task(&asked)?.as_ref())?;
    let first = |name: &str| table.column(name).map(|c| c.values[0]);
    println!("median |J_ab - J_ba| {:.3e} nat/x^2, error {:.1e}", first("asymmetry")?, first("error")?);
    println!("rms J_ab             {:.3e} nat/x^2", first("entry_rms")?);
    println!("sub-Jacobians        {:?}", table.array("jacobian")?.shape); // [timestep, sample, K, K]
    Ok(())
}
