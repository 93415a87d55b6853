//! 3x3 convolutions by Winograd's minimal filtering: which go that way, how far off they are beside direct ones, and that
//! neither bands nor pieces of an image change a bit.
use crate::common::{builder, families, gpu, noise, ports, run, size};
use vorticity::gpu::Gpu;
use vorticity::graph::Graph;
use vorticity::ops::conv::{Conv, Padding};
use vorticity::ops::silu::Silu;
use vorticity::passes::{Ports, lower};
use vorticity::program::{Program, Role};
use vorticity::selftest::compare;
use vorticity::shape::Shape;
use vorticity::target::KernelFamily;

fn conv(read: usize, written: usize, kernel: usize, stride: usize, weight: Vec<f32>) -> Conv {
    Conv {
        in_channels: read,
        out_channels: written,
        kernel,
        stride,
        padding: Padding::all(kernel / 2),
        weight: weight.into(),
        bias: noise(written, 5).into(),
    }
}

/// Weights that f16 holds as they are.
fn weights(n: usize) -> Vec<f32> {
    noise(n, 4).iter().map(|w| half::f16::from_f32(0.2 * w).to_f32()).collect()
}

fn one(input: Shape, written: usize, kernel: usize, stride: usize) -> Graph {
    let mut graph = Graph::new(input);
    let op = conv(input.c, written, kernel, stride, weights(input.c * written * kernel * kernel));
    let y = graph.push("conv", op, &[graph.input("x").unwrap()]).unwrap();
    graph.output("y", y).unwrap();
    graph
}

/// The plan with `budget` bytes per lane and buffer.
fn plan(graph: &Graph, family: KernelFamily, tangents: u32, budget: Option<u64>) -> (Program, Ports) {
    let mut program = builder(family, tangents, budget);
    let ports = ports(&mut program, graph);
    lower(graph, &[3], &ports, &mut program).unwrap();
    (program.finish().unwrap(), ports)
}

/// Convolutions, or pieces of them, that go that way.
fn tiled(program: &Program) -> usize {
    program.steps().filter(|s| s.op == "winograd_in").count()
}

#[test]
fn shape_and_weights_decide() {
    let of = |graph: &Graph, family| tiled(&plan(graph, family, 0, None).0);
    let square = |c: usize, side: usize| Shape::new(c, side, side);
    let many = one(square(64, 16), 64, 3, 1);
    assert_eq!((of(&many, KernelFamily::Cpu), of(&many, KernelFamily::Gpu)), (1, 0));
    let mut half = many;
    half.hold_f16().unwrap();
    assert_eq!(of(&half, KernelFamily::Cpu), 0, "weights held as f16 are not transformed");
    for (graph, why) in [
        (one(square(64, 16), 64, 3, 2), "stride"),
        (one(square(64, 16), 64, 5, 1), "kernel"),
        (one(square(3, 16), 64, 3, 1), "few channels read"),
        (one(square(64, 16), 3, 3, 1), "few channels written"),
        (one(square(256, 1), 256, 3, 1), "a pixel alone"),
        (one(square(64, 5), 64, 3, 1), "tiles mostly beyond the image"),
        (one(square(64, 68), 64, 3, 1), "a network on large images"),
    ] {
        assert_eq!(of(&graph, KernelFamily::Cpu), 0, "{why}");
    }
}

#[test]
fn an_image_of_two_by_two_goes_whole() {
    let program = plan(&one(Shape::new(64, 2, 2), 64, 3, 1), KernelFamily::Cpu, 0, None).0;
    let products: u64 = program.steps().filter(|s| s.op == "conv winograd").map(|s| s.flops).sum();
    assert_eq!(products, 2 * 9 * 64 * 64, "nine products instead of 36");
}

/// Rounding of 1.5 to 2 direct sums in the mean, as the points were chosen by; the worst number may be off by more.
#[test]
fn it_is_not_much_rougher_than_a_direct_convolution() {
    let gpu = gpu();
    if !families(&gpu).contains(&KernelFamily::Cpu) {
        return; // this adapter never goes that way
    }
    for (c, h, w) in [(48, 7, 11), (160, 7, 11), (160, 2, 2)] {
        let tiles = one(Shape::new(c, h, w), 40, 3, 1);
        let mut direct = tiles.clone();
        direct.hold_f16().unwrap();
        assert_eq!([&tiles, &direct].map(|g| tiled(&plan(g, KernelFamily::Cpu, 2, None).0)), [1, 0]);
        let [rough, fine] = [&tiles, &direct].map(|g| compare(&gpu, g, KernelFamily::Cpu).unwrap());
        println!("{c} channels: {rough:.2e} by tiles, {fine:.2e} direct");
        assert!(fine > 0.0 && rough < 4.0 * fine, "{c} channels: {rough:e} against {fine:e}");
    }
}

fn bits(gpu: &Gpu, graph: &Graph, planned: (Program, Ports), x: &[f32], lanes: usize) -> Vec<u32> {
    run(gpu, graph, planned, x, lanes).iter().map(|v| v.to_bits()).collect()
}

/// Three convolutions on an image whose sides are no multiples of the tile's.
#[test]
fn bands_and_pieces_give_the_same_bits() {
    let gpu = gpu();
    if !families(&gpu).contains(&KernelFamily::Cpu) {
        return;
    }
    let mut graph = Graph::new(Shape::new(40, 18, 14));
    let mut y = graph.input("x").unwrap();
    for (from, to) in [(40, 36), (36, 48), (48, 40)] {
        y = graph.push("conv", conv(from, to, 3, 1, weights(from * to * 9)), &[y]).unwrap();
        if to == 48 {
            y = graph.push("silu", Silu, &[y]).unwrap();
        }
    }
    graph.output("y", y).unwrap();
    for tangents in [0, 2] {
        let lanes = 2 * (1 + tangents as usize);
        let x = noise(lanes * size(&graph), 3);
        let whole = plan(&graph, KernelFamily::Cpu, tangents, None);
        assert_eq!(tiled(&whole.0), 3);
        let most = 4 * 48 * 18 * 14;
        let want = bits(&gpu, &graph, whole, &x, lanes);
        for budget in [most, most - 1, most / 2] {
            let (program, ports) = plan(&graph, KernelFamily::Cpu, tangents, Some(budget));
            let bands = program.steps().filter(|s| s.op == "rows").count();
            assert_eq!(bands > 0, budget < most, "{budget}");
            assert!(tiled(&program) > 6, "{} pieces", tiled(&program));
            let scratch = program.buffers.iter().filter(|b| matches!(b.role, Role::Scratch));
            scratch.for_each(|b| assert!(b.bytes_per_lane <= budget, "{} of {budget}: {}", b.bytes_per_lane, b.label));
            let got = bits(&gpu, &graph, (program, ports), &x, lanes);
            let differ = got.iter().zip(&want).filter(|(a, b)| a != b).count();
            assert_eq!(differ, 0, "{tangents} tangents, budget {budget}: of {}", want.len());
        }
    }
}
