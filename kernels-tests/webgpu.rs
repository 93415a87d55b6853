//! An adapter with WebGPU's least limits and no optional features, the least that a browser's adapter has: kernels are told their
//! words in a uniform buffer, and everything runs, to the bits of the same kernels with immediates.
use crate::adapters::{adder, bits};
use crate::circulation::{closed, images, options, run};
use crate::common::{choice, gpu, noise};
use crate::networks;
use crate::portability::kernels;
use crate::weights::{hyper, random};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use vorticity::evaluate::{Evaluator, Room};
use vorticity::gpu::{Bounds, Executor, Gpu, Limits};
use vorticity::measures::circulation::Options;
use vorticity::program::{Action, BufferId, Immediate, Program, Role};
use vorticity::shaders::{assemble, in_uniform_buffer};
use vorticity::shape::Shape;
use vorticity::target::KernelFamily;

/// The adapter under test, as a browser would have it.
fn least(binding: Option<u64>) -> Gpu {
    Gpu::open_within(&choice(), Bounds { limits: Limits::WebGpu, binding, memory: None }).unwrap()
}

#[test]
fn limits_are_kept_and_named() {
    let _turn = gpu(); // software adapters use every core
    let (all, least) = (Gpu::open(&choice()).unwrap(), least(None));
    assert_eq!(all.identity()["limits"], "adapter");
    assert_eq!((least.identity()["limits"].as_str(), least.family()), ("webgpu", KernelFamily::Gpu));
    // 128 MiB, but for what a buffer has behind its lanes.
    assert!(least.target().buffer_bytes.unwrap() < 128 << 20);
    assert_eq!(least.target().subgroup, 0);
    let visible = |binding, limits| Bounds { memory: None, binding, limits }.visible();
    assert_eq!(visible(None, Limits::Adapter), None);
    assert_eq!(visible(None, Limits::WebGpu), Some(128 << 20));
    assert_eq!([1 << 20, 1 << 30].map(|b| visible(Some(b), Limits::WebGpu)), [Some(1 << 20), Some(128 << 20)]);
    // The kernels of software adapters want more threads than there are.
    let network = networks::network(&hyper(1, 20, &[1, 2], 28), &random(1, 20, &[1, 2])).unwrap();
    let error = Evaluator::new(&least.with_family(KernelFamily::Cpu), &network, &[3], 1).err().unwrap().to_string();
    assert!(error.contains("512 threads per workgroup, this adapter allows 256"), "{error}");
}

/// Words of a kernel that has more than most adapters have immediates.
const MANY: u32 = 80;

/// Adds w1 + .. + w80.
fn many() -> (String, Vec<Immediate>) {
    let names: Vec<&'static str> = (1..=MANY).map(|i| &*format!("w{i}").leak()).collect();
    let members: String = names.iter().map(|name| format!("{name}: u32, ")).collect();
    let sum: String = names.iter().map(|name| format!(" + f32(im.{name})")).collect();
    let text = format!(
        "struct Words {{ lanes: u32, {members} }}
        var<immediate> im: Words;
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {{
            if id.x < im.lanes {{ y[id.x] = x[id.x]{sum}; }}
        }}"
    );
    (text, names.into_iter().zip(1..).collect())
}

/// Every step has its own words, and runs in flight have their own lanes, also where a program has both kinds of kernels.
#[test]
fn every_step_and_every_run_is_told_its_own_words() {
    let whole = gpu();
    for gpu in [&*whole, &least(None)] {
        let (mut program, [x, y]) = adder(7, 0, 1);
        let (text, words) = many();
        program.sources.push(("many", text.into()));
        let mut sum = MANY * (MANY + 1) / 2;
        for (i, action) in program.actions.iter_mut().enumerate() {
            let Action::Dispatch(step, _) = action else { panic!("no step") };
            if i == 3 {
                (step.kernel.shader, step.immediates) = ("many", words.clone());
            } else {
                step.immediates = vec![("add", 1 << i)];
                sum += 1 << i;
            }
        }
        in_flight(gpu, program, [x, y], sum);
    }
}

/// Three runs at once, which add `sum` to what they are given.
fn in_flight(gpu: &Gpu, program: Program, [x, y]: [BufferId; 2], sum: u32) {
    let mut executor = Executor::new(gpu, program, 300).unwrap();
    let data: Vec<f32> = (0..300).map(|i| i as f32).collect();
    executor.upload(x, &data).unwrap();
    let wide = executor.submit(300).unwrap();
    let narrow = executor.submit(5).unwrap();
    let again = executor.submit(300).unwrap();
    for (pending, lanes) in [(wide, 300), (narrow, 5), (again, 300)] {
        let mut found: Vec<f32> = vec![];
        let read = |id, bytes: &[u8]| {
            assert_eq!(id, y);
            found = bytemuck::pod_collect_to_vec(bytes);
        };
        executor.wait(pending, read).unwrap();
        assert_eq!(found, data[..lanes].iter().map(|v| v + sum as f32).collect::<Vec<_>>());
    }
}

/// All that is read back goes through one buffer, which holds 256 MiB there.
#[test]
fn what_is_read_back_fits_into_one_buffer() {
    let _turn = gpu();
    let (mut program, _) = adder(3, 1, 1);
    for buffer in program.buffers.iter_mut().filter(|b| matches!(b.role, Role::Scratch)) {
        buffer.role = Role::Download;
    }
    // Three buffers of a word a lane.
    let most = ((256 << 20) - 3 * 256) / 12;
    let error = Executor::new(&least(None), program, most + 1).err().unwrap().to_string();
    assert!(error.contains(&format!("the adapter's limits hold {most}")), "{error}");
}

/// Values, tangents and cotangents of a network.
#[test]
fn a_network_has_the_bits_that_it_has_with_immediates() {
    let gpu = gpu().clone().with_family(KernelFamily::Gpu);
    let network = networks::network(&hyper(1, 20, &[1, 3], 28), &random(1, 20, &[1, 3])).unwrap();
    let d = 28 * 28;
    let (x, v, u) = (noise(2 * d, 1), noise(2 * 2 * d, 2), noise(2 * 3 * d, 3));
    let products = |gpu: &Gpu| {
        let room = Room { samples: 2, tangents: 2, cotangents: 3 };
        let mut evaluator = Evaluator::with_tangents(gpu, &network, &[3, 5], room).unwrap();
        let found = evaluator.products(&x, &v, &u, &[3, 5]).unwrap();
        let all = [found.y, found.jv, found.jtu].concat();
        all.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let (want, got) = (products(&gpu), products(&least(None)));
    assert!(want == got && want.len() == 2 * d * 6);
    // Cut into bands as well.
    assert!(want == products(&least(Some(1 << 20))));
}

/// A measurement: points of the paths, the field, the sums.
#[test]
fn loops_have_the_bits_that_they_have_with_immediates() {
    let gpu = gpu();
    let shape = Shape::new(2, 5, 7);
    let (field, images) = (closed("field:tilted?omega=0.5", shape), images(shape, 3));
    let loops = |gpu: &Gpu| {
        let asked = options(&["brownian", "rotation", "projection"], &[0, 400, 999], 3, 20);
        bits(&run(gpu, &field, &images, Options { family: Some(KernelFamily::Gpu), ..asked }))
    };
    let want = loops(&gpu);
    assert!(!want.is_empty() && want == loops(&least(None)));
}

/// What browsers' compilers are given: no kernel that runs anywhere needs a capability that WebGPU makes optional.
#[test]
fn kernels_for_anywhere_are_plain_wgsl() {
    let mut plain = 0;
    for ((shader, constants), (family, _)) in kernels() {
        let text = in_uniform_buffer(&assemble(shader, &constants).unwrap(), 100);
        if family != KernelFamily::Gpu || text.contains("enable ") {
            continue;
        }
        let module =
            naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{shader}: {}", e.emit_to_string(&text)));
        // Unpacking halves is part of the language; naga counts it among the capabilities.
        let checked = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32).validate(&module);
        checked.unwrap_or_else(|e| panic!("{shader} {constants:?}: {}", e.emit_to_string(&text)));
        plain += 1;
    }
    assert!(plain > 100, "{plain}");
}
