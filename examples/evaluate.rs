//! The score of the shipped network at noisy digits, and its f64 twin: cargo run --release --example evaluate
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::{data, paths};

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let field = field::open("assets/models/mnist", None, ScoreScale::Definition)?;
    let images = data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 2, field.data_range())?;
    let (d, timesteps) = (images.shape.len(), [100, 700]);

    // Image n at timestep k: x = a x_0 + sigma eps.
    let (mut x, mut ks) = (vec![], vec![]);
    for k in timesteps {
        let (a, sigma) = field.process().noise(k)?;
        for (n, x0) in images.values.chunks(d).enumerate() {
            let anchor = paths::Anchor {
                seed: 0,
                sample: n as u32,
                k: k as u32,
                a,
                sigma,
                bridge_scale: field.process().bridge_scale(k),
                x0,
                segments: 2,
            };
            let eps = paths::eps(&anchor, 0);
            x.extend(x0.iter().zip(&eps).map(|(&x0, eps)| (a * f64::from(x0) + sigma * eps) as f32));
            ks.push(k);
        }
    }
    let mut evaluator = field::evaluator(&gpu, &field, &timesteps, ks.len())?;
    let scores = evaluator.evaluate(&x, &ks)?;

    for ((k, x), s) in ks.iter().zip(x.chunks(d)).zip(scores.chunks(d)) {
        let twin = field.twin(&Dual::lift(x), *k, 0)?;
        let norm = twin.iter().map(|t| t.v * t.v).sum::<f64>().sqrt();
        let gap = s.iter().zip(&twin).map(|(s, t)| (f64::from(*s) - t.v).powi(2)).sum::<f64>().sqrt();
        println!("k = {k}: |score| = {norm:.3} per x, {:.1e} of it away from f64", gap / norm);
    }
    Ok(())
}
