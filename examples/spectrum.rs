//! What the shipped funnel network does along its flattest and steepest directions: cargo run --release --example spectrum
use vorticity::diagnostics::Selection;
use vorticity::error::Result;
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::spectrum::SpectrumOptions;
use vorticity::session::Opening;

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let session = Opening::new("assets/models/funnel", "data:funnel", 2).open()?.on(vec![gpu], 0)?;
    let selection = Selection { timesteps: vec![301], samples: 2, seed: 0 };
    let options = SpectrumOptions { selection, ends: 1, block: 2, steps: 40, tolerance: 1e-2, verified: 1 };
    let table = session.table(&options)?;
    for (end, name) in ["lowest", "highest", "singular"].into_iter().enumerate() {
        // [end, timestep, sample]
        let value = |name: &str| table.column(name).map(|c| c.values[end * 2]);
        println!("{name}: {:.4} nat/x^2, of the denoiser {:.4}", value("value")?, value("denoiser")?);
    }
    Ok(())
}
