//! Columns and rows: both sides of a Jacobian are the same numbers within the errors that a run says of itself, the manifest says which
//! were taken, and a run goes on with those that it began with.
use crate::circulation::{closed, images};
use crate::cli::{DIGITS, refused, text, vorticity};
use crate::common::{gpu, measured};
use crate::curl::small_network;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use vorticity::data::Images;
use vorticity::diagnostics::{Selection, Sides};
use vorticity::error::Error;
use vorticity::field::{self, About, ClosureField, Field, Functions};
use vorticity::gpu::Gpu;
use vorticity::measures::curl::CurlOptions;
use vorticity::measures::jacobian::JacobianOptions;
use vorticity::measures::{Curl, Jacobian};
use vorticity::model::{Prediction, Process, ProcessConfig, Schedule};
use vorticity::run::{Measure, Numbers, RunDir, Settings, Shard, Subject, Table};
use vorticity::session::{How, Session};
use vorticity::shape::Shape;

const SHAPE: Shape = Shape::new(3, 5, 5);

fn values<'a>(table: &'a Table, name: &str) -> &'a [f64] {
    &table.column(name).unwrap().values
}

fn matrices(table: &Table) -> &[f32] {
    let Numbers::F32(all) = &table.array("jacobian").unwrap().values else { panic!() };
    all
}

/// The matrices of two runs, place by place, are as close as both runs' errors of an entry say; turned over they are not.
fn agree(what: &str, [columns, rows]: [&Table; 2], n: usize, entry: f64) {
    let [a, b] = [columns, rows].map(|table| values(table, "arithmetic"));
    let mut turned = 0f64;
    for (place, (one, other)) in matrices(columns).chunks(n * n).zip(matrices(rows).chunks(n * n)).enumerate() {
        let gap = |of: &dyn Fn(usize) -> usize| {
            (0..n * n).map(|i| f64::from((one[i] - other[of(i)]).abs())).fold(0.0, f64::max)
        };
        let (same, error) = (gap(&|i| i), entry * (a[place] + b[place]));
        // One rounding of f32 more: a closed form may be exact where it was looked at.
        let size = one.iter().fold(0f64, |most, v| most.max(f64::from(v.abs())));
        assert!(error.is_finite() && same <= error + 1.2e-7 * size, "{what} {place}: {same:e} apart, {error:e} said");
        turned = turned.max(gap(&|i| i % n * n + i / n) / size);
    }
    assert!(turned > 1e-4, "{what}: the matrices are too symmetric to tell rows from columns, {turned:e}");
}

/// All of a run's columns are computed again in f64: their error is then a bound, and that of both sides holds by the triangle
/// inequality.
fn both_sides(gpu: &Gpu, what: &str, field: &Arc<dyn Field>, images: &Images) {
    let (d, n) = (field.shape().len(), 6.min(field.shape().len()));
    let selection = Selection { timesteps: vec![field.process().timesteps() / 2], samples: 2, seed: 5 };
    let curl = |sides| {
        let selection = selection.clone();
        let options = CurlOptions { selection, components: n, sides, verified: 60, ..CurlOptions::default() };
        measured(gpu, field, images, &options).unwrap()
    };
    // `arithmetic` of a curl is that of a difference of two entries.
    agree(what, [&curl(Sides::Columns), &curl(Sides::Rows)], n, 0.5);
    let whole = |sides| {
        let selection = selection.clone();
        measured(gpu, field, images, &JacobianOptions { selection, sides, verified: 8 * d.min(20) }).unwrap()
    };
    if d <= 80 {
        agree(what, [&whole(Sides::Columns), &whole(Sides::Rows)], d, 1.0);
    }
}

#[test]
fn rows_and_columns_are_the_same_matrices() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    both_sides(&gpu, "tilted", &closed("field:tilted?omega=0.5", SHAPE), &images(SHAPE, 2));
    let (network, digits) = small_network(folder.path());
    both_sides(&gpu, "the trained network", &network, &digits);
    let toy = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models/toy");
    let toy = field::open(toy.to_str().unwrap(), None, field::ScoreScale::Definition).unwrap();
    both_sides(&gpu, "the network of rings", &toy, &images(toy.shape(), 2));
}

/// f_i = x_{i+1}^2 / 2 - x_i, i cyclic, with the products that are asked for.
fn cyclic(jvp: bool, vjp: bool) -> Arc<dyn Field> {
    let shape = Shape::new(1, 2, 3);
    let (d, process) = (shape.len(), Process::new(&ProcessConfig::vp(Schedule::Cosine, 1000)).unwrap());
    let all = move |x: &[f32], of: &dyn Fn(&[f32], usize) -> f32| -> Vec<f32> {
        x.chunks(d).flat_map(|x| (0..d).map(|i| of(x, i)).collect::<Vec<_>>()).collect()
    };
    let pairs = move |x: &[f32], v: &[f32], of: &dyn Fn(&[f32], &[f32], usize) -> f32| -> Vec<f32> {
        x.chunks(d).zip(v.chunks(d)).flat_map(|(x, v)| (0..d).map(|i| of(x, v, i)).collect::<Vec<_>>()).collect()
    };
    let functions = Functions::<f32> {
        values: Box::new(move |at| Ok(all(at.x, &|x, i| x[(i + 1) % d].powi(2) / 2.0 - x[i]))),
        jvp: jvp.then(|| -> field::Product<f32> {
            Box::new(move |at, v| Ok(pairs(at.x, v, &|x, v, i| x[(i + 1) % d] * v[(i + 1) % d] - v[i])))
        }),
        vjp: vjp.then(|| -> field::Product<f32> {
            Box::new(move |at, u| Ok(pairs(at.x, u, &|x, u, i| x[i] * u[(i + d - 1) % d] - u[i])))
        }),
    };
    let (prediction, data_range) = (Prediction::Score, [-1.0, 1.0]);
    let about = About { name: "cyclic".into(), shape, process, prediction, data_range, batch: 16 };
    Arc::new(ClosureField::new(about, functions, None).unwrap())
}

/// What `--sides auto` takes follows from the field: rows where they are exact and columns are not.
#[test]
fn a_field_with_cotangents_alone_is_measured_by_rows() {
    let gpu = gpu();
    let taken = |field: &Arc<dyn Field>, measure: &dyn Measure, asked: Settings| {
        let subject = Subject::new(vec![gpu.clone()], field.clone(), images(field.shape(), 1)).unwrap();
        let task = measure.task(&asked, &subject).unwrap();
        let ready = task.ready(&subject, Shard::WHOLE).map(|ready| ready.facts["options"]["sides"].clone());
        ready.map_err(|e| e.to_string())
    };
    let curl = || Settings::of(&Curl).unwrap().with("timesteps", [300]).unwrap().with("samples", 1).unwrap();
    let whole = || Settings::of(&Jacobian).unwrap().with("timesteps", [300]).unwrap().with("samples", 1).unwrap();
    for (jvp, vjp, sides) in
        [(true, true, "columns"), (true, false, "columns"), (false, true, "rows"), (false, false, "columns")]
    {
        let field = cyclic(jvp, vjp);
        assert_eq!(taken(&field, &Curl, curl()).unwrap(), sides);
        assert_eq!(taken(&field, &Jacobian, whole()).unwrap(), sides);
        let rows = taken(&field, &Curl, curl().with("sides", "rows").unwrap());
        match vjp {
            true => assert_eq!(rows.unwrap(), "rows"),
            false => assert!(rows.unwrap_err().contains("sides: rows, of a field that has no adjoint")),
        }
    }
    // Differences are of columns, whatever the field has: there is nothing to say.
    assert!(taken(&cyclic(true, true), &Curl, curl().with("method", "fd").unwrap()).unwrap().is_null());
    // The rows of a field whose columns would be differences are exact: those of one that has both.
    let table = |field: Arc<dyn Field>| {
        let pictures = images(field.shape(), 1);
        let session = Session::new(vec![gpu.clone()], field, pictures).unwrap();
        let task = session.task(&whole()).unwrap();
        session.table(task.as_ref()).unwrap()
    };
    let (exact, rows, differences) =
        (table(cyclic(true, true)), table(cyclic(false, true)), table(cyclic(false, false)));
    let off = |table: &Table| {
        let gaps = matrices(&exact).iter().zip(matrices(table)).map(|(a, b)| (a - b).abs());
        gaps.fold(0f32, f32::max)
    };
    assert_eq!(off(&rows), 0.0);
    assert!(off(&differences) > 0.0);
}

/// The manifest says which side; a run that began with one is not gone on with by the other.
#[test]
fn a_run_keeps_its_side() {
    drop(gpu());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    #[rustfmt::skip]
    let asked = [
        "curl", "field:tilted", "--data", DIGITS, "--timesteps", "100,500,900", "--samples", "3", "--components", "4",
        "--out", text(&out),
    ];
    let ran = |more: &[&str]| {
        let output = vorticity(&[&asked[..], more].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
        fs::remove_dir_all(&out).unwrap();
        manifest["options"]["sides"].as_str().map(String::from)
    };
    assert_eq!(ran(&[]).as_deref(), Some("columns"));
    assert_eq!(ran(&["--sides", "columns"]).as_deref(), Some("columns"));
    assert_eq!(ran(&["--sides", "rows"]).as_deref(), Some("rows"));
    assert_eq!(ran(&["--method", "both", "--sides", "rows"]).as_deref(), Some("rows"));
    assert_eq!(ran(&["--method", "fd"]), None);
    refused(&[&asked[..], &["--sides", "left"]].concat(), 2, &["left", "--sides"], &out);

    // Columns that were stopped after their first record are kept for columns.
    let gpu = gpu();
    let session = Session::new(vec![gpu.clone()], closed("field:tilted", SHAPE), images(SHAPE, 3)).unwrap();
    let task = |sides: &str| {
        let asked = Settings::of(&Curl).unwrap().with("timesteps", [100, 900]).unwrap().with("samples", 3).unwrap();
        session.task(&asked.with("components", 4).unwrap().with("sides", sides).unwrap()).unwrap()
    };
    let how = || How { out: Some(RunDir::create(&out).unwrap()), ..How::default() };
    let mut seen = 0;
    let stopped = session.run(task("columns").as_ref(), how(), &mut |_| {
        seen += 1;
        if seen > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stopped, Err(Error::Interrupted)));
    let error = session.run(task("rows").as_ref(), how(), &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(error.contains("belongs to another run: options.sides: found \"columns\", expected \"rows\""), "{error}");
    // What `auto` means here is columns: it goes on with them.
    let finished = session.run(task("auto").as_ref(), how(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(finished.recorded > 0);
}
