//! A field of your own, WGSL and f64 twin, and its circulation: cargo run --release --example own_field
use std::sync::Arc;
use vorticity::field::{Field, FieldLaunch};
use vorticity::gpu::{AdapterChoice, Gpu};
use vorticity::measures::circulation::{Options, loops};
use vorticity::model::{Process, ProcessConfig, Schedule};
use vorticity::paths::rotation::Rotation;
use vorticity::program::{Access, Grid, Kernel, LaneRole, Step};
use vorticity::session::Session;
use vorticity::{dual::Dual, error::Result, shape::Shape};

/// s_i = x_{i+1}^2 / 2 - x_i, i cyclic: not a gradient.
struct Own(Shape, Process);
impl Field for Own {
    fn shape(&self) -> Shape {
        self.0
    }
    fn process(&self) -> &Process {
        &self.1
    }
    fn coefficients(&self, _: usize) -> Result<(f64, f64)> {
        Ok((0.0, 0.0)) // this kernel reads nothing of its lane
    }
    fn launch(&self, cx: FieldLaunch) -> Result<()> {
        let (d, flat) = (self.0.len(), self.0.flat_stride());
        cx.program.shader("own_field", include_str!("own_field.wgsl"));
        cx.program.push(Step {
            label: "field own".into(),
            op: "field",
            kernel: Kernel { shader: "own_field", constants: vec![] },
            bindings: vec![("x", cx.x, Access::Read), ("s", cx.s, Access::Write)],
            role: LaneRole::All,
            immediates: vec![("dim", d as u32), ("flat", flat as u32)],
            grid: Grid { items: flat as u32, workgroup: 256, groups: 1 },
            flops: 3 * flat as u64,
            bytes: 8 * flat as u64,
        });
        Ok(())
    }
    fn twin(&self, x: &[Dual], _: usize, _: usize) -> Result<Vec<Dual>> {
        let at = |i: usize| x[i % x.len()];
        Ok((0..x.len()).map(|i| at(i + 1) * at(i + 1) * 0.5 - at(i)).collect())
    }
    fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "kind": "embedded", "name": "own" })
    }
}

pub fn main() -> Result<()> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let images = vorticity::data::load("assets/data/mnist-test-256-idx3-ubyte.gz", 2, [-1.0, 1.0])?;
    let field = Own(images.shape, Process::new(&ProcessConfig::vp(Schedule::Cosine, 1000))?);
    let session = Session::new(vec![gpu], Arc::new(field), images)?;
    let (timesteps, samples) = (vec![501], 2);
    let options = Options { paths: vec![Arc::new(Rotation)], timesteps, samples, points: 100, ..Options::default() };
    let measured = loops(&session.table(&options)?)?[0];
    println!("circulation {:+.3e} nat, error {:.1e}", measured.integral, measured.error());
    Ok(())
}
