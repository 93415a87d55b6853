//! The planes in which the shipped funnel network turns fastest: cargo run --release --example planes
use vorticity::diagnostics::Selection;
use vorticity::error::Result;
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::planes::PlanesOptions;
use vorticity::session::Opening;

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let session = Opening::new("assets/models/funnel", "data:funnel", 2).open()?.on(vec![gpu], 0)?;
    let selection = Selection { timesteps: vec![301], samples: 2, seed: 0 };
    let (planes, block, steps, tolerance, probes, verified) = (3, 2, 40, 1e-2, 4, 1);
    let table = session.table(&PlanesOptions { selection, planes, block, steps, tolerance, probes, verified })?;
    for plane in 0..planes {
        // [plane, timestep, sample]
        let value = |name: &str| table.column(name).map(|c| c.values[plane * 2]);
        println!("omega {:.4} ± {:.4} nat/x^2, share {:.3}", value("omega")?, value("error")?, value("share")?);
    }
    println!("u and w of each: {:?}", table.array("vectors")?.shape); // [timestep, sample, plane, 2, C, H, W]
    Ok(())
}
