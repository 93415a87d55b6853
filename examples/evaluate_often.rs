//! How long a small evaluation takes: the first argument's number of calls, one point of a closed form each. `tools/python_overhead.py`
//! compares it with the same from Python. Run: `cargo run --release --example evaluate_often -- 10000`
use std::time::Instant;
use vorticity::error::Result;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::shape::Shape;

pub fn main() -> Result<()> {
    let calls = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100);
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let field = field::open("field:gaussian", Some(Shape::new(1, 2, 2)), ScoreScale::Definition)?;
    let mut values = field::evaluator(&gpu, &field, &[3], 1)?;
    let (x, mut sum) = ([0.5f32; 4], 0.0);
    values.evaluate(&x, &[3])?;
    let start = Instant::now();
    for _ in 0..calls {
        sum += values.evaluate(&x, &[3])?[0];
    }
    println!("{:.1} us a call, mean value {}", start.elapsed().as_secs_f64() * 1e6 / calls as f64, sum / calls as f32);
    Ok(())
}
