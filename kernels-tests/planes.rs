//! Laws of planes and spectra: rotors turn Fourier pairs, tilted fields have one eigenvalue, a gradient turns nothing; of a small
//! trained network the dense Jacobian in f64 says the same; what does not fit is refused.
use crate::circulation::{closed, images, write_mixture};
use crate::common::{gpu, measured};
use nalgebra::{DMatrix, SVD, SymmetricEigen};
use std::f64::consts::TAU;
use std::sync::Arc;
use vorticity::data::Images;
use vorticity::diagnostics::Selection;
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::field::{self, Field, FieldLaunch, ScoreScale};
use vorticity::measures::planes::PlanesOptions;
use vorticity::measures::spectrum::SpectrumOptions;
use vorticity::model::Process;
use vorticity::paths::{self, Anchor};
use vorticity::report::spaces::spaces;
use vorticity::run::{Numbers, Table, Verdict, verdicts};
use vorticity::shape::Shape;

/// Odd, so that all of a rotor's planes turn differently.
const ODD: Shape = Shape::new(3, 5, 5);
/// Even: all but the fastest plane come in twos.
const EVEN: Shape = Shape::new(1, 4, 5);
const KS: [usize; 2] = [1, 500];
const SEED: u64 = 5;

fn selection(samples: usize) -> Selection {
    Selection { timesteps: KS.to_vec(), samples, seed: SEED }
}

fn options(planes: usize) -> PlanesOptions {
    PlanesOptions { selection: selection(2), planes, block: 2, steps: 100, tolerance: 1e-6, probes: 6, verified: 4 }
}

fn spectrum(ends: usize) -> SpectrumOptions {
    SpectrumOptions { selection: selection(2), ends, block: 2, steps: 100, tolerance: 1e-6, verified: 4 }
}

fn values<'a>(table: &'a Table, name: &str) -> &'a [f64] {
    &table.column(name).unwrap().values
}

/// The pairs of a place, as f64.
fn pairs(table: &Table, place: usize, planes: usize, d: usize) -> Vec<[Vec<f64>; 2]> {
    let Numbers::F32(all) = &table.array("vectors").unwrap().values else { panic!("vectors are f32") };
    let own = &all[place * planes * 2 * d..][..planes * 2 * d];
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    own.chunks(2 * d).map(|pair| [wide(&pair[..d]), wide(&pair[d..])]).collect()
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// 2 w |sin(2 pi j / D)|, j = 1..(D-1)/2, fastest first, each with its j.
fn of_rotor(w: f64, d: usize) -> Vec<(f64, usize)> {
    let omega = |j: usize| (2.0 * w * (TAU * j as f64 / d as f64).sin().abs(), j);
    let mut all: Vec<(f64, usize)> = (1..=(d - 1) / 2).map(omega).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all
}

/// How much of v lies in the Fourier pairs of these j.
fn within(v: &[f64], js: &[usize]) -> f64 {
    let d = v.len() as f64;
    let part = |j: usize, turn: f64| {
        let wave: Vec<f64> = (0..v.len()).map(|i| (2.0 / d).sqrt() * (TAU * (j * i) as f64 / d + turn).cos()).collect();
        dot(&wave, v).powi(2)
    };
    js.iter().map(|&j| part(j, 0.0) + part(j, TAU / 4.0)).sum()
}

#[test]
fn a_rotor_turns_fourier_pairs() {
    let gpu = gpu();
    for (spec, shape, w) in
        [("field:rotor?omega=0.7", ODD, 0.7), ("field:tilted?omega=0.5", ODD, 0.5), ("field:rotor?omega=2", EVEN, 2.0)]
    {
        let (d, planes) = (shape.len(), 5);
        let table = measured(&gpu, &closed(spec, shape), &images(shape, 2), &options(planes)).unwrap();
        assert_eq!(table.shape(), [planes, 2, 2]);
        assert_eq!(table.array("vectors").unwrap().shape, [2, 2, planes, 2, shape.c, shape.h, shape.w]);
        let expected = of_rotor(w, d);
        let whole: f64 = expected.iter().map(|(omega, _)| 2.0 * omega * omega).sum();
        for place in 0..4 {
            for (j, pair) in pairs(&table, place, planes, d).iter().enumerate() {
                let of = |name: &str| values(&table, name)[j * 4 + place];
                let (omega, at) = (expected[j].0, j * 4 + place);
                assert!((of("omega") - omega).abs() <= 1e-5 * omega, "{spec}: {} instead of {omega}", of("omega"));
                assert!(
                    (of("omega") - omega).abs() <= of("error") && of("error") < 1e-4 * omega,
                    "{spec}: {}",
                    of("error")
                );
                assert_eq!(verdicts(&table).unwrap()[at], Verdict::Resolved, "{spec}");
                // Of planes that turn alike the space is known, not which of them is which.
                let alike: Vec<usize> = expected.iter().filter(|e| (e.0 - omega).abs() < 1e-9).map(|e| e.1).collect();
                for v in pair {
                    assert!((dot(v, v) - 1.0).abs() < 1e-6);
                    assert!((within(v, &alike) - 1.0).abs() < 1e-4, "{spec} {j}: {}", within(v, &alike));
                }
                assert!((of("anti2") - whole).abs() <= 5.0 * of("anti2_se") + 1e-5 * whole, "{}", of("anti2"));
                let share = 2.0 * omega * omega / whole;
                assert!((of("share") - share).abs() <= 5.0 * of("share_se") + 1e-4 * share, "{}", of("share"));
            }
        }
        let sigma = closed(spec, shape).process().noise(500).unwrap().1;
        assert!((values(&table, "turn")[2] / values(&table, "omega")[2] / sigma / sigma - 1.0).abs() < 1e-12);
    }
}

#[test]
fn gradients_turn_nothing() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let file = folder.path().join("mixture.safetensors");
    write_mixture(&file, ODD, 4);
    for spec in ["field:gaussian".to_string(), format!("field:mixture?file={}", file.display())] {
        let table = measured(&gpu, &closed(&spec, ODD), &images(ODD, 2), &options(3)).unwrap();
        assert!(verdicts(&table).unwrap().iter().all(|v| *v == Verdict::NotResolved), "{spec}");
        for (omega, error) in values(&table, "omega").iter().zip(values(&table, "error")) {
            assert!(*omega >= 0.0 && omega <= error, "{spec}: {omega:e} ± {error:e}");
        }
        for pair in pairs(&table, 0, 3, ODD.len()) {
            assert!((dot(&pair[0], &pair[0]) - 1.0).abs() < 1e-6 && dot(&pair[0], &pair[1]).abs() < 1e-6, "{spec}");
        }
    }
    // Not repeated in f64, nothing may be said.
    let unchecked = PlanesOptions { verified: 0, ..options(3) };
    let table = measured(&gpu, &closed("field:rotor", ODD), &images(ODD, 2), &unchecked).unwrap();
    assert!(verdicts(&table).unwrap().iter().all(|v| *v == Verdict::NotChecked));
}

#[test]
fn linear_fields_have_their_spectra() {
    let gpu = gpu();
    let fastest = |w: f64| of_rotor(w, ODD.len())[0].0;
    for (spec, shape, value, singular) in [
        ("field:gaussian", ODD, None, None),
        ("field:tilted?omega=0.5", ODD, Some(-1.0), Some(fastest(0.5).hypot(1.0))),
        ("field:rotor?omega=0.7", ODD, Some(0.0), Some(fastest(0.7))),
        ("field:tilted?omega=3", Shape::new(1, 1, 1), Some(-1.0), Some(1.0)),
    ] {
        let field = closed(spec, shape);
        let ends = if shape.len() == 1 { 1 } else { 2 };
        let options = SpectrumOptions { block: ends, ..spectrum(ends) };
        let table = measured(&gpu, &field, &images(shape, 2), &options).unwrap();
        assert_eq!(table.shape(), [2 * ends + 1, 2, 2]);
        for (i, value_of) in values(&table, "value").iter().enumerate() {
            let of = |name: &str| values(&table, name)[i];
            let (a, sigma) = field.process().noise(KS[i / 2 % 2]).unwrap();
            let own = -1.0 / (a * a + sigma * sigma);
            let last = i >= 2 * ends * 4;
            let want = if last { singular.unwrap_or(-own) } else { value.unwrap_or(own) };
            assert!(
                (value_of - want).abs() <= 1e-5 && (value_of - want).abs() <= of("error").max(1e-7),
                "{spec} {i}: {value_of}"
            );
            assert!(of("residual") < 1e-4, "{spec}: {}", of("residual"));
            if !last {
                let want = (1.0 + sigma * sigma * want) / a;
                assert!((of("denoiser") - want).abs() <= 1e-5 / a, "{spec} {i}: {}", of("denoiser"));
            }
        }
        if spec == "field:rotor?omega=0.7" {
            let found = verdicts(&table).unwrap();
            assert!(found[..16].iter().all(|v| *v == Verdict::NotResolved), "{found:?}");
            assert!(found[16..].iter().all(|v| *v == Verdict::Resolved), "{found:?}");
        }
    }
}

/// x_t of a sample, where the measures look.
fn point(field: &dyn Field, images: &Images, sample: usize, k: usize) -> Vec<f32> {
    let (d, (a, sigma)) = (images.shape.len(), field.process().noise(k).unwrap());
    let x0 = &images.values[sample * d..(sample + 1) * d];
    let (sample, k, bridge_scale) = (sample as u32, k as u32, field.process().bridge_scale(k));
    let anchor = Anchor { seed: SEED, sample, k, a, sigma, bridge_scale, x0, segments: 2 };
    paths::start(&anchor).into_iter().map(|v| v as f32).collect()
}

/// All of J in f64.
fn dense(field: &dyn Field, x: &[f32], k: usize) -> DMatrix<f64> {
    let d = x.len();
    let column = |j: usize| {
        let unit: Vec<f32> = (0..d).map(|i| f32::from(u8::from(i == j))).collect();
        field.twin(&Dual::along(x, &unit), k, 0).unwrap().iter().map(|y| y.d).collect::<Vec<f64>>()
    };
    DMatrix::from_vec(d, d, (0..d).flat_map(column).collect())
}

/// The trained funnel network, 64 dimensions, against its dense Jacobian.
#[test]
fn a_trained_network_turns_as_its_dense_jacobian_says() {
    let gpu = gpu();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/funnel");
    let field = field::open(model, None, ScoreScale::Definition).unwrap();
    let shape = field.shape();
    let (d, images) = (shape.len(), field::open_data("data:funnel", 2, [-1.0, 1.0], Some(shape)).unwrap());
    let table = measured(&gpu, &field, &images, &options(4)).unwrap();
    let ends = measured(&gpu, &field, &images, &spectrum(2)).unwrap();
    for place in 0..4 {
        let (k, sample) = (KS[place / 2], place % 2);
        let j = dense(field.as_ref(), &point(field.as_ref(), &images, sample, k), k);
        let a = (&j - j.transpose()) / 2.0;
        let omegas = SVD::new(a.clone(), false, false).singular_values;
        for (nth, [u, w]) in pairs(&table, place, 4, d).iter().enumerate() {
            let of = |name: &str| values(&table, name)[nth * 4 + place];
            // Singular values come in twos.
            let (want, found) = (omegas[2 * nth], of("omega"));
            assert!(
                (found - want).abs() <= of("error"),
                "k {k} plane {nth}: {found} ± {} instead of {want}",
                of("error")
            );
            assert!(of("error") < 0.01 * omegas[0], "{} of {}", of("error"), omegas[0]);
            let [u, w] = [u, w].map(|v| nalgebra::DVector::from_column_slice(v));
            let residual = (&a * &w - &u * found).norm().hypot((&a * &u + &w * found).norm());
            assert!(residual <= of("residual") + of("arithmetic"), "k {k} plane {nth}: {residual}");
        }
        let whole = a.norm_squared();
        let of = |name: &str| values(&table, name)[place];
        assert!((of("anti2") - whole).abs() <= 5.0 * of("anti2_se") + 0.01 * whole, "{} {whole}", of("anti2"));
        let mut lambda: Vec<f64> =
            SymmetricEigen::new((&j + j.transpose()) / 2.0).eigenvalues.iter().copied().collect();
        lambda.sort_by(f64::total_cmp);
        let (noise_a, sigma) = field.process().noise(k).unwrap();
        let denoiser = (DMatrix::identity(d, d) + &j * (sigma * sigma)) / noise_a;
        let largest = |m: DMatrix<f64>| SVD::new(m, false, false).singular_values[0];
        let wanted = [lambda[0], lambda[1], lambda[d - 1], lambda[d - 2], largest(j.clone())];
        for (end, want) in wanted.iter().enumerate() {
            let of = |name: &str| values(&ends, name)[end * 4 + place];
            assert!(
                (of("value") - want).abs() <= of("error"),
                "k {k} end {end}: {} ± {} {want}",
                of("value"),
                of("error")
            );
        }
        let of = |name: &str| values(&ends, name)[16 + place];
        let (gap, error) =
            ((of("denoiser") - largest(denoiser)).abs(), of("denoiser_residual") + of("denoiser_arithmetic"));
        assert!(gap <= error, "k {k}: {gap} {error}");
    }
}

#[test]
fn the_trained_digits_turn_in_planes() {
    let gpu = gpu();
    let field = field::open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/mnist"), None, ScoreScale::Definition);
    let field = field.unwrap();
    let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/data/mnist-test-256-idx3-ubyte.gz");
    let images = vorticity::data::load(digits, 1, [-1.0, 1.0]).unwrap();
    let selection = Selection { timesteps: vec![501], samples: 1, seed: SEED };
    let options = PlanesOptions { selection, steps: 40, tolerance: 1e-2, probes: 4, verified: 1, ..options(2) };
    let table = measured(&gpu, &field, &images, &options).unwrap();
    let of = |name: &str| values(&table, name).to_vec();
    let (omega, residual, steps) = (of("omega"), of("residual"), of("steps")[0]);
    // It converged before its last step, and to what was asked.
    assert!(steps < 40.0 && residual.iter().all(|r| *r < 0.03 * omega[0]), "{steps} {omega:?} {residual:?}");
    assert!(verdicts(&table).unwrap().iter().all(|v| *v == Verdict::Resolved), "{omega:?} {:?}", of("error"));
    assert!(of("share").iter().all(|s| *s > 0.0 && *s < 1.0), "{:?}", of("share"));
}

struct Bare(Arc<dyn Field>);

impl Field for Bare {
    fn shape(&self) -> Shape {
        self.0.shape()
    }
    fn process(&self) -> &Process {
        self.0.process()
    }
    fn coefficients(&self, k: usize) -> Result<(f64, f64)> {
        self.0.coefficients(k)
    }
    fn launch(&self, cx: FieldLaunch) -> Result<()> {
        self.0.launch(cx)
    }
    fn has_tangents(&self) -> bool {
        true
    }
    fn twin(&self, x: &[Dual], k: usize, sample: usize) -> Result<Vec<Dual>> {
        self.0.twin(x, k, sample)
    }
    fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "name": "bare" })
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let gpu = gpu();
    let says = |shape: Shape, options: PlanesOptions| {
        let run = measured(&gpu, &closed("field:rotor", shape), &images(shape, 2), &options);
        run.map(|t| t.measure).unwrap_err().to_string()
    };
    assert!(says(EVEN, options(11)).contains("planes: 11, expected 1..=10, half of the D = 20 components"));
    assert!(says(EVEN, options(0)).contains("planes: 0, expected 1..=10"));
    assert!(says(Shape::new(1, 1, 1), options(1)).contains("planes: one component has no planes"));
    assert!(says(EVEN, PlanesOptions { block: 0, ..options(2) }).contains("block: 0, expected 1..=20"));
    assert!(says(EVEN, PlanesOptions { steps: 3, ..options(4) }).contains("steps: 3, expected at least 4"));
    assert!(says(EVEN, PlanesOptions { tolerance: 0.0, ..options(2) }).contains("tolerance: 0, expected more than 0"));
    assert!(says(EVEN, PlanesOptions { probes: 1, ..options(2) }).contains("probes: 1, expected at least 2"));
    let bad = |options: SpectrumOptions| {
        let run = measured(&gpu, &closed("field:rotor", EVEN), &images(EVEN, 2), &options);
        run.map(|t| t.measure).unwrap_err().to_string()
    };
    assert!(bad(spectrum(11)).contains("ends: 11, expected 1..=10"));
    assert!(bad(spectrum(0)).contains("ends: 0, expected 1..=10"));
    assert!(bad(SpectrumOptions { steps: 1, ..spectrum(2) }).contains("steps: 1, expected at least 2"));
    let field: Arc<dyn Field> = Arc::new(Bare(closed("field:rotor", EVEN)));
    for error in [
        measured(&gpu, &field, &images(EVEN, 2), &options(2)).map(|t| t.measure).unwrap_err().to_string(),
        measured(&gpu, &field, &images(EVEN, 2), &spectrum(2)).map(|t| t.measure).unwrap_err().to_string(),
    ] {
        assert!(error.contains("field bare: has no adjoint: J'u is not known"), "{error}");
    }
}

/// The smallest fields: two dimensions have one plane, three have one and a direction that stays.
#[test]
fn few_dimensions() {
    let gpu = gpu();
    for d in [2, 3, 4] {
        let shape = Shape::new(1, 1, d);
        let table = measured(&gpu, &closed("field:rotor?omega=1", shape), &images(shape, 2), &options(d / 2)).unwrap();
        // Of two components each is the other's next and last: nothing turns.
        let want: Vec<f64> = if d == 2 { vec![0.0] } else { of_rotor(1.0, d).iter().map(|o| o.0).collect() };
        for (j, omega) in values(&table, "omega").iter().enumerate() {
            let want = want.get(j / 4).copied().unwrap_or(0.0);
            assert!((omega - want).abs() < 1e-5, "{d}: {omega} instead of {want}");
        }
    }
}

/// Spaces are compared, since of planes that turn alike any mixture will do.
#[test]
fn runs_are_compared_by_the_spaces_of_their_planes() {
    let (gpu, field) = (gpu(), closed("field:rotor?omega=2", EVEN));
    let of =
        |planes, block| measured(&gpu, &field, &images(EVEN, 2), &PlanesOptions { block, ..options(planes) }).unwrap();
    let (few, mut more) = (of(3, 2), of(5, 3));
    let found = spaces([&few, &more]).unwrap();
    assert_eq!(found.len(), 2 * 3, "timesteps, numbers of planes that both have");
    for space in &found {
        assert!((space.chance - 0.1 * space.planes as f64).abs() < 1e-12);
        // The second and the third turn alike: two of them alone need not be the same.
        assert!(space.overlap[1] <= 1.000001 && (space.planes == 2 || space.overlap[0] > 0.9999), "{space:?}");
    }
    let array = more.arrays.iter_mut().find(|a| a.name == "vectors").unwrap();
    let Numbers::F32(values) = &mut array.values else { panic!("vectors are f32") };
    for v in values.chunks_mut(20) {
        let own = v.to_vec();
        (0..10).for_each(|i| v[i] = own[9 - i]);
    }
    let found = spaces([&few, &more]).unwrap();
    assert!(
        found.iter().filter(|s| s.planes == 1).all(|s| s.overlap[1] < 0.6),
        "components in another order: {found:?}"
    );
}
