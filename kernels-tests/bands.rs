//! Tensors larger than a buffer may be, cut into bands of rows: every family of networks gives the same bits as uncut,
//! values and tangents, on a device that enforces a small limit too; what cannot be cut is refused.
use crate::common::{families, gpu, noise, pad};
use crate::families::sized;
use vorticity::gpu::{Executor, Gpu};
use vorticity::graph::Graph;
use vorticity::ops::Family;
use vorticity::paths::Lane;
use vorticity::plan::{Ports, lower};
use vorticity::program::{Program, Role};

/// The plan for one timestep with `room` bytes per lane and buffer.
fn plan(graph: &Graph, family: Family, tangents: u32, room: Option<u64>) -> vorticity::error::Result<(Program, Ports)> {
    let (input, output) = (graph.shape(graph.input()), graph.shape(graph.output()));
    let mut program = Program::default();
    (program.tangents, program.room) = (tangents, room);
    let ports = Ports {
        input: program.buffer("x", 4 * input.flat_stride() as u64, Role::Upload),
        output: program.buffer("y", 4 * output.flat_stride() as u64, Role::Download),
        lanes: program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload),
    };
    lower(graph, &[3], family, ports, &mut program)?;
    Ok((program, ports))
}

/// Largest scratch buffer of the network, bytes per lane.
fn largest(program: &Program) -> u64 {
    let slot = |b: &&vorticity::program::Buffer| b.label.starts_with("slot");
    program.buffers.iter().filter(slot).map(|b| b.bytes_per_lane).max().unwrap()
}

fn run(gpu: &Gpu, graph: &Graph, (program, ports): (Program, Ports), x: &[f32], lanes: usize) -> Vec<f32> {
    let mut executor = Executor::new(gpu, program, lanes).unwrap();
    executor.upload(ports.input, &pad(x, graph.shape(graph.input()).len())).unwrap();
    executor.upload(ports.lanes, &vec![Lane::default(); lanes]).unwrap();
    executor.run(lanes, ports.output).unwrap()
}

#[test]
fn cut_tensors_give_the_same_bits() {
    let gpu = gpu();
    let mut cut = 0;
    for (name, graph) in sized(16) {
        for (family, tangents) in families(&gpu).into_iter().flat_map(|f| [(f, 0), (f, 2)]) {
            let lanes = 2 * (1 + tangents as usize);
            let x = noise(lanes * graph.shape(graph.input()).len(), 3);
            let whole = plan(&graph, family, tangents, None).unwrap();
            let most = largest(&whole.0);
            let want = run(&gpu, &graph, whole, &x, lanes);
            assert!(want.iter().all(|v| v.is_finite()), "{name}");
            // As small as the network allows.
            let rooms = [most - 1, most / 2, most / 3];
            for room in rooms {
                let Ok((program, ports)) = plan(&graph, family, tangents, Some(room)) else { continue };
                assert!(largest(&program) <= room, "{name}: {} bytes of {room}", largest(&program));
                assert!(program.steps().any(|s| s.op == "rows"), "{name}");
                let got = run(&gpu, &graph, (program, ports), &x, lanes);
                let differ = got.iter().zip(&want).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
                assert_eq!(differ, 0, "{name}, {family:?}, {tangents} tangents, room {room}: of {}", want.len());
                cut += 1;
            }
        }
    }
    assert!(cut >= 20, "{cut} plans were cut");
}
