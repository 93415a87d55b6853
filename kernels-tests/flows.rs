//! Samples and likelihoods of known distributions along the flow of every process, and which of them are refused.
use crate::circulation::{closed, images, write_mixture};
use crate::common::{gpu, measured, noise};
use crate::processes::ALL;
use std::f64::consts::TAU;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use vorticity::diagnostics::{Divergence, Selection};
use vorticity::error::Result;
use vorticity::field::Field;
use vorticity::measures::likelihood::LikelihoodOptions;
use vorticity::paths::normal::normals;
use vorticity::paths::philox::{Purpose, Stream};
use vorticity::run::Shard;
use vorticity::sample::{Method, Options as SampleOptions, sample};
use vorticity::session::{How, Session};
use vorticity::shape::Shape;

/// N(m, 0.5 I), and m.
fn one_gaussian(folder: &Path, shape: Shape, process: &str) -> (Arc<dyn Field>, Vec<f64>) {
    let file = folder.join("one.safetensors");
    write_mixture(&file, shape, 1);
    let spec = format!("field:mixture?file={}&process={}", file.display(), process.replacen('?', "&", 1));
    (closed(&spec, shape), noise(shape.len(), 5).into_iter().map(f64::from).collect())
}

pub fn draw(field: &Arc<dyn Field>, n: usize, method: Method, steps: usize) -> Result<Vec<f32>> {
    let options = SampleOptions { n, method, steps, seed: 9, keep: 0 };
    sample(&gpu(), field, &options, &mut |_| ControlFlow::Continue(())).map(|s| s.x)
}

/// (x - a m) / sqrt(a^2 v + sigma^2) does not change along the flow of N(m, v) data.
#[test]
fn samples_follow_the_flow_of_every_process() {
    let (shape, folder) = (Shape::new(1, 4, 5), tempfile::tempdir().unwrap());
    for text in ALL {
        let (field, means) = one_gaussian(folder.path(), shape, text);
        let process = field.process();
        let (a, sigma) = process.noise(process.last_with_signal()).unwrap();
        let start = |sample| normals(&Stream { seed: 9, purpose: Purpose::Sample, draw: 0, sample, k: 0 }, 20);
        let start: Vec<f64> = (0..3).flat_map(start).map(|z| process.prior_scale() * z).collect();
        let end =
            |i: usize| means[i % 20] + (start[i] - a * means[i % 20]) * (0.5 / (a * a * 0.5 + sigma * sigma)).sqrt();
        let [few, many] = [25, 100].map(|steps| {
            let x = draw(&field, 3, Method::Ode, steps).unwrap();
            x.iter().enumerate().fold(0f64, |m, (i, x)| m.max((f64::from(*x) - end(i)).abs()))
        });
        // The last step, from the first level to none, is of first order: its level's angle, squared.
        let (a0, sigma0) = process.noise(0).unwrap();
        let last = 4.0 * (sigma0 / a0).powi(2);
        assert!(many <= 3e-3 + last && many < 0.25 * few + last, "{text}: {few} then {many}, last step {last}");
    }
}

#[test]
fn samples_have_mean_and_variance_of_the_data() {
    let (shape, folder, n) = (Shape::new(1, 1, 2), tempfile::tempdir().unwrap(), 1000);
    let file = folder.path().join("two.safetensors");
    write_mixture(&file, shape, 2);
    // Means of two components of equal weight, variances 0.5 and 1.5 (`write_mixture`).
    let means: Vec<f64> = noise(4, 5).into_iter().map(f64::from).collect();
    let (weights, variances) = ([0.5, 0.5], [0.5, 1.5]);
    for text in ALL {
        let spec = format!("field:mixture?file={}&process={}", file.display(), text.replacen('?', "&", 1));
        let field = closed(&spec, shape);
        let x = draw(&field, n, Method::Ode, 40).unwrap();
        let left = field.process().data_share(field.process().last_with_signal()).unwrap();
        for i in 0..2 {
            let mean: f64 = (0..2).map(|c| weights[c] * means[2 * c + i]).sum();
            let square: f64 = (0..2).map(|c| weights[c] * (variances[c] + means[2 * c + i].powi(2))).sum();
            let var = square - mean * mean;
            let got: Vec<f64> = x.iter().skip(i).step_by(2).map(|&x| f64::from(x)).collect();
            let found = got.iter().sum::<f64>() / n as f64;
            let spread = got.iter().map(|x| (x - found).powi(2)).sum::<f64>() / (n as f64 - 1.0);
            // Four standard errors, and what the start does not know of the data.
            let (se, se_var) = ((var / n as f64).sqrt(), var * (6.0 / n as f64).sqrt());
            assert!((found - mean).abs() <= 4.0 * se + 2.0 * left, "{text}: mean {found} not {mean} ± {se}");
            assert!(
                (spread - var).abs() <= 4.0 * se_var + 2.0 * left * var,
                "{text}: variance {spread} not {var} ± {se_var}"
            );
        }
    }
}

pub fn likelihood(timesteps: Vec<usize>, samples: usize) -> LikelihoodOptions {
    let selection = Selection { timesteps, samples, seed: 1 };
    LikelihoodOptions { selection, divergence: Divergence::Exact, levels: None, notes: String::new(), verified: 4 }
}

#[test]
fn likelihoods_are_the_density_within_their_errors() {
    let (shape, folder) = (Shape::new(1, 2, 3), tempfile::tempdir().unwrap());
    for text in ALL {
        let (field, means) = one_gaussian(folder.path(), shape, text);
        let last = field.process().last_with_signal();
        let mut timesteps: Vec<usize> = (0..=40).map(|i| i * last / 40).collect();
        timesteps.dedup();
        let images = images(shape, 3);
        let table = measured(&gpu(), &field, &images, &likelihood(timesteps.clone(), 3)).unwrap();
        let of = |name: &str| &table.column(name).unwrap().values;
        // What the grid's ends leave out: noise taken for none, data taken for none.
        let (a0, sigma0) = field.process().noise(timesteps[0]).unwrap();
        let share = field.process().data_share(timesteps[timesteps.len() - 1]).unwrap();
        let ends = 8.0 * (sigma0 / a0).powi(2) + 2.0 * share;
        for i in 0..3 {
            let x = images.values[i * 6..(i + 1) * 6].iter().map(|&v| f64::from(v));
            let square: f64 = x.zip(&means).map(|(x, m)| (x - m).powi(2)).sum();
            let exact = -0.5 * (square / 0.5 + 6.0 * (TAU * 0.5).ln());
            let bits = -exact / (6.0 * std::f64::consts::LN_2);
            let (got, error) = (of("bits_per_dim")[i], of("error")[i]);
            assert!((got - bits).abs() <= error + ends, "{text}: {got} not {bits}, error {error}, ends {ends}");
            assert!(
                error + ends <= 0.1 * bits.abs(),
                "{text}: errors that hide everything, {error} and {ends} of {bits}"
            );
        }
    }
}

/// A grid that ends where the data are still there says so; one that ends in noise has nothing to say.
#[test]
fn a_grid_that_ends_early_is_warned_of() {
    let shape = Shape::new(1, 2, 3);
    let field = closed("field:gaussian?process=edm&timesteps=9", shape);
    let session = Session::new(vec![gpu().clone()], field, images(shape, 2)).unwrap();
    let warnings = |last: usize| {
        let task = likelihood(vec![0, 1, last], 2);
        let how = How { shard: Shard::WHOLE, out: None, command: vec![] };
        session.prepare(&task, how).unwrap().about().warnings.clone()
    };
    assert_eq!(warnings(8), Vec::<String>::new());
    let said = warnings(4).join("");
    assert!(said.contains("the density at timestep 4, where the grid ends, is taken to be a Gaussian"), "{said}");
}

#[test]
fn what_has_no_flow_is_refused() {
    let shape = Shape::new(1, 2, 3);
    let clean = images(shape, 2);
    let of = |process: &str| closed(&format!("field:gaussian?process={}", process.replacen('?', "&", 1)), shape);
    let fixed = of("fixed?sigma=0.1");
    let error = draw(&fixed, 2, Method::Ode, 5).unwrap_err().to_string();
    assert!(
        error.contains("sample: needs noise levels from data to noise; this process has one: fixed noise level"),
        "{error}"
    );
    let refused = |field: &Arc<dyn Field>, ks: &[usize]| {
        measured(&gpu(), field, &clean, &likelihood(ks.to_vec(), 2)).unwrap_err().to_string()
    };
    for (process, said) in [
        ("fixed?sigma=0.1", "likelihood: needs noise levels from data to noise"),
        (
            "ve?sigma_min=0.01&sigma_max=10&timesteps=9",
            "likelihood: needs a process whose last noise level is a Gaussian, a / hypot(a, sigma) up to 0.05; that is 0.10",
        ),
        ("edm?sigma_max=2&timesteps=9", "variance exploding (EDM), sigma 0.002 to 2, rho 7, T = 9"),
        ("flow?times=0.1,0.2,0.3", "that is 0.92 at a = 0.7, sigma = 0.3"),
    ] {
        let error = refused(&of(process), &[0, 1, 2]);
        assert!(error.contains(said), "{process}: {error}");
    }
    let error = refused(&of("flow?timesteps=3"), &[0, 1, 2]);
    assert!(error.contains("2 is pure noise (a = 0), of which the flow's velocity is not defined"), "{error}");
    for method in [Method::Ddim, Method::Ddpm] {
        let error = draw(&of("flow?timesteps=9"), 2, method, 5).unwrap_err().to_string();
        assert!(
            error.contains("needs a variance-preserving process") && error.contains("flow along straight lines"),
            "{error}"
        );
    }
}
