//! Tangents: whole networks and fields against their dual-number twins, and the laws that a tangent depends on nothing but
//! its point and itself, and leaves its point's value alone.
use crate::circulation::{closed, write_mixture};
use crate::common::{evaluate, families, gpu, max_norm_error, noise};
use crate::networks::network;
use crate::weights::{TIMESTEPS, hyper, random};
use std::sync::Arc;
use vorticity::dual::Dual;
use vorticity::evaluate::{Evaluator, Room};
use vorticity::field::{self, Field};
use vorticity::shape::Shape;
use vorticity::twin;

/// f32 against f64 duals, max norm per tangent. The golden network is within 4e-6; random weights without its scaling let
/// single layers amplify rounding, as for values (networks.rs), and the slopes of SiLU carry it on.
const TOLERANCE: f64 = 5e-5;

/// Channels, base_dim, dim_mults, image size.
const SIZES: &[(usize, usize, &[usize], usize)] =
    &[(1, 4, &[2, 4], 8), (3, 8, &[2, 4], 12), (1, 12, &[3], 6), (5, 20, &[2], 12), (1, 64, &[1, 2], 8)];

fn bits(y: &[f32]) -> Vec<u32> {
    y.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn tangents_of_networks_match_their_twin() {
    let gpu = gpu();
    let (ks, k) = ([5, 0, TIMESTEPS - 1], 3);
    for &(channels, base, mults, side) in SIZES {
        let graph = network(&hyper(channels, base, mults, side), &random(channels, base, mults)).unwrap();
        let d = channels * side * side;
        let (x, v) = (noise(ks.len() * d, base as u64), noise(ks.len() * k * d, 1 + base as u64));
        for family in families(&gpu) {
            let room = Room { samples: 2, tangents: k, cotangents: 0 }; // two tiles
            let mut evaluator =
                Evaluator::with_tangents(&gpu.clone().with_family(family), &graph, &[0, 5, TIMESTEPS - 1], room)
                    .unwrap();
            let (y, jv) = evaluator.jvp(&x, &v, &ks).unwrap();
            // The value is the one that is computed without tangents, to the last bit.
            assert_eq!(bits(&y), bits(&evaluate(&gpu, &graph, family, &x, &ks)), "base {base} {family:?}");
            for (i, (got, v)) in jv.chunks(d).zip(v.chunks(d)).enumerate() {
                let sample = i / k;
                let along = Dual::along(&x[sample * d..(sample + 1) * d], v);
                let want: Vec<f64> = twin::evaluate(&graph, &along, ks[sample]).unwrap().iter().map(|y| y.d).collect();
                let error = max_norm_error(got, &want);
                println!("{channels} {base} {mults:?} {side} {} tangent {i}: {error:.2e}", family.name());
                assert!(error <= TOLERANCE, "base {base} {mults:?} {family:?} tangent {i}: {error:e}");
                // Negative control: another tangent is seen.
                assert!(max_norm_error(&jv[(i + 1) % 3 * d..][..d], &want) > TOLERANCE || (i + 1) % 3 == i);
            }
        }
    }
}

/// Company changes nothing: neither how many tangents there are, nor which, nor in which tile.
#[test]
fn a_tangent_alone_equals_the_same_tangent_in_company() {
    let gpu = gpu();
    let graph = network(&hyper(3, 20, &[2, 4], 12), &random(3, 20, &[2, 4])).unwrap();
    let (d, ks, k) = (3 * 12 * 12, [6, 1, 4], 7);
    let (x, v) = (noise(ks.len() * d, 3), noise(ks.len() * k * d, 4));
    for family in families(&gpu) {
        let run = |samples, tangents: usize, x: &[f32], v: &[f32], ks: &[usize]| {
            let room = Room { samples, tangents, cotangents: 0 };
            Evaluator::with_tangents(&gpu.clone().with_family(family), &graph, &[1, 4, 6], room)
                .unwrap()
                .jvp(x, v, ks)
                .unwrap()
        };
        let (y, all) = run(3, k, &x, &v, &ks);
        for (i, own) in all.chunks(d).enumerate().step_by(4) {
            let (sample, at) = (i / k, i / k * d);
            let (alone, jv) = run(1, 1, &x[at..at + d], &v[i * d..(i + 1) * d], &ks[sample..=sample]);
            assert_eq!(bits(&alone), bits(&y[at..at + d]), "{family:?} sample {sample}");
            assert_eq!(bits(&jv), bits(own), "{family:?} tangent {i}");
        }
        assert_eq!(run(1, k, &x, &v, &ks), (y, all), "{family:?} in tiles of one sample");
    }
}

/// J is linear: J(2u - v) = 2 Ju - Jv up to f32.
#[test]
fn tangents_are_linear() {
    let gpu = gpu();
    let graph = network(&hyper(1, 8, &[2, 4], 12), &random(1, 8, &[2, 4])).unwrap();
    let d = 144;
    let (x, u, v) = (noise(d, 1), noise(d, 2), noise(d, 3));
    let mixed: Vec<f32> = u.iter().zip(&v).map(|(u, v)| 2.0 * u - v).collect();
    for family in families(&gpu) {
        let room = Room { samples: 1, tangents: 3, cotangents: 0 };
        let mut evaluator = Evaluator::with_tangents(&gpu.clone().with_family(family), &graph, &[2], room).unwrap();
        let (_, jv) = evaluator.jvp(&x, &[u.clone(), v.clone(), mixed.clone()].concat(), &[2]).unwrap();
        let want: Vec<f64> = (0..d).map(|i| 2.0 * f64::from(jv[i]) - f64::from(jv[d + i])).collect();
        assert!(max_norm_error(&jv[2 * d..], &want) < 2e-6);
    }
}

#[test]
fn tangents_of_closed_forms_match_their_twins() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let shape = Shape::new(2, 7, 5);
    let file = folder.path().join("mixture.safetensors");
    write_mixture(&file, shape, 3);
    let mixture = format!("field:mixture?file={}", file.display());
    for spec in ["field:gaussian", "field:rotor?omega=0.5", "field:tilted?omega=2", &mixture, "field:funnel"] {
        let field = closed(spec, shape);
        let (d, ks, k) = (shape.len(), [100, 700, 100], 4);
        let (x, v) = (noise(ks.len() * d, 8), noise(ks.len() * k * d, 9));
        let room = Room { samples: 2, tangents: k, cotangents: 0 };
        let mut tangents = field::tangent_evaluator(&gpu, &field, &[100, 700], room).unwrap();
        let (y, jv) = tangents.jvp(&x, &v, &ks).unwrap();
        let plain = field::evaluator(&gpu, &field, &[100, 700], 3).unwrap().evaluate(&x, &ks).unwrap();
        assert_eq!(bits(&y), bits(&plain), "{spec}");
        for (i, (got, v)) in jv.chunks(d).zip(v.chunks(d)).enumerate() {
            let sample = i / k;
            let along = Dual::along(&x[sample * d..(sample + 1) * d], v);
            let want: Vec<f64> = field.twin(&along, ks[sample], 0).unwrap().iter().map(|y| y.d).collect();
            // Responsibilities of the mixture carry 1e-7 |x - a mu|^2 / V, about 5e-6 in 70 dimensions.
            let error = max_norm_error(got, &want);
            assert!(error <= 1e-5, "{spec}, tangent {i}: {error:e}");
        }
    }
}

#[test]
fn what_cannot_be_differentiated_is_refused() {
    let gpu = gpu();
    let graph = network(&hyper(1, 4, &[2], 8), &random(1, 4, &[2])).unwrap();
    let room = Room { samples: 2, tangents: 2, cotangents: 0 };
    let mut evaluator = Evaluator::with_tangents(&gpu, &graph, &[1], room).unwrap();
    let (x, mut v) = (noise(2 * 64, 1), noise(4 * 64, 2));
    let says = |r: vorticity::error::Result<(Vec<f32>, Vec<f32>)>| r.unwrap_err().to_string();
    assert!(says(evaluator.jvp(&x, &v[1..], &[1, 1])).contains("evaluator tangents: 255 numbers, 4 tangents have 256"));
    assert!(says(evaluator.jvp(&x[1..], &v, &[1, 1])).contains("evaluator samples: 127 numbers"));
    assert!(evaluator.evaluate(&x, &[1, 1]).unwrap_err().to_string().contains("use jvp, vjp or products"));
    v[3 * 64 + 5] = f32::NAN;
    assert!(says(evaluator.jvp(&x, &v, &[1, 1])).contains("tangent 1 of sample 1, component 5: NaN"));

    struct Plain(Arc<dyn Field>);
    impl Field for Plain {
        fn shape(&self) -> Shape {
            self.0.shape()
        }
        fn process(&self) -> &vorticity::model::Process {
            self.0.process()
        }
        fn coefficients(&self, k: usize) -> vorticity::error::Result<(f64, f64)> {
            self.0.coefficients(k)
        }
        fn launch(&self, cx: field::FieldLaunch) -> vorticity::error::Result<()> {
            self.0.launch(cx)
        }
        fn twin(&self, x: &[Dual], k: usize, _: usize) -> vorticity::error::Result<Vec<Dual>> {
            self.0.twin(x, k, 0)
        }
        fn describe(&self) -> serde_json::Value {
            serde_json::json!({ "name": "plain" })
        }
    }
    let plain: Arc<dyn Field> = Arc::new(Plain(closed("field:rotor", Shape::new(1, 4, 4))));
    let error = field::tangent_evaluator(&gpu, &plain, &[1], room).err().unwrap().to_string();
    assert!(error.contains("field plain") && error.contains("--method fd"), "{error}");
    let rotor = closed("field:rotor", Shape::new(1, 4, 4));
    let none = Room { samples: 1, tangents: 0, cotangents: 0 };
    assert!(field::tangent_evaluator(&gpu, &rotor, &[1], none).is_err());
}
