//! The full Jacobian of a field in few dimensions, here of a closed form: cargo run --release --example jacobian
use vorticity::diagnostics::Selection;
use vorticity::error::Result;
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::jacobian::JacobianOptions;
use vorticity::run::Numbers;
use vorticity::session::Opening;
use vorticity::shape::Shape;

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let shape = Shape::new(1, 3, 3);
    let opening = Opening::new("field:tilted?omega=0.5", "data:gaussian", 1).shaped(shape);
    let session = opening.open()?.on(vec![gpu], 0)?;
    let selection = Selection { timesteps: vec![501], samples: 1, seed: 0 };
    let table = session.table(&JacobianOptions { selection, verified: 2, ..Default::default() })?;
    if let Numbers::F32(entries) = &table.array("jacobian")?.values {
        entries.chunks(shape.len()).for_each(|row| println!("{row:4.1?}"));
    }
    println!("nasym {:.4}", table.column("nasym")?.values[0]); // 2 w^2 / (1 + 2 w^2)
    Ok(())
}
