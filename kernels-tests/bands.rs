//! Tensors larger than a buffer may be, cut into bands of rows: every family of networks gives the same bits as uncut,
//! values and tangents, on a device that enforces a small limit too; what cannot be cut is refused.
use crate::common::{bounds, builder, choice, families, gpu, noise, ports, run, size};
use crate::families::{random, sized};
use serde_json::json;
use vorticity::dual::Dual;
use vorticity::error::Error;
use vorticity::evaluate::{Evaluator, Room};
use vorticity::gpu::{Bounds, Gpu};
use vorticity::graph::Graph;
use vorticity::ops::pointwise::Pointwise;
use vorticity::ops::{Locality, Lowering, Op};
use vorticity::passes::{Ports, lower};
use vorticity::program::Program;
use vorticity::shape::Shape;
use vorticity::target::KernelFamily;

/// The plan for one timestep with `budget` bytes per lane and buffer.
fn plan(
    graph: &Graph,
    family: KernelFamily,
    tangents: u32,
    budget: Option<u64>,
) -> vorticity::error::Result<(Program, Ports)> {
    let mut program = builder(family, tangents, budget);
    let ports = ports(&mut program, graph);
    lower(graph, &[3], &ports, &mut program)?;
    Ok((program.finish()?, ports))
}

/// Largest scratch buffer of the network, bytes per lane.
fn largest(program: &Program) -> u64 {
    let slot = |b: &&vorticity::program::Buffer| b.label.starts_with("slot");
    program.buffers.iter().filter(slot).map(|b| b.bytes_per_lane).max().unwrap()
}

#[test]
fn cut_tensors_give_the_same_bits() {
    let gpu = gpu();
    let mut cut = 0;
    for (name, graph) in sized(16) {
        for (family, tangents) in families(&gpu).into_iter().flat_map(|f| [(f, 0), (f, 2)]) {
            let lanes = 2 * (1 + tangents as usize);
            let x = noise(lanes * size(&graph), 3);
            let whole = plan(&graph, family, tangents, None).unwrap();
            let most = largest(&whole.0);
            let want = run(&gpu, &graph, whole, &x, lanes);
            assert!(want.iter().all(|v| v.is_finite()), "{name}");
            // As small as the network allows.
            let budgets = [most - 1, most / 2, most / 3];
            for budget in budgets {
                let (program, ports) = match plan(&graph, family, tangents, Some(budget)) {
                    Ok(planned) => planned,
                    Err(Error::OutOfMemory { .. }) => continue,
                    Err(e) => panic!("{name}: {e}"),
                };
                assert!(largest(&program) <= budget, "{name}: {} bytes of {budget}", largest(&program));
                assert!(program.steps().any(|s| s.op == "rows"), "{name}");
                let got = run(&gpu, &graph, (program, ports), &x, lanes);
                let differ = got.iter().zip(&want).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
                assert_eq!(differ, 0, "{name}, {family:?}, {tangents} tangents, budget {budget}: of {}", want.len());
                cut += 1;
            }
        }
    }
    assert!(cut >= 10 * families(&gpu).len(), "{cut} plans were cut");
}

/// A device that refuses bindings above a mebibyte gives the bits of one that does not, K tangents at once.
#[test]
fn a_device_with_small_bindings_gives_the_same_bits() {
    let gpu = gpu();
    let hyper = json!({
        "nf": 20, "ch_mult": [1, 1, 1, 2], "num_res_blocks": 1, "attn_resolutions": [], "image_size": 64, "num_channels": 2,
        "resblock_type": "biggan", "embedding_type": "fourier", "progressive": "output_skip",
        "progressive_input": "input_skip", "fir": true, "skip_rescale": true, "centered": false, "scale_by_sigma": true,
    });
    let ve = json!({ "kind": "ve", "sigma_min": 0.01, "sigma_max": 50.0, "timesteps": 10 });
    let graph = random("ncsnpp", hyper, ve);
    let (d, k) = (size(&graph), 7);
    let (x, v) = (noise(2 * d, 1), noise(2 * k * d, 2));
    let jvp = |gpu: &Gpu| {
        let room = Room { samples: 2, tangents: k, cotangents: 0 };
        let mut evaluator = Evaluator::with_tangents(gpu, &graph, &[3], room).unwrap();
        assert_eq!(evaluator.tangents(), k);
        let cut = evaluator.program().steps().any(|s| s.op == "rows");
        let (y, jv) = evaluator.jvp(&x, &v, &[3, 3]).unwrap();
        (cut, [y, jv].concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    let small = Gpu::open_within(&choice(), Bounds { binding: Some(1 << 20), ..bounds() }).unwrap();
    let ((whole, want), (cut, got)) = (jvp(&gpu), jvp(&small));
    assert!(!whole && cut, "{whole} {cut}");
    assert!(got == want);
}

#[test]
fn memory_that_does_not_hold_a_sample_is_refused_with_both_numbers() {
    let gpu = gpu();
    let (_, graph) = sized(32).pop().unwrap();
    let little = Bounds { memory: Some(100_000), ..bounds() };
    let little = Gpu::open_within(&choice(), little).unwrap();
    let error = Evaluator::new(&little, &graph, &[3], 4).err().unwrap();
    assert!(error.exit_code() == 4 && error.to_string().contains("a run may take 100000"), "{error}");
    // K gives way before the run does.
    let room = Room { samples: 1, tangents: 60, cotangents: 0 };
    let enough = Evaluator::with_tangents(&gpu, &graph, &[3], room).unwrap();
    let memory = enough.memory().device() / 3;
    let third = Gpu::open_within(&choice(), Bounds { memory: Some(memory), ..bounds() }).unwrap();
    let fewer = Evaluator::with_tangents(&third, &graph, &[3], room).unwrap();
    assert!((5..30).contains(&fewer.tangents()), "{}", fewer.tangents());
    assert!(fewer.memory().device() <= memory);
    let none = Gpu::open_within(&choice(), Bounds { binding: Some(1000), ..bounds() }).err().unwrap();
    assert!(none.to_string().contains("1000 bytes"), "{none}");
}

/// An op of a caller's own, which may say that its pixels are made of the same pixels.
#[derive(Debug)]
struct Mine {
    of: Pointwise,
    local: bool,
}

impl Op for Mine {
    fn name(&self) -> &'static str {
        "mine"
    }
    fn shape(&self, inputs: &[Shape]) -> vorticity::error::Result<Shape> {
        self.of.shape(inputs)
    }
    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        self.of.twin(inputs, shapes, rows)
    }
    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        self.of.flops(inputs, output)
    }
    fn keeps_layout(&self) -> bool {
        true
    }
    fn locality(&self, _: usize) -> Locality {
        if self.local { Locality::ByPixel } else { Locality::Whole }
    }
    fn lower(&self, cx: &mut Lowering) -> vorticity::error::Result<()> {
        self.of.lower(cx)
    }
}

/// Nothing need be known of an op that is not cut; where it is to be, its locality is all that need be.
#[test]
fn an_op_is_cut_by_what_it_says_of_its_locality() {
    let gpu = gpu();
    let graph = |local: bool| {
        let mut graph = Graph::new(Shape::new(4, 16, 8));
        let x = graph.input("x").unwrap();
        let y = graph.push("node", Mine { of: Pointwise::Mish, local }, &[x]).unwrap();
        graph.output("y", y).unwrap();
        graph
    };
    let (x, most) = (noise(size(&graph(true)), 3), 16 * 16 * 8);
    for family in families(&gpu) {
        let of = |local, room| plan(&graph(local), family, 0, room);
        let [whole, uncut] = [true, false].map(|local| run(&gpu, &graph(local), of(local, None).unwrap(), &x, 1));
        assert_eq!(whole, uncut);
        let cut = of(true, Some(most / 2)).unwrap();
        assert!(cut.0.steps().filter(|s| s.op == "pointwise").count() > 1);
        assert_eq!(run(&gpu, &graph(true), cut, &x, 1), whole);
        let error = of(false, Some(most / 2)).unwrap_err().to_string();
        assert!(error.contains("node") && error.contains("'mine' cannot be computed by rows"), "{error}");
    }
}
