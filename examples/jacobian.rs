//! The full Jacobian of a field in few dimensions, here of a closed form: cargo run --release --example jacobian
use std::ops::ControlFlow;
use vorticity::data::{Images, Levels};
use vorticity::diagnostics::{Selection, jacobian};
use vorticity::error::Result;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::run::Numbers;
use vorticity::shape::Shape;

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let shape = Shape::new(1, 3, 3);
    let field = field::open("field:tilted?omega=0.5", Some(shape), ScoreScale::Definition)?;
    let images =
        Images { shape, count: 1, values: vec![0.5; shape.len()], levels: Levels::Real, sha256: String::new() };
    let selection = Selection { timesteps: vec![501], samples: 1, seed: 0 };
    let table = jacobian(&gpu, &field, &images, &selection, 2, &mut |_| ControlFlow::Continue(()))?;
    if let Numbers::F32(entries) = &table.array("jacobian")?.values {
        entries.chunks(shape.len()).for_each(|row| println!("{row:4.1?}"));
    }
    println!("nasym {:.4}", table.column("nasym")?.values[0]); // 2 w^2 / (1 + 2 w^2)
    Ok(())
}
