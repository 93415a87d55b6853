//! J v and J'v of the same random vectors in one go, and how asymmetric J is: cargo run --release --example products
use vorticity::data;
use vorticity::error::Result;
use vorticity::evaluate::{Products, Room};
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, Gpu};

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let field = field::open("assets/models/mnist", None, ScoreScale::Definition)?;
    let x = data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 1, field.data_range())?.values;
    let (d, k, n) = (field.shape().len(), 101, 8);
    // Vectors of +1 and -1, from the bits of a counter that is stirred.
    let sign = |i: usize| if (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0 { 1.0 } else { -1.0f32 };
    let v: Vec<f32> = (0..n * d).map(sign).collect();
    let room = Room { samples: 1, tangents: n, cotangents: n };
    let mut evaluator = field::product_evaluator(&gpu, &field, &[k], room)?;
    let Products { jv, jtu, .. } = evaluator.products(&x, &v, &v, &[k])?; // J v and J'v, [1, 8, D] each

    let square = |all: &mut dyn Iterator<Item = f32>| all.map(|v| f64::from(v).powi(2)).sum::<f64>() / n as f64;
    let antisymmetric = square(&mut jv.iter().zip(&jtu).map(|(a, b)| (a - b) / 2.0));
    let whole = (square(&mut jv.iter().copied()) + square(&mut jtu.iter().copied())) / 2.0;
    println!("|A|^2 = {antisymmetric:.4}, |J|^2 = {whole:.2}: nasym = {:.2e}", antisymmetric / whole);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    println!("<v1, J v0> = {:.6}, <J'v1, v0> = {:.6}", dot(&v[d..2 * d], &jv[..d]), dot(&jtu[d..2 * d], &v[..d]));
    Ok(())
}
