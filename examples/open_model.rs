//! Opens a model directory and prints what it is: cargo run --release --example open_model
use vorticity::error::Result;
use vorticity::model::Model;

pub fn main() -> Result<()> {
    let model = Model::open("assets/models/mnist")?;
    println!("family       {}", model.config.family);
    println!("predicts     {:?}", model.config.prediction);
    println!("shape        {}", model.shape());
    println!("parameters   {}", model.parameters);
    println!("SHA-256      {}", model.sha256);
    for k in [0, model.process.timesteps() / 2, model.process.timesteps() - 1] {
        let (a, sigma) = model.process.noise(k)?;
        println!("timestep {k:3}: a = {a:.4}, sigma = {sigma:.4}");
    }
    Ok(())
}
