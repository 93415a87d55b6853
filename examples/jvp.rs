//! The score of the shipped network and its derivatives along tangents: cargo run --release --example jvp
use vorticity::data;
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::evaluate::Room;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let field = field::open("assets/models/mnist", None, ScoreScale::Definition)?;
    // Any points do; here two clean digits, with three tangents each: a pixel, its neighbour, and all pixels at once.
    let x = data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 2, field.data_range())?.values;
    let (d, k, n) = (field.shape().len(), 501, 3);
    let mut v = vec![0f32; 2 * n * d];
    for sample in v.chunks_exact_mut(n * d) {
        (sample[400], sample[d + 401]) = (1.0, 1.0);
        sample[2 * d..].fill(1.0);
    }
    let room = Room { samples: 2, tangents: n, cotangents: 0 };
    let mut evaluator = field::tangent_evaluator(&gpu, &field, &[k], room)?;
    let (s, jv) = evaluator.jvp(&x, &v, &[k, k])?; // [2, D] and [2, 3, D]

    println!("|s| = {:.3}", s[..d].iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt());
    println!("ds_401/dx_400 = {:+.6}, ds_400/dx_401 = {:+.6}", jv[401], jv[d + 400]);
    let twin = field.twin(&Dual::along(&x[..d], &v[2 * d..3 * d]), k, 0)?;
    let gap = jv[2 * d..3 * d].iter().zip(&twin).map(|(j, t)| (f64::from(*j) - t.d).abs()).fold(0.0, f64::max);
    println!("along all pixels, at most {gap:.1e} away from f64");
    Ok(())
}
