//! One circulation of the shipped network with its errors: cargo run --release --example circulation
use std::sync::Arc;
use vorticity::error::Result;
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::circulation::{ERRORS, Options, loops};
use vorticity::paths::rotation::Rotation;
use vorticity::session::Opening;

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let opening = Opening::new("assets/models/mnist", "assets/data/mnist-test-256-idx3-ubyte.gz", 1);
    let session = opening.open()?.on(vec![gpu], 0)?;
    let options = Options {
        paths: vec![Arc::new(Rotation)],
        timesteps: vec![501],
        samples: 1,
        points: 40,
        quadrature_check: 1.0,
        verify_points: 2,
        ..Options::default()
    };
    let measured = loops(&session.table(&options)?)?[0];
    println!("circulation  {:+.3e} nat", measured.integral);
    println!("of the terms {:.3e}", measured.integral.abs() / measured.abs_terms);
    for (name, error) in ERRORS.iter().zip(measured.errors()) {
        println!("{name:12} {error:.1e} nat");
    }
    Ok(())
}
