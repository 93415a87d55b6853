//! Several devices on one job, and runs cut into submissions: who ran what, and in how many pieces, changes no bit. A
//! machine with one adapter opens two devices on it.
use crate::circulation::{closed, images, options, run};
use crate::common::{bounds, choice, gpu, noise};
use std::ops::ControlFlow;
use vorticity::error::{Error, Result};
use vorticity::evaluate::Room;
use vorticity::field::{self, ScoreScale};
use vorticity::gpu::{AdapterChoice, AdapterSummary, Executor, Gpu, all_of};
use vorticity::measures::circulation::{CirculationRun, Options};
use vorticity::program::{Access, Action, BufferId, Builder, Grid, Immediate, Kernel, LaneRole, Program, Role, Step};
use vorticity::run::{Progress, Table};
use vorticity::shape::Shape;
use vorticity::sweep::{self, Devices, Job};
use vorticity::target::{KernelFamily, Target};

/// One more device on the adapter under test.
fn another() -> Gpu {
    Gpu::open_within(&choice(), bounds()).unwrap()
}

pub fn bits(result: &Table) -> Vec<Vec<u64>> {
    result.columns.iter().map(|c| c.values.iter().map(|v| v.to_bits()).collect()).collect()
}

#[test]
fn two_devices_give_the_bits_of_one() {
    let gpu = gpu();
    let (shape, pair) = (Shape::new(2, 5, 7), [gpu.clone(), another()]);
    let (field, images) = (closed("field:tilted?omega=0.5", shape), images(shape, 3));
    let options = |tile| Options { tile, ..options(&["brownian", "rotation"], &[0, 400, 999], 3, 20) };
    let one = run(&gpu, &field, &images, options(None));
    for tile in [Some(1), Some(7), None] {
        let job = CirculationRun::on(&pair, &field, &images, options(tile)).unwrap();
        let total = job.evaluations();
        let (two, log) = job.measure(&mut Progress::new(&mut |_| ControlFlow::Continue(()))).unwrap();
        let two = two.finish().unwrap();
        assert_eq!(bits(&one), bits(&two), "tile {tile:?}");
        // Every query was run once, in order, by one of the two; neighbours in the log are of different devices.
        let mut next = 0;
        for span in &log.spans {
            assert_eq!((span.sweep, span.first), (0, next), "{log:?}");
            next += span.queries;
        }
        assert_eq!(next, total);
        assert!(log.spans.windows(2).all(|s| s[0].device + s[1].device == 1), "{log:?}");
        assert!(log.failures.is_empty());
    }
}

/// Lane i of y is `add` more than lane i of x, `steps` times; `flops` is what a step says it takes.
pub fn adder(steps: usize, add: u32, flops: u64) -> (Program, [BufferId; 2]) {
    let mut program = Builder::new(Target::of(KernelFamily::Gpu), 0);
    program.shader("adder", include_str!("adder.wgsl"));
    let x = program.buffer("x", 4, Role::Upload);
    let y = program.buffer("y", 4, Role::Download);
    let mut from = x;
    for i in 0..steps {
        let to = if i + 1 == steps { y } else { program.buffer(format!("middle {i}"), 4, Role::Scratch) };
        program.push(Step {
            label: format!("adder {i}"),
            op: "adder",
            kernel: Kernel { shader: "adder", constants: vec![] },
            bindings: vec![("x", from, Access::Read), ("y", to, Access::Write)],
            role: LaneRole::All,
            immediates: vec![("add", add)],
            grid: Grid { items: 1, workgroup: 64, groups: 1 },
            flops,
            bytes: 8,
        });
        from = to;
    }
    (program.finish().unwrap(), [x, y])
}

const WIDE: &str = "struct W { lanes: u32, v: vec2u } var<immediate> im: W; @compute @workgroup_size(1) fn main() {}";
const BARE: &str = "var<immediate> im: u32; @compute @workgroup_size(1) fn main() {}";

/// A step gives the words of its shader's struct by name and in order, or does not run.
#[test]
fn immediates_are_given_by_name() {
    let gpu = gpu();
    let run = |shader: &'static str, words: &[Immediate]| {
        let (mut program, _) = adder(1, 0, 1);
        program.sources.extend([("pair", PAIR.into()), ("wide", WIDE.into()), ("bare", BARE.into())]);
        let Some(Action::Dispatch(step, _)) = program.actions.last_mut() else { panic!("no step") };
        step.kernel.shader = shader;
        step.immediates = words.to_vec();
        Executor::new(&gpu, program, 4).map(|_| ()).map_err(|e| e.to_string())
    };
    let pair = [("first", 1), ("second", 2)];
    assert_eq!(run("adder", &[("add", 1)]), Ok(()));
    assert_eq!(run("pair", &pair), Ok(()));
    for (shader, words, given, expected) in [
        ("adder", vec![], "lanes", "lanes, add"),
        ("adder", vec![("sum", 1)], "lanes, sum", "lanes, add"),
        ("adder", vec![("add", 1), ("more", 1)], "lanes, add, more", "lanes, add"),
        ("pair", vec![pair[1], pair[0]], "lanes, second, first", "lanes, first, second"),
    ] {
        let error = run(shader, &words).unwrap_err();
        let named = error.contains("adder 0") && error.contains(&format!("shader {shader}"));
        let both = error.contains(&format!("immediates {given} given, the shader has {expected}"));
        assert!(named && both, "{error}");
    }
    for (shader, message) in [("wide", "'v' is not one word"), ("bare", "not a struct")] {
        let error = run(shader, &[]).unwrap_err();
        assert!(error.contains(&format!("shader {shader}")) && error.contains(message), "{error}");
    }
}

/// The adder with two words.
const PAIR: &str = "
    struct Immediates { lanes: u32, first: u32, second: u32 }
    var<immediate> im: Immediates;
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if id.x < im.lanes { y[id.x] = x[id.x] + f32(im.first - im.second); }
    }";

/// Adds 3 to every query, and fails where it is told to.
struct Count {
    ports: [BufferId; 2],
    prepared: usize,
    /// The call of `prepare` at which a device is lost.
    lost: usize,
    /// The query whose result is refused.
    refused: Option<u64>,
    found: Vec<f32>,
}

impl Job for Count {
    fn prepare(&mut self, executor: &Executor, first: u64, lanes: usize) -> Result<()> {
        self.prepared += 1;
        if self.prepared == self.lost {
            return Err(Error::DeviceLost { place: "a test".into(), message: "unplugged".into() });
        }
        let x: Vec<f32> = (first..first + lanes as u64).map(|i| i as f32).collect();
        executor.upload(self.ports[0], &x)
    }

    fn collect(&mut self, first: u64, lanes: usize, id: BufferId, values: &[f32]) -> Result<()> {
        assert_eq!((id, first, lanes), (self.ports[1], self.found.len() as u64, values.len()));
        if let Some(i) = self.refused.filter(|i| (first..first + lanes as u64).contains(i)) {
            return Err(Error::invalid(format!("query {i}"), "refused"));
        }
        self.found.extend(values);
        Ok(())
    }
}

const TOTAL: u64 = 1000;

/// The sweep of a job on two devices of the adapter, and how it ended.
fn sweep(gpu: &Gpu, lost: usize, refused: Option<u64>, stop: u64) -> (Devices<'static>, Count, Result<()>) {
    let (program, ports) = adder(1, 3, 1);
    let executor = |gpu: &Gpu, lanes| Executor::new(gpu, program.clone(), lanes).unwrap();
    let mut devices = Devices::new(vec![executor(gpu, 64), executor(&another(), 5)]).unwrap();
    let mut job = Count { ports, prepared: 0, lost, refused, found: vec![] };
    let ended = sweep::run(&mut devices, &mut job, 0..TOTAL, &mut |done| {
        if done >= stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (devices, job, ended)
}

#[test]
fn a_lost_device_s_tiles_go_to_the_other() {
    let gpu = gpu();
    let want: Vec<f32> = (0..TOTAL).map(|i| i as f32 + 3.0).collect();
    for lost in [1, 2, 3, 4, 9] {
        let (mut devices, mut job, ended) = sweep(&gpu, lost, None, u64::MAX);
        ended.unwrap();
        assert_eq!(job.found, want, "lost at call {lost}");
        let failures = &devices.log().failures;
        assert!(failures.len() == 1 && failures[0].message.contains("unplugged"), "{failures:?}");
        // It stays out of the next sweep.
        let left = 1 - failures[0].device;
        job.found.clear();
        sweep::run(&mut devices, &mut job, 0..TOTAL, &mut |_| ControlFlow::Continue(())).unwrap();
        let second: Vec<_> = devices.log().spans.iter().filter(|s| s.sweep == 1).collect();
        assert!(job.found == want && second.len() == 1 && second[0].device == left, "{second:?}");
        // The last device's failure is the run's.
        (job.found, job.lost) = (vec![], job.prepared + 2);
        let ended = sweep::run(&mut devices, &mut job, 0..TOTAL, &mut |_| ControlFlow::Continue(()));
        assert!(matches!(ended, Err(Error::DeviceLost { .. })), "{ended:?}");
    }
}

#[test]
fn errors_of_the_job_and_the_observer_end_a_sweep_on_two_devices() {
    let gpu = gpu();
    let (_, job, ended) = sweep(&gpu, 0, Some(500), u64::MAX);
    assert!(ended.unwrap_err().to_string().contains("query 500") && job.found.len() <= 500);
    let (mut devices, mut job, ended) = sweep(&gpu, 0, None, 300);
    assert!(matches!(ended, Err(Error::Interrupted)) && (300..=364).contains(&job.found.len()), "{}", job.found.len());
    // Nothing of the stopped sweep is left in the devices.
    job.found.clear();
    sweep::run(&mut devices, &mut job, 0..10, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(job.found, (0..10).map(|i| i as f32 + 3.0).collect::<Vec<_>>());
}

#[test]
fn submissions_are_cut_by_what_steps_take() {
    let gpu = another();
    let values = |executor: &mut Executor, ports: [BufferId; 2], lanes: usize| {
        executor.upload(ports[0], &vec![1f32; lanes]).unwrap();
        let pending = executor.submit(lanes).unwrap();
        let (submissions, mut found) = (pending.submissions(), vec![]);
        executor.wait(pending, |_, bytes| found = bytemuck::pod_collect_to_vec::<u8, f32>(bytes)).unwrap();
        assert_eq!(found, vec![16f32; lanes]);
        submissions
    };
    // Steps that claim 2^40 FLOPs go one by one, and one sample at a time, until they have been timed.
    let patient = gpu.clone().limit_submissions(100.0);
    let (program, ports) = adder(5, 3, 1 << 40);
    let mut executor = Executor::new(&patient, program.clone(), 8).unwrap();
    assert_eq!(executor.safe_lanes(), 1);
    assert_eq!(values(&mut executor, ports, 1), 5);
    assert_eq!(executor.safe_lanes(), 8);
    assert_eq!(values(&mut executor, ports, 8), 1);
    assert!(patient.warnings().is_empty());
    // A limit that nothing keeps: every step alone, the smallest tiles, and a warning that names a step.
    let hasty = gpu.clone().limit_submissions(1e-9);
    let mut executor = Executor::new(&hasty, program.clone(), 8).unwrap();
    assert_eq!([values(&mut executor, ports, 8), values(&mut executor, ports, 8)], [5, 5]);
    assert_eq!(executor.safe_lanes(), 1);
    let warnings = hasty.warnings();
    assert!(!warnings.is_empty() && warnings.iter().all(|w| w.contains("step 'adder ")), "{warnings:?}");
    // Software adapters have no watchdog.
    if gpu.is_software() {
        let mut executor = Executor::new(&gpu, program, 8).unwrap();
        assert_eq!((executor.safe_lanes(), values(&mut executor, ports, 8)), (8, 1));
    }
}

#[test]
fn cut_runs_of_a_network_give_the_same_bits() {
    let gpu = gpu();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/mnist");
    let field = field::open(model, None, ScoreScale::Definition).unwrap();
    let images = images(Shape::new(1, 28, 28), 1);
    for family in crate::common::families(&gpu) {
        let few = || Options { quadrature_check: 0.0, ..options(&["rotation"], &[700], 1, 3) };
        let options = || Options { family: Some(family), ..few() };
        let whole = run(&gpu, &field, &images, options());
        // Every dispatch in a submission of its own, tiles of one lane; and pieces as they fall.
        for seconds in [1e-9, 0.02] {
            let cut = run(&gpu.clone().limit_submissions(seconds), &field, &images, options());
            assert_eq!(bits(&whole), bits(&cut), "{family:?}, {seconds} s");
        }
    }
}

#[test]
fn cut_tangents_give_the_same_bits() {
    let (gpu, shape) = (gpu(), Shape::new(2, 5, 7));
    let (field, d, ks) = (closed("field:tilted?omega=0.5", shape), shape.len(), [3, 700, 3, 700]);
    let jvp = |gpu: &Gpu| {
        let room = Room { samples: 4, tangents: 3, cotangents: 0 };
        let mut evaluator = field::tangent_evaluator(gpu, &field, &[3, 700], room).unwrap();
        assert_eq!(evaluator.tangents(), 3);
        evaluator.jvp(&noise(4 * d, 1), &noise(4 * 3 * d, 2), &ks).unwrap()
    };
    // One sample, its tangents with it, at a time.
    assert_eq!(jvp(&gpu), jvp(&gpu.clone().limit_submissions(1e-9)));
}

/// An adapter as the list of devices has it.
fn adapter(name: &str, kind: &'static str, backend: &str, device: u32, bus: &str) -> AdapterSummary {
    AdapterSummary {
        name: name.into(),
        kind,
        backend: backend.into(),
        driver: String::new(),
        ids: [if device > 0 { 0x10de } else { 0 }, device],
        bus: bus.into(),
        unusable: None,
        limits: vec![],
        features: vec![],
    }
}

#[test]
fn all_is_every_piece_of_hardware_once() {
    let discrete = |backend, bus| adapter("Big", "discrete GPU", backend, 7, bus);
    let integrated = |backend| adapter("Small", "integrated GPU", backend, 3, "");
    let software = adapter("llvmpipe", "software", "vulkan", 0, "");
    // A laptop: both GPUs, not the CPU.
    assert_eq!(all_of(&[software.clone(), integrated("vulkan"), discrete("vulkan", "01")]), [1, 2]);
    // The same two again through another back end, whose list has no bus.
    let windows = [discrete("vulkan", "01"), integrated("vulkan"), integrated("dx12"), discrete("dx12", "")];
    assert_eq!(all_of(&windows), [0, 1]);
    // Two equal cards through two back ends; two drivers of one card.
    let cards = ["01", "02"].map(|bus| discrete("vulkan", bus));
    assert_eq!(all_of(&[&cards[..], &["", ""].map(|bus| discrete("dx12", bus))].concat()), [0, 1]);
    assert_eq!(
        all_of(&[discrete("vulkan", "01"), adapter("Big (other driver)", "discrete GPU", "vulkan", 7, "01")]),
        [0]
    );
    // What cannot be used does not stand in the way of the same hardware elsewhere.
    let old = AdapterSummary { unusable: Some("too old".into()), ..discrete("vulkan", "01") };
    assert_eq!(all_of(&[old.clone(), discrete("dx12", "")]), [1]);
    // Nothing else: the software one, the first of them.
    assert_eq!(all_of(&[old.clone(), software.clone(), software.clone()]), [1]);
    assert_eq!(all_of(&[old]), [0usize; 0]);
}

#[test]
fn adapters_are_named_in_lists() {
    use AdapterChoice::{Index, Name, Software};
    assert_eq!(AdapterChoice::list("0,0").unwrap(), [Index(0), Index(0)]);
    assert_eq!(AdapterChoice::list("1, software,radeon").unwrap(), [Index(1), Software, Name("radeon".into())]);
    assert_eq!(AdapterChoice::list("software").unwrap(), [Software]);
    assert!(!AdapterChoice::list("all").unwrap().is_empty());
    // The driver's own name is one choice, commas or not.
    let name = gpu().name().to_string();
    assert_eq!(AdapterChoice::list(&name).unwrap(), [Name(name)]);
    for wrong in ["0,", ",", "0,all"] {
        assert!(AdapterChoice::list(wrong).unwrap_err().to_string().contains("expected `all`"), "{wrong}");
    }
}
