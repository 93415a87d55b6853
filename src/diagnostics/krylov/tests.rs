//! The solvers on dense matrices whose spectra are known: repeated values, zeros, odd and smallest dimensions, more planes than the
//! rank, and independence of company.
use super::*;
use crate::paths::philox::{Purpose, Stream};
use nalgebra::{DMatrix, QR};

const STEPS: usize = 200;

fn stream(sample: u32) -> Stream {
    Stream { seed: 7, purpose: Purpose::Krylov, draw: 0, sample, k: 3 }
}

fn limits(tolerance: f64) -> Limits {
    Limits { steps: STEPS, tolerance, floor: 1e-14 }
}

/// An orthogonal matrix.
fn orthogonal(n: usize) -> DMatrix<f64> {
    let z = crate::paths::normal::normals(&Stream { draw: 999, ..stream(0) }, n * n);
    QR::new(DMatrix::from_vec(n, n, z)).q()
}

/// The antisymmetric matrix that turns so fast, in planes that look random.
fn turning(n: usize, omegas: &[f64]) -> DMatrix<f64> {
    let mut a = DMatrix::zeros(n, n);
    for (j, omega) in omegas.iter().enumerate() {
        (a[(2 * j, 2 * j + 1)], a[(2 * j + 1, 2 * j)]) = (*omega, -omega);
    }
    let q = orthogonal(n);
    &q * a * q.transpose()
}

fn symmetric(n: usize, values: impl Fn(usize) -> f64) -> DMatrix<f64> {
    let q = orthogonal(n);
    &q * DMatrix::from_fn(n, n, |i, j| if i == j { values(i) } else { 0.0 }) * q.transpose()
}

fn products(j: &DMatrix<f64>, asked: &Vectors) -> Vectors {
    let times = |j: &DMatrix<f64>, all: &[Vec<f64>]| -> Vec<Vec<f64>> {
        all.iter().map(|v| (j * nalgebra::DVector::from_column_slice(v)).as_slice().to_vec()).collect()
    };
    Vectors { forward: times(j, &asked.forward), reverse: times(&j.transpose(), &asked.reverse) }
}

/// Solves problems of these matrices, all at once.
fn run<P: Problem>(matrices: &[DMatrix<f64>], mut problems: Vec<P>) -> Vec<P> {
    let multiply = |numbers: &[usize], asked: Vec<Vectors>| {
        Ok(numbers.iter().zip(&asked).map(|(&i, asked)| products(&matrices[i], asked)).collect())
    };
    while round(&mut problems, multiply).unwrap() {}
    problems
}

fn planes_of(j: &DMatrix<f64>, count: usize, block: usize, sample: u32) -> Planes {
    let probes = (0..6).map(|p| {
        let own = Stream { purpose: Purpose::Probe, draw: p, ..stream(sample) };
        own.signs(j.nrows()).into_iter().map(f64::from).collect()
    });
    Planes::new(j.nrows(), count, block, limits(1e-9), stream(sample), probes.collect())
}

fn planes(j: &DMatrix<f64>, count: usize, block: usize) -> Planes {
    run(std::slice::from_ref(j), vec![planes_of(j, count, block, 0)]).remove(0)
}

/// Omegas as expected, small residuals, and vectors that are orthonormal, all of them.
fn hold(found: &Planes, expected: &[f64]) {
    let own = found.found();
    assert_eq!(own.len(), expected.len());
    for (plane, omega) in own.iter().zip(expected) {
        assert!((plane.omega - omega).abs() < 1e-7 * expected[0].max(1e-3), "{} instead of {omega}", plane.omega);
        assert!(plane.residual < 1e-6 * expected[0].max(1e-3), "{:e}", plane.residual);
        let length = |i: usize| plane.u[i].powi(2) + plane.w[i].powi(2);
        let longest = (0..plane.u.len()).map(length).fold(0.0, f64::max);
        let in_phase = |i: usize| length(i) > 0.999999 * longest && plane.w[i] == 0.0 && plane.u[i] > 0.0;
        assert!((0..plane.u.len()).any(in_phase), "the phase");
    }
    let all: Vec<&Vec<f64>> = own.iter().flat_map(|p| [&p.u, &p.w]).collect();
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            assert!((dot(a, b) - f64::from(u8::from(i == j))).abs() < 1e-6, "{i} {j}: {}", dot(a, b));
        }
    }
    let (size, error) = found.frobenius();
    assert!(size >= 0.0 && error >= 0.0, "{size} ± {error}");
}

#[test]
fn planes_of_random_matrices() {
    // Beside a symmetric part that is a hundred times larger, which they must not see.
    for n in [2, 3, 5, 8, 31, 60] {
        let omegas: Vec<f64> = (0..n / 2).map(|j| 3.0 * 0.7f64.powi(j as i32)).collect();
        let j = turning(n, &omegas) + symmetric(n, |i| 300.0 * (i as f64).sin());
        for block in [1, 2, 3] {
            let count = (n / 2).min(4);
            hold(&planes(&j, count, block), &omegas[..count]);
        }
    }
}

#[test]
fn planes_that_repeat_are_all_found() {
    let twice = turning(41, &[2.0, 2.0, 1.5, 1.0, 1.0, 0.5, 0.25]);
    hold(&planes(&twice, 5, 2), &[2.0, 2.0, 1.5, 1.0, 1.0]);
    // All alike: every space closes at once, and goes on in its complement.
    let alike = turning(12, &[0.5; 6]);
    for block in [1, 2, 4] {
        hold(&planes(&alike, 6, block), &[0.5; 6]);
    }
}

#[test]
fn more_planes_than_turn() {
    let j = turning(30, &[3.0]) + symmetric(30, |i| i as f64);
    hold(&planes(&j, 4, 2), &[3.0, 0.0, 0.0, 0.0]);
    let size = planes(&j, 4, 2).frobenius();
    assert!((size.0 - 18.0).abs() < 1e-6 && size.1 < 1e-6, "{size:?}");
    // A gradient does not turn; its planes are orthonormal all the same.
    let none = DMatrix::identity(7, 7) * -2.0;
    let found = planes(&none, 3, 2);
    hold(&found, &[0.0; 3]);
    assert!(found.found().iter().all(|p| p.omega == 0.0 && p.residual == 0.0));
    assert_eq!(found.frobenius(), (0.0, 0.0));
}

#[test]
fn the_size_of_a_is_within_its_error() {
    // A slow spectrum, most of which lies beyond the planes that are found.
    let omegas: Vec<f64> = (0..50).map(|j| 1.0 / (1.0 + 0.1 * f64::from(j))).collect();
    let (j, want) = (turning(100, &omegas), omegas.iter().map(|o| 2.0 * o * o).sum::<f64>());
    let mut far = 0;
    for sample in 0..20 {
        let found = run(std::slice::from_ref(&j), vec![planes_of(&j, 2, 2, sample)]).remove(0);
        let (size, error) = found.frobenius();
        assert!(error > 0.0 && (size - want).abs() < 6.0 * error, "{size} ± {error} instead of {want}");
        far += u32::from((size - want).abs() > 2.0 * error);
    }
    assert!(far <= 5, "{far} of 20 beyond two standard errors");
}

#[test]
fn company_changes_nothing() {
    let matrices: Vec<DMatrix<f64>> = (0..5).map(|i| turning(20 + i, &[2.0, 1.0 + 0.2 * i as f64, 0.5])).collect();
    let problem = |(i, j): (usize, &DMatrix<f64>)| planes_of(j, 2, 2, i as u32);
    let together = run(&matrices, matrices.iter().enumerate().map(problem).collect());
    for (i, j) in matrices.iter().enumerate() {
        let alone = run(std::slice::from_ref(j), vec![problem((i, j))]);
        assert_eq!((alone[0].found(), alone[0].frobenius()), (together[i].found(), together[i].frobenius()));
    }
}

#[test]
fn steps_are_limited_and_residuals_honest() {
    let omegas: Vec<f64> = (0..40).map(|j| 1.0 - 0.01 * f64::from(j)).collect();
    let j = turning(80, &omegas);
    let short = Planes::new(80, 2, 2, Limits { steps: 3, ..limits(1e-9) }, stream(0), vec![vec![1.0; 80]; 2]);
    let found = run(std::slice::from_ref(&j), vec![short]).remove(0);
    assert_eq!(found.steps(), 3);
    for plane in found.found() {
        let (mut au, mut aw) = (turned(&j, &plane.u), turned(&j, &plane.w));
        add(&mut aw, -plane.omega, &plane.u);
        add(&mut au, plane.omega, &plane.w);
        assert!((plane.residual - norm(&au).hypot(norm(&aw))).abs() < 1e-12 && plane.residual > 1e-3);
        // A is normal: within the residual of every approximate value there is one.
        assert!(omegas.iter().any(|o| (o - plane.omega).abs() <= plane.residual));
    }
    // What is not finite ends at once.
    let nan = DMatrix::from_element(4, 4, f64::NAN);
    let found = planes(&nan, 2, 2);
    assert!(found.found().len() == 2 && found.found().iter().all(|p| p.omega.is_nan() && p.u[0].is_nan()));
}

/// A v
fn turned(j: &DMatrix<f64>, v: &[f64]) -> Vec<f64> {
    let both = products(j, &Vectors::both(vec![v.to_vec()]));
    super::lanczos::Half::Antisymmetric.of(&both.forward[0], &both.reverse[0])
}

#[test]
fn both_ends_of_a_spectrum() {
    for n in [1, 2, 3, 10, 64] {
        // Beside a part that turns, which it must not see.
        let value = |i: usize| if n == 1 { -2.0 } else { -10.0 * (1.0 - i as f64 / (n - 1) as f64).powi(3) };
        let j = symmetric(n, value) + turning(n, &vec![50.0; n / 2]);
        let count = n.min(3);
        let found = run(std::slice::from_ref(&j), vec![Ends::new(n, count, 2, limits(1e-9), stream(1))]).remove(0);
        let pairs = found.found();
        assert_eq!(pairs.len(), 2 * count);
        for (i, pair) in pairs.iter().enumerate() {
            let want = if i < count { value(i) } else { value(n - 1 - (i - count)) };
            assert!((pair.value - want).abs() < 1e-6 && pair.residual < 1e-4, "{n} {i}: {pair:?} {want}");
        }
    }
    // Repeated values, and a multiple of the identity, where every vector is one.
    let j = symmetric(20, |i| if i < 2 { -4.0 } else { 1.0 });
    let found = run(std::slice::from_ref(&j), vec![Ends::new(20, 2, 2, limits(1e-9), stream(1))]).remove(0);
    let values: Vec<f64> = found.found().iter().map(|p| (p.value * 1e6).round() / 1e6).collect();
    assert_eq!(values, [-4.0, -4.0, 1.0, 1.0]);
    let alike = DMatrix::identity(9, 9) * -0.25;
    let found = run(std::slice::from_ref(&alike), vec![Ends::new(9, 2, 2, limits(1e-9), stream(1))]).remove(0);
    assert!(found.found().iter().all(|p| (p.value + 0.25).abs() < 1e-7 && p.residual < 1e-7));
}

#[test]
fn largest_singular_values() {
    for n in [1, 2, 3, 20, 50] {
        let j = symmetric(n, |i| (i as f64 + 1.0).sin())
            + turning(n, &(1..=n / 2).map(|i| i as f64 / 5.0).collect::<Vec<_>>());
        for (shift, scale) in [(0.0, 1.0), (2.0, -0.5)] {
            let m = DMatrix::identity(n, n) * shift + &j * scale;
            let want = nalgebra::SVD::new(m, false, false).singular_values[0];
            for first in [Side::Forward, Side::Reverse] {
                let problem = Singular::new(n, Affine { shift, scale }, first, limits(1e-9), [stream(1), stream(2)]);
                let found = run(std::slice::from_ref(&j), vec![problem]).remove(0);
                let t = found.found().unwrap();
                assert!((t.value - want).abs() < 1e-6 * want && t.residual < 1e-5 * want, "{n}: {} {want}", t.value);
            }
        }
    }
    let zero = DMatrix::zeros(6, 6);
    let problem =
        Singular::new(6, Affine { shift: 0.0, scale: 1.0 }, Side::Forward, limits(1e-9), [stream(1), stream(2)]);
    let found = run(std::slice::from_ref(&zero), vec![problem]).remove(0);
    assert_eq!(found.found().map(|t| (t.value, t.residual)), Some((0.0, 0.0)));
}
