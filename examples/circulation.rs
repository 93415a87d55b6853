//! One circulation of the shipped network with its errors: cargo run --release --example circulation
use std::ops::ControlFlow;
use std::sync::Arc;
use vorticity::data;
use vorticity::diagnostics::{CirculationRun, Options};
use vorticity::error::Result;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::circulation::{ERRORS, loops};
use vorticity::paths::rotation::Rotation;

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let field = field::open("assets/models/mnist", None, ScoreScale::Definition)?;
    let images = data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 1, field.data_range())?;
    let options = Options {
        paths: vec![Arc::new(Rotation)],
        timesteps: vec![501],
        samples: 1,
        points: 40,
        quadrature_check: 1.0,
        verify_points: 2,
        ..Options::default()
    };
    let result = CirculationRun::new(&gpu, &field, &images, options)?.run(&mut |_| ControlFlow::Continue(()))?;
    let measured = loops(&result)?[0];
    println!("circulation  {:+.3e} nat", measured.integral);
    println!("of the terms {:.3e}", measured.integral.abs() / measured.abs_terms);
    for (name, error) in ERRORS.iter().zip(measured.errors()) {
        println!("{name:12} {error:.1e} nat");
    }
    Ok(())
}
