//! Laws of the local intrinsic dimension: of a Gaussian on a subspace as it can be written down, its rank as the noise goes to
//! zero; of a flat sheet in a random direction 2, within the error of random tangents.
use crate::circulation::closed;
use crate::common::{gpu, measured, noise};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::path::Path;
use std::sync::Arc;
use vorticity::data::{Images, Levels};
use vorticity::diagnostics::{Divergence, Selection};
use vorticity::field::Field;
use vorticity::measures::lid::LidOptions;
use vorticity::run::{Table, Verdict, verdicts};
use vorticity::shape::Shape;

/// Odd, and not a multiple of four.
const SHAPE: Shape = Shape::new(3, 5, 5);

fn values<'a>(table: &'a Table, name: &str) -> &'a [f64] {
    &table.column(name).unwrap().values
}

fn of(shape: Shape, values: Vec<f32>) -> Images {
    Images { shape, count: values.len() / shape.len(), values, levels: Levels::Real, sha256: String::new() }
}

fn lid(field: &Arc<dyn Field>, images: &Images, timesteps: &[usize], divergence: Divergence) -> Table {
    let selection = Selection { timesteps: timesteps.to_vec(), samples: images.count, seed: 2 };
    measured(&gpu(), field, images, &LidOptions { selection, divergence, verified: 4 }).unwrap()
}

/// Of N(0, P) with P of rank d, at a x_0: `lid = d + s (sum_i a^2 x_i^2 s/sigma^2 - d) + |a x_out|^2 / sigma^2`, `s = sigma^2 / (a^2 + sigma^2)`.
#[test]
fn a_gaussian_on_a_subspace_has_its_closed_form() {
    let (d, ks) = (SHAPE.len(), [0, 1, 300, 900]);
    for rank in [1, 7, d] {
        let field = closed(&format!("field:subspace?rank={rank}"), SHAPE);
        // Two samples in the subspace, and one that is a little off it.
        let inside = |v: f32, i: usize, off: f32| if i % d < rank { v } else { off };
        let mut x = noise(3 * d, 3);
        x.iter_mut().enumerate().for_each(|(i, v)| *v = inside(*v, i, if i < 2 * d { 0.0 } else { 0.01 }));
        let images = of(SHAPE, x);
        for divergence in [Divergence::Exact, Divergence::Hutchinson(4)] {
            let table = lid(&field, &images, &ks, divergence);
            for (t, &k) in ks.iter().enumerate() {
                let (a, sigma) = field.process().noise(k).unwrap();
                let share = sigma * sigma / (a * a + sigma * sigma);
                for (sample, x) in images.values.chunks(d).enumerate() {
                    let square = |x: &[f32]| x.iter().map(|v| (a * f64::from(*v)).powi(2)).sum::<f64>();
                    let (within, off) = (square(&x[..rank]), square(&x[rank..]));
                    let s2 = sigma * sigma;
                    let want = rank as f64 + share * (within * share / s2 - rank as f64) + off / s2;
                    let got = values(&table, "lid")[t * 3 + sample];
                    // The trace cancels D in f32.
                    assert!((got - want).abs() <= 1e-5 * (d as f64 + want), "k {k} rank {rank}: {got} {want}");
                    let error = values(&table, "arithmetic")[t * 3 + sample];
                    assert!((got - want).abs() <= 3.0 * error + 1e-6 * want, "k {k}: {got} {want} ± {error}");
                    // A diagonal J has the same v.J v for every sign vector, but for rounding.
                    assert!(values(&table, "lid_se")[t * 3 + sample] <= 1e-4);
                    // As the noise goes to zero.
                    assert!(k > 1 || sample > 1 || (got - rank as f64).abs() < 0.02 * rank as f64, "{got} for {rank}");
                }
            }
            let found = verdicts(&table).unwrap();
            assert!(found[..2].iter().all(|v| *v == Verdict::Resolved), "{found:?}");
        }
    }
}

/// Points of a square lattice in a plane of random direction, as far apart as the noise is wide: to exp(-2 pi^2) a flat sheet.
fn sheet(path: &Path, shape: Shape, apart: f64) -> [Vec<f64>; 2] {
    let d = shape.len();
    let raw = noise(2 * d, 9);
    let [mut u, mut w] = [0, 1].map(|i| raw[i * d..(i + 1) * d].iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let unit = |v: &mut Vec<f64>| {
        let size = dot(v, v).sqrt();
        v.iter_mut().for_each(|v| *v /= size);
    };
    unit(&mut u);
    let along = dot(&u, &w);
    w.iter_mut().zip(&u).for_each(|(w, u)| *w -= along * u);
    unit(&mut w);
    let place = |i: usize| (i as f64 - 7.5) * apart;
    let mean = |n: usize| (0..d).map(|c| (place(n % 16) * u[c] + place(n / 16) * w[c]) as f32).collect::<Vec<_>>();
    let means: Vec<u8> = (0..256).flat_map(mean).flat_map(f32::to_le_bytes).collect();
    let variances = vec![0; 4 * 256];
    let tensors = [
        ("means", TensorView::new(Dtype::F32, vec![256, shape.c, shape.h, shape.w], &means).unwrap()),
        ("variances", TensorView::new(Dtype::F32, vec![256], &variances).unwrap()),
    ];
    serialize_to_file(tensors, None, path).unwrap();
    [u, w]
}

#[test]
fn a_sheet_has_two_dimensions_within_the_error() {
    let (folder, shape, k) = (tempfile::tempdir().unwrap(), Shape::new(1, 8, 8), 100);
    let (a, sigma) = closed("field:gaussian", shape).process().noise(k).unwrap();
    let file = folder.path().join("sheet.safetensors");
    let [u, w] = sheet(&file, shape, sigma / a);
    let field = closed(&format!("field:mixture?file={}", file.display()), shape);
    // Points of the sheet, between the lattice's.
    let places = [(0.0, 0.0), (0.4, -0.9), (-1.1, 0.3), (0.7, 0.7)];
    let apart = sigma / a;
    let point =
        |(p, q): (f64, f64)| u.iter().zip(&w).map(|(u, w)| ((p * u + q * w) * apart) as f32).collect::<Vec<_>>();
    let images = of(shape, places.into_iter().flat_map(point).collect());
    let exact = lid(&field, &images, &[k], Divergence::Exact);
    for (got, error) in values(&exact, "lid").iter().zip(values(&exact, "arithmetic")) {
        println!("lid {got:.6} of a sheet, arithmetic {error:.1e}");
        assert!((got - 2.0).abs() <= 3.0 * error + 1e-4 && *error < 1e-2, "{got} ± {error}");
    }
    assert!(verdicts(&exact).unwrap().iter().all(|v| *v == Verdict::Resolved));
    let probed = lid(&field, &images, &[k], Divergence::Hutchinson(32));
    for (got, se) in values(&probed, "lid").iter().zip(values(&probed, "lid_se")) {
        // Four estimates; the error is there, and it is an error.
        assert!((got - 2.0).abs() <= 3.5 * se && *se > 0.01 && *se < 1.0, "{got} ± {se}");
    }
    let text = probed.measure.text(&probed).unwrap();
    assert!(text.contains("lid") && text.contains("Medians over 4 samples"), "{text}");
}
