//! What ceilings are measured with computes what it says, on this adapter; the rates are those of one machine: a GEMM is
//! not faster than multiply-adds in registers, a submission not shorter than a dispatch in one.
use crate::common::{families, gpu, noise};
use vorticity::ceilings::{self, Bound, Ceilings, Probe, RECURRENCE, ROWS, SIDE, STEPS, THREADS};
use vorticity::gpu::{Executor, Gpu};
use vorticity::program::Role;
use vorticity::target::KernelFamily;

/// Two lanes of the probe's output, from as much input as that needs.
fn run(gpu: &Gpu, mut probe: Probe, input: &[f32]) -> Vec<f32> {
    probe.program.buffers[probe.output.0].role = Role::Download;
    if let Some(id) = probe.input {
        probe.program.buffers[id.0].role = Role::Upload;
    }
    let mut executor = Executor::new(gpu, probe.program, 2).unwrap();
    if let Some(id) = probe.input {
        executor.upload(id, input).unwrap();
    }
    executor.run(2, probe.output).unwrap()
}

#[test]
fn probes_compute_what_they_say() {
    let gpu = gpu();
    for family in families(&gpu) {
        let x = noise(2 << 18, 1);
        assert_eq!(run(&gpu, ceilings::copy(family).unwrap(), &x), x);
    }

    let a = noise(2 * ROWS * SIDE, 2);
    let (b, y) = (ceilings::right(), run(&gpu, ceilings::gemm().unwrap(), &a));
    assert_eq!(y.len(), 2 * ROWS * SIDE);
    // Rows and columns in every part of the tiles of both lanes.
    for row in (0..2 * ROWS).step_by(19) {
        for column in (0..SIDE).step_by(37) {
            let terms = (0..SIDE).map(|k| f64::from(a[row * SIDE + k]) * f64::from(b[k * SIDE + column]));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
            let gap = (f64::from(y[row * SIDE + column]) - sum).abs();
            assert!(gap <= 1e-5 * size, "row {row}, column {column}: off by {gap:e} of {size}");
        }
    }

    let y = run(&gpu, ceilings::multiply_add().unwrap(), &[]);
    assert_eq!(y.len(), 2 * 4 * THREADS);
    let [m, c] = RECURRENCE.map(f64::from);
    for i in (0..2 * THREADS).step_by(331) {
        for component in 0..4 {
            let chain = |start: usize| (0..STEPS).fold((i % 64 + start) as f64, |a, _| m * a + c);
            let want: f64 = (0..4).map(|j| chain(component + 4 * j)).sum();
            let gap = (f64::from(y[4 * i + component]) - want).abs();
            assert!(gap <= 1e-4 * want, "thread {i}: off by {gap:e} of {want}");
        }
    }
}

#[test]
fn rates_fit_together() {
    let gpu = gpu();
    let Ceilings { multiply_add, gemm, bandwidth, dispatch, submission } = ceilings::measure(&gpu, 3).unwrap();
    assert!(gemm > 1e8 && multiply_add < 1e16, "{multiply_add:e} and {gemm:e} FLOP/s");
    assert!(gemm < 1.2 * multiply_add, "GEMM {gemm:e} FLOP/s, in registers {multiply_add:e}");
    assert!(bandwidth > 1e8 && bandwidth < 1e14, "{bandwidth:e} bytes/s");
    assert!(submission > 0.0 && submission < 0.1, "{submission} s");
    // One more dispatch costs less than a submission; where other work has the cores a few times as much was seen.
    assert!(dispatch < 10.0 * submission, "{dispatch} s, a submission {submission} s");
}

/// By hand: 100 FLOP/s in registers, 40 in a GEMM, 10 bytes/s.
#[test]
fn the_roof_is_the_lower_of_two() {
    let ceilings = Ceilings { multiply_add: 100.0, gemm: 40.0, bandwidth: 10.0, dispatch: 0.0, submission: 0.0 };
    assert_eq!(ceilings.roof(KernelFamily::Cpu, 200.0, 10.0), (2.0, Bound::Compute));
    assert_eq!(ceilings.roof(KernelFamily::Gpu, 200.0, 10.0), (5.0, Bound::Compute));
    assert_eq!(ceilings.roof(KernelFamily::Cpu, 200.0, 30.0), (3.0, Bound::Memory));
    assert_eq!(ceilings.roof(KernelFamily::Cpu, 0.0, 30.0), (3.0, Bound::Memory));
}
