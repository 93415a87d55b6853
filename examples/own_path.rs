//! A closed path of your own, WGSL and f64 twin, and a rotor's circulation around it: cargo run --release --example own_path
use std::borrow::Cow;
use std::f64::consts::TAU;
use std::sync::Arc;
use vorticity::error::{Error, Result};
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::circulation::{Options, loops};
use vorticity::paths::{Anchor, ClosedPath, Lane};
use vorticity::session::Opening;

/// A circle of radius 3 sigma around a x_0, in the plane of the first two components.
#[derive(Debug)]
pub struct Circle;
fn angle(anchor: &Anchor, node: u32) -> [f64; 2] {
    let (sin, cos) = (TAU * f64::from(node % anchor.segments) / f64::from(anchor.segments)).sin_cos();
    [cos, sin]
}
impl ClosedPath for Circle {
    fn name(&self) -> &'static str {
        "circle"
    }
    fn shader(&self) -> &'static str {
        "own_path"
    }
    fn source(&self) -> Option<Cow<'static, str>> {
        Some(include_str!("own_path.wgsl").into())
    }
    fn check(&self, dim: usize, _: usize, _: usize) -> Result<()> {
        if dim < 2 { Err(Error::invalid("path circle", format!("{dim} components; it needs 2"))) } else { Ok(()) }
    }
    fn fill_lane(&self, anchor: &Anchor, segment: u32, lane: &mut Lane) {
        [lane.p0, lane.p1] = angle(anchor, segment).map(|v| v as f32);
        [lane.p2, lane.p3] = angle(anchor, segment + 1).map(|v| v as f32);
    }
    fn point(&self, anchor: &Anchor, node: u32) -> Vec<f64> {
        let mut y: Vec<f64> = anchor.x0.iter().map(|&x0| anchor.a * f64::from(x0)).collect();
        y.iter_mut().zip(angle(anchor, node)).for_each(|(y, on)| *y += 3.0 * anchor.sigma * on);
        y
    }
}

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let data = "assets/data/mnist-test-256-idx3-ubyte.gz";
    let session = Opening::new("field:rotor?omega=1", data, 2).open()?.on(vec![gpu], 0)?;
    let options =
        Options { paths: vec![Arc::new(Circle)], timesteps: vec![501], samples: 2, points: 100, ..Options::default() };
    let measured = loops(&session.table(&options)?)?[0];
    let area = TAU / 2.0 * 9.0 * session.subject().field.process().noise(501)?.1.powi(2);
    println!("circulation {:+.4} nat, -2 omega area {:+.4}", measured.integral, -2.0 * area);
    Ok(())
}
