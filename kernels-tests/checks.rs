//! Checks in f64, several at once: as many as the field allows, with the same bits in the same order; one that fails is the run's
//! error, and what was checked before it is kept.
use crate::circulation::{closed, images};
use crate::common::gpu;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use vorticity::diagnostics::{Selection, Sides};
use vorticity::dual::Dual;
use vorticity::error::{Error, Result};
use vorticity::field::{Field, FieldLaunch};
use vorticity::measures::jacobian::JacobianOptions;
use vorticity::model::Process;
use vorticity::run::{RunDir, Table};
use vorticity::session::{Finished, Found, How, Session};
use vorticity::shape::Shape;

const SHAPE: Shape = Shape::new(1, 3, 4);
const CHECKS: usize = 9;

/// A field whose twin takes its time, counts how many of it there are at once, and fails when it is asked for one of some number.
struct Slow {
    inner: Arc<dyn Field>,
    at_once: usize,
    running: AtomicUsize,
    most: AtomicUsize,
    asked: AtomicUsize,
    fails: usize,
}

impl Field for Slow {
    fn shape(&self) -> Shape {
        self.inner.shape()
    }
    fn process(&self) -> &Process {
        self.inner.process()
    }
    fn coefficients(&self, k: usize) -> Result<(f64, f64)> {
        self.inner.coefficients(k)
    }
    fn launch(&self, cx: FieldLaunch) -> Result<()> {
        self.inner.launch(cx)
    }
    fn has_tangents(&self) -> bool {
        true
    }
    fn twins_at_once(&self) -> usize {
        self.at_once
    }
    fn twin(&self, x: &[Dual], k: usize, sample: usize) -> Result<Vec<Dual>> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == self.fails {
            return Err(Error::invalid("twin", "fails as it was told to"));
        }
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30));
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.inner.twin(x, k, sample)
    }
    fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "name": "slow" })
    }
}

fn slow(at_once: usize, fails: usize) -> Arc<Slow> {
    let [running, most, asked] = [(); 3].map(|()| AtomicUsize::new(0));
    Arc::new(Slow { inner: closed("field:tilted?omega=0.5", SHAPE), at_once, running, most, asked, fails })
}

#[test]
fn as_many_checks_as_are_allowed_go_on_at_once() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let options = JacobianOptions {
        selection: Selection { timesteps: vec![100, 500, 900], samples: 2, seed: 3 },
        sides: Sides::Columns,
        verified: CHECKS,
    };
    let out = folder.path().join("out");
    let run = |field: &Arc<Slow>, out: Option<RunDir>| -> Result<Finished> {
        let session = Session::new(vec![gpu.clone()], field.clone(), images(SHAPE, 2)).unwrap();
        session.run(&options, How { out, ..How::default() }, &mut |_| ControlFlow::Continue(()))
    };
    let bits = |finished: Finished| -> Vec<Vec<u64>> {
        let Found::Table(Table { columns, .. }) = finished.found else { panic!() };
        columns.iter().map(|c| c.values.iter().map(|v| v.to_bits()).collect()).collect()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all = vec![];
    for at_once in [1, 2, CHECKS] {
        let field = slow(at_once, usize::MAX);
        all.push(bits(run(&field, None).unwrap()));
        assert_eq!(field.most.load(Ordering::SeqCst), at_once.min(cores), "{at_once} allowed on {cores} cores");
        assert_eq!(field.asked.load(Ordering::SeqCst), CHECKS);
    }
    assert!(all.iter().all(|own| *own == all[0]), "how many at once changes bits");

    // The sixth fails: the five before it, or the whole rounds that they are of, are in the journal and not asked for again.
    let field = slow(2, 5);
    let error = run(&field, Some(RunDir::create(&out).unwrap())).unwrap_err().to_string();
    assert!(error.contains("twin: fails as it was told to"), "{error}");
    let before = field.asked.load(Ordering::SeqCst);
    let resumed = bits(run(&field, Some(RunDir::create(&out).unwrap())).unwrap());
    let kept = CHECKS - (field.asked.load(Ordering::SeqCst) - before);
    assert!((4..=5).contains(&kept), "{kept} of the checks were kept");
    assert_eq!(resumed, all[0]);
}
