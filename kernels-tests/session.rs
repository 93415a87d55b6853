//! The library as another program holds it: every measure by its defaults made small, from another thread; interrupted by its
//! observer and resumed to the same bytes; in shards, merged; predicted; and what it refuses.
use crate::common::gpu;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use vorticity::error::Error;
use vorticity::gpu::Gpu;
use vorticity::measures::{Asymmetry, Circulation, Curl, Jacobian, Likelihood, MEASURES, Stein};
use vorticity::run::{Measure, RunDir, Settings, Shard};
use vorticity::session::{Found, How, Opening, Session, State, merge};
use vorticity::shape::Shape;

fn go_on(_: &State) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A closed form whose answer nobody needs to know here: what is compared are bytes.
fn open(gpu: &Gpu) -> Session {
    let opening = Opening::new("field:tilted?omega=0.5", "data:gaussian?seed=4", 5).shaped(Shape::new(1, 3, 3));
    opening.open().unwrap().on(vec![gpu.clone()], 0).unwrap()
}

/// The defaults of a measure, of few samples and timesteps, and whatever else makes it small.
fn small(measure: &'static dyn Measure) -> Settings {
    let mut asked = Settings::of(measure).unwrap();
    let small: &[(&str, &str)] = &[
        ("samples", "5"),
        ("timesteps", "100,400,900"),
        ("points", "20"),
        ("components", "4"),
        ("probes", "3"),
        ("levels", "continuous"),
    ];
    let own = measure.parameters();
    for (name, value) in small.iter().filter(|(name, _)| own.iter().any(|p| p.name == *name)) {
        asked.set(name, *value).unwrap();
    }
    asked
}

/// Every file of a run but its log, which tells the time.
fn files(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(run)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("run_log.json"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 3, "{found:?}");
    found
}

fn how(out: &Path, shard: Shard) -> How {
    How { shard, out: Some(RunDir::create(out).unwrap()), command: vec!["session test".into()] }
}

#[test]
fn handles_can_be_sent_and_shared() {
    fn all<T: Clone + Send + Sync + 'static>() {}
    all::<Session>();
    all::<vorticity::run::Subject>();
    fn sent<T: Send + 'static>() {}
    sent::<vorticity::evaluate::Evaluator>();
    sent::<Box<dyn vorticity::run::Task>>();
}

/// Whole, stopped and resumed as often as it takes, and in two shards: one set of files.
#[test]
fn every_measure_runs_from_another_thread_goes_on_and_merges() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let session = open(&gpu);
    let at = |name: String| folder.path().join(name);
    for measure in MEASURES {
        let (own, whole) = (session.clone(), at(format!("{measure}")));
        let out = whole.clone();
        let finished = thread::spawn(move || {
            let task = own.task(&small(*measure)).unwrap();
            own.run(task.as_ref(), how(&out, Shard::WHOLE), &mut go_on).unwrap()
        });
        let finished = finished.join().unwrap();
        let Found::Table(table) = &finished.found else { panic!("{measure}: a shard of a whole run") };
        assert_eq!(table.measure.name(), measure.name());
        assert!(finished.evaluations > 0 && finished.recorded == 0 && finished.marked.lines().next().is_none());
        assert!(finished.found.text().unwrap().len() > 100 && !finished.found.rows().unwrap().is_empty());
        let log: serde_json::Value = serde_json::from_slice(&fs::read(whole.join("run_log.json")).unwrap()).unwrap();
        assert_eq!((&log["evaluations"], &log["command"][0]), (&finished.evaluations.into(), &"session test".into()));

        let (task, resumed) = (session.task(&small(*measure)).unwrap(), at(format!("{measure}-resumed")));
        // Stopped whenever something new is recorded, and started again.
        let journal = at(format!("{measure}-resumed.partial/journal"));
        let (mut starts, mut recorded) = (0, 0);
        loop {
            starts += 1;
            assert!(starts < 100, "{measure} does not come to an end");
            let mut prepared = session.prepare(task.as_ref(), how(&resumed, Shard::WHOLE)).unwrap();
            assert!(prepared.recorded().0 >= recorded, "{measure} forgets");
            recorded = prepared.recorded().0;
            let before = fs::metadata(&journal).unwrap().len();
            let finished = prepared.run(&mut |_| match fs::metadata(&journal).unwrap().len() > before {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            });
            match finished {
                Ok(finished) => break assert_eq!(finished.recorded, recorded, "{measure}"),
                Err(Error::Interrupted) => assert!(prepared.kept().is_some(), "{measure} keeps nothing"),
                Err(e) => panic!("{measure}: {e}"),
            }
        }
        assert!(starts > 1, "{measure} was not interrupted");
        assert!(files(&resumed) == files(&whole), "{measure} resumed");

        let shards = [1, 2].map(|number| {
            let out = at(format!("{measure}-{number}"));
            let shard = Shard::new(number, 2).unwrap();
            let part = session.run(task.as_ref(), how(&out, shard), &mut go_on).unwrap();
            assert!(matches!(part.found, Found::Shard(_)) && part.found.shard() == shard);
            out
        });
        let merged = at(format!("{measure}-merged"));
        merge(&shards, RunDir::fresh(&merged).unwrap(), vec![]).unwrap();
        assert!(files(&merged) == files(&whole), "{measure} merged");
    }
}

#[test]
fn a_table_needs_no_directory_and_a_task_runs_once() {
    let gpu = gpu();
    let session = open(&gpu);
    let task = session.task(&small(&Curl)).unwrap();
    let table = session.table(task.as_ref()).unwrap();
    assert_eq!(table.shape(), [3, 5]);
    let mut prepared = session.prepare(task.as_ref(), How::default()).unwrap();
    let cost = prepared.about().cost;
    // 15 places of a value and four tangents; four columns by the twin.
    assert_eq!((cost.evaluations, cost.checks, cost.at_most), (75, 4, false));
    let predicted = prepared.predict(&mut go_on).unwrap();
    assert!(predicted.seconds > 0.0 && predicted.timed.0 > 0, "{predicted:?}");
    let error = prepared.run(&mut go_on).unwrap_err().to_string();
    assert!(error.contains("curl: has run already"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let gpu = gpu();
    let session = open(&gpu);
    let says = |name: &str, value: &str| small(&Circulation).with(name, value).map(drop).unwrap_err().to_string();
    assert!(says("component", "4").contains("circulation: has no parameter 'component', expected one of paths"));
    assert!(says("points", "many").contains("points: 'many' is no whole number from 0"));
    assert!(says("points", "-3").contains("points: '-3' is no whole number from 0"));
    assert!(says("tol", "little").contains("tol: 'little' is no number"));
    assert!(says("quadrature", "simpson").contains("quadrature: 'simpson' is not one of midpoint, adaptive"));
    assert!(says("timesteps", "9..1").contains("timesteps: '9..1' is empty"));
    let error = small(&Circulation).with("points", -3).map(drop).unwrap_err().to_string();
    assert!(error.contains("points: Number(-3.0) is given, expected Count"), "{error}");
    // What a type allows, the measure may not.
    let asked = small(&Curl).with("components", 10).unwrap();
    let task = session.task(&asked).unwrap();
    let error = session.table(task.as_ref()).map(|t| t.measure).unwrap_err().to_string();
    assert!(error.contains("components: 10, expected 2..=9"), "{error}");
    // Numbers that no run could have.
    let most = u64::MAX.to_string();
    for (measure, name, said) in [
        (&Asymmetry as &'static dyn Measure, "probes", "evaluator tangents: 18446744073709551615 at a time"),
        (&Stein, "probes", "evaluator tangents: 18446744073709551615 at a time"),
        (&Likelihood, "probes", "evaluator tangents: 18446744073709551615 at a time"),
        (&Asymmetry, "verify", "verify: 18446744073709551615 checks in f64, expected at most 1048576"),
        (&Jacobian, "verify", "verify: 18446744073709551615 checks in f64"),
    ] {
        let task = session.task(&small(measure).with(name, most.as_str()).unwrap()).unwrap();
        let error = session.table(task.as_ref()).map(|t| t.measure).unwrap_err().to_string();
        assert!(error.contains(said), "{measure}: {error}");
    }
    // Two devices, where a measure runs on one.
    let two = Opening::new("field:gaussian", "data:gaussian", 5).shaped(Shape::new(1, 3, 3));
    let two = two.open().unwrap().on(vec![gpu.clone(), gpu.clone()], 0).unwrap();
    let task = two.task(&small(&Curl)).unwrap();
    let error = two.table(task.as_ref()).map(|t| t.measure).unwrap_err().to_string();
    assert!(error.contains("devices: 2 of them, expected one: curl runs on one"), "{error}");
    let task = two.task(&small(&Circulation)).unwrap();
    assert_eq!(two.table(task.as_ref()).unwrap().shape(), [3, 3, 5]);
}

/// What every parameter says of itself fits together: names are not repeated, defaults are read, exclusions exist.
#[test]
fn every_parameter_has_a_name_a_kind_and_a_sentence() {
    for measure in MEASURES {
        let own = measure.parameters();
        for (i, parameter) in own.iter().enumerate() {
            let name = parameter.name;
            assert!(own[..i].iter().all(|other| other.name != name), "{measure}: {name} twice");
            assert!(parameter.help.len() > 10, "{measure}: {name} says nothing");
            assert!(parameter.excludes.iter().all(|e| own.iter().any(|p| p.name == *e)), "{measure}: {name}");
        }
        Settings::of(*measure).unwrap();
        assert!(
            ["samples", "seed", "timesteps", "verify"].iter().all(|name| {
                own.iter().any(|p| p.name == *name || (*name == "verify" && p.name == "verify-fraction"))
            })
        );
    }
}
