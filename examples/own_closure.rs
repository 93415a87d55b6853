//! A field that the host computes, such as a network of another library: cargo run --release --example own_closure
use std::sync::Arc;
use vorticity::error::Result;
use vorticity::field::{About, ClosureField, Functions, Points};
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::Circulation;
use vorticity::model::{Prediction, Process, ProcessConfig, Schedule};
use vorticity::run::Settings;
use vorticity::session::Session;

/// eps_i = sin(x_{i+1}), i cyclic over the components of each point: not a gradient. In f32, and in f64 for the second opinion.
fn eps<T: Copy + 'static>(sin: fn(T) -> T, d: usize) -> Functions<T> {
    let values = move |at: &Points<T>| -> Result<Vec<T>> {
        Ok(at.x.chunks_exact(d).flat_map(|x| (0..d).map(move |i| sin(x[(i + 1) % d]))).collect())
    };
    Functions { values: Box::new(values), jvp: None, vjp: None } // derivatives are differences then
}

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let images = vorticity::data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 2, [-1.0, 1.0])?;
    let about = About {
        name: "sine of the next".into(),
        shape: images.shape,
        process: Process::new(&ProcessConfig::vp(Schedule::Cosine, 1000))?,
        prediction: Prediction::Eps,
        data_range: [-1.0, 1.0],
        batch: 256, // most points of a call
    };
    let d = images.shape.len();
    let field = ClosureField::new(about, eps(f32::sin, d), Some(eps(f64::sin, d)))?;
    let session = Session::new(vec![gpu], Arc::new(field), images)?;
    let asked = Settings::of(&Circulation)?
        .with("paths", ["rotation"])?
        .with("timesteps", [501])?
        .with("samples", 2)?
        .with("points", 100)?;
    let table = session.table(session.task(&asked)?.as_ref())?;
    println!("circulation {:?} nat, errors {:?}", table.column("integral")?.values, table.column("error")?.values);
    Ok(())
}
