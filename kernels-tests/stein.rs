//! Laws of the Stein operator and of likelihood: the right score has no error field, the conditional score's mean is zero,
//! and a Gaussian's likelihood is the one that can be written down.
use crate::circulation::{closed, images, write_mixture};
use crate::common::{gpu, measured};
use std::f64::consts::{LN_2, TAU};
use std::sync::Arc;
use vorticity::data::{Images, Levels};
use vorticity::diagnostics::{Divergence, Selection};
use vorticity::field::Field;
use vorticity::gpu::Gpu;
use vorticity::measures::likelihood::LikelihoodOptions;
use vorticity::measures::stein::{self, SteinOptions};
use vorticity::paths::philox::{Purpose, Stream};
use vorticity::run::Table;
use vorticity::shape::Shape;

const SHAPE: Shape = Shape::new(2, 5, 3);

fn values<'a>(table: &'a Table, name: &str) -> &'a [f64] {
    &table.column(name).unwrap().values
}

/// Samples of N(0, v I).
fn normal(shape: Shape, count: usize, v: f64) -> Images {
    let stream = |sample| Stream { seed: 21, purpose: Purpose::Sample, draw: 0, sample, k: 0 };
    let row = |sample| vorticity::paths::normal::normals(&stream(sample), shape.len());
    let values = (0..count as u32).flat_map(row).map(|z| (z * v.sqrt()) as f32).collect();
    Images { shape, count, values, levels: Levels::Real, sha256: String::new() }
}

fn stein(
    gpu: &Gpu,
    field: &Arc<dyn Field>,
    reference: Option<&Arc<dyn Field>>,
    images: &Images,
    divergence: Divergence,
) -> Table {
    let selection = Selection { timesteps: vec![50, 400, 900], samples: images.count, seed: 3 };
    let reference = reference.cloned();
    let options = SteinOptions { selection, divergence, reference, warnings: vec![], verified: 4 };
    measured(gpu, field, images, &options).unwrap()
}

#[test]
fn the_conditional_scores_mean_is_zero_for_any_field() {
    let (gpu, images) = (gpu(), images(SHAPE, 200));
    for spec in ["field:gaussian", "field:tilted?omega=1"] {
        let field = closed(spec, SHAPE);
        for divergence in [Divergence::Exact, Divergence::Hutchinson(3)] {
            let table = stein(&gpu, &field, None, &images, divergence);
            for t in 0..3 {
                let (mean, error) = stein::mean(&table, t).unwrap();
                assert!(mean.abs() <= 3.0 * error, "{spec} {divergence:?} timestep {t}: {mean} ± {error}");
            }
            assert!(values(&table, "error_norm").iter().all(|e| *e > 0.1));
            let text = table.measure.text(&table).unwrap();
            assert!(
                text.contains("mean S is indistinguishable from zero at this precision at all 3 timesteps"),
                "{text}"
            );
        }
    }
    // Negative control: samples whose noise is not the one that the identity is about.
    let field = closed("field:gaussian", SHAPE);
    let mut table = stein(&gpu, &field, None, &images, Divergence::Exact);
    let wrong = table.columns.iter_mut().find(|c| c.about.name == "stein").unwrap();
    let work: Vec<f64> = wrong.values.iter().map(|v| v + 5.0).collect();
    wrong.values = work;
    assert!(table.measure.text(&table).unwrap().contains("The mean of S is not zero: mean S is from"));
}

#[test]
fn a_field_has_no_error_against_itself() {
    let (gpu, folder, images) = (gpu(), tempfile::tempdir().unwrap(), images(SHAPE, 5));
    let file = folder.path().join("mixture.safetensors");
    write_mixture(&file, SHAPE, 3);
    let field = closed(&format!("field:mixture?file={}", file.display()), SHAPE);
    let table = stein(&gpu, &field, Some(&field), &images, Divergence::Exact);
    assert!(values(&table, "error_norm").iter().chain(values(&table, "stein")).all(|v| *v == 0.0));
    // Against another: what the difference is can be written down. Gaussian s = -x; tilted -x + R x, div R = 0.
    let (gaussian, tilted) = (closed("field:gaussian", SHAPE), closed("field:tilted?omega=1", SHAPE));
    let table = stein(&gpu, &tilted, Some(&gaussian), &images, Divergence::Exact);
    let d = SHAPE.len() as f64;
    for (place, s) in values(&table, "stein").iter().enumerate() {
        // e = -R x, s.e = x.Rx = 0, div e = 0.
        assert!(s.abs() < 1e-4, "place {place}: {s}");
        assert!((values(&table, "div_score")[place] + d).abs() < 1e-4);
        assert!((values(&table, "div_model")[place] + d).abs() < 1e-4);
    }
}

#[test]
fn a_gaussians_likelihood_is_the_one_of_its_density() {
    let gpu = gpu();
    let d = SHAPE.len() as f64;
    let options = |levels| LikelihoodOptions {
        selection: Selection { timesteps: (0..991).step_by(15).collect(), samples: 6, seed: 4 },
        divergence: Divergence::Exact,
        levels,
        notes: String::new(),
        verified: 2,
    };
    let run =
        |field: &Arc<dyn Field>, images: &Images, options: &LikelihoodOptions| measured(&gpu, field, images, options);
    // N(0, I) data: the flow stands still.
    let (gaussian, data) = (closed("field:gaussian", SHAPE), normal(SHAPE, 6, 1.0));
    let table = run(&gaussian, &data, &options(None)).unwrap();
    for (i, x) in data.values.chunks(SHAPE.len()).enumerate() {
        let want = -0.5 * (x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() + d * TAU.ln());
        assert!((values(&table, "log_likelihood")[i] - want).abs() < 1e-3, "{want}");
        assert!((values(&table, "bits_per_dim")[i] + want / d / LN_2).abs() < 1e-4);
    }
    // N(0, v I) data: a mixture of one, whose noised variance at k = 0 is a^2 v + sigma^2.
    let (folder, v) = (tempfile::tempdir().unwrap(), 0.25f32);
    let file = folder.path().join("one.safetensors");
    let (means, variances) = (vec![0u8; 4 * SHAPE.len()], v.to_le_bytes());
    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
    let tensors = [
        ("means", TensorView::new(Dtype::F32, vec![1, SHAPE.c, SHAPE.h, SHAPE.w], &means).unwrap()),
        ("variances", TensorView::new(Dtype::F32, vec![1], &variances).unwrap()),
    ];
    serialize_to_file(tensors, None, &file).unwrap();
    let (field, data) = (closed(&format!("field:mixture?file={}", file.display()), SHAPE), normal(SHAPE, 6, v.into()));
    let (a, sigma) = field.process().noise(0).unwrap();
    let noised = a * a * f64::from(v) + sigma * sigma;
    for divergence in [Divergence::Exact, Divergence::Hutchinson(4)] {
        let table = run(&field, &data, &LikelihoodOptions { divergence, ..options(None) }).unwrap();
        for (i, x) in data.values.chunks(SHAPE.len()).enumerate() {
            let square = x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
            let want = 0.5 * (square / noised + d * (TAU * noised).ln()) / d / LN_2;
            let (bits, error) = (values(&table, "bits_per_dim")[i], values(&table, "error")[i]);
            // J = -I / V: sign vectors have no spread. Beyond the grid's error there is that of the flow's end, whose
            // variance differs from 1 by a_990^2 = 2.4e-4 times 1 - v.
            assert!((bits - want).abs() <= error + 1e-4 && error < 0.02, "{divergence:?}: {bits} ± {error}, {want}");
        }
    }
    // 8-bit levels: bits of a level are those of the density times the level's width.
    let quantised = Images { values: data.values.iter().map(|v| (v * 127.5).round() / 127.5).collect(), ..data };
    let continuous = run(&field, &quantised, &options(None)).unwrap();
    for (levels, offset) in [(255, 127.5f64.log2()), (65535, 32767.5f64.log2())] {
        let table = run(&field, &quantised, &options(Some(levels))).unwrap();
        for (bits, plain) in values(&table, "bits_per_dim").iter().zip(values(&continuous, "bits_per_dim")) {
            assert!((bits - plain - offset).abs() < 0.02, "{bits} {plain}");
        }
    }
    let error = run(&field, &quantised, &options(Some(0))).map(|t| t.measure).unwrap_err().to_string();
    assert!(error.contains("at least two levels"), "{error}");

    let mut even = options(None);
    even.selection.timesteps = vec![0, 1, 2, 3];
    let error = run(&gaussian, &quantised, &even).map(|t| t.measure).unwrap_err().to_string();
    assert!(error.contains("4 of them, expected an odd number"), "{error}");
}
