//! The binding budget: whatever is folded together, no step binds more storage buffers than every adapter can; fusion leaves
//! out what would be one too many, and what it makes agrees with the twin.
use crate::common::{families, gpu, noise, ports};
use vorticity::choice::Choices;
use vorticity::graph::{Graph, NodeId, RowLayer, RowTable};
use vorticity::ops::Family;
use vorticity::ops::add::Add;
use vorticity::ops::add_row::AddRow;
use vorticity::ops::conv::{Conv, Padding, VARIANTS};
use vorticity::ops::depthwise::Depthwise;
use vorticity::ops::group_norm::{GroupNorm, Scale};
use vorticity::ops::pointwise::Pointwise;
use vorticity::ops::resample::Resample;
use vorticity::ops::silu::Silu;
use vorticity::plan::lower;
use vorticity::program::{Program, STORAGE_BUFFERS};
use vorticity::selftest::compare;
use vorticity::shape::Shape;

/// Channels of the convolution's output.
const OUT: usize = 8;

/// What stands before the convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Front {
    Nothing,
    Depthwise,
    Norm,
    Nearest,
    Zeros,
}

/// What may stand behind it, in this order: SiLU, a time row, SiLU, a residual.
type Behind = [bool; 4];

fn conv(g: &mut Graph, x: NodeId, kernel: usize, padding: Padding) -> NodeId {
    let c = g.shape(x).c;
    let conv = Conv {
        in_channels: c,
        out_channels: OUT,
        kernel,
        stride: 1,
        padding,
        weight: noise(OUT * c * kernel * kernel, 1).iter().map(|w| w / kernel as f32).collect(),
        bias: noise(OUT, 2).into(),
    };
    g.push("conv", conv, &[x]).unwrap()
}

fn network(front: Front, [first, row, second, residual]: Behind) -> Graph {
    let c = 6;
    let mut g = Graph::new(Shape::new(c, 4, 3));
    let x = g.input();
    let noisy = |n, seed| noise(n, seed).into();
    // What is added in the end: of the output's shape, and made by an op that takes no sum in.
    let z = conv(&mut g, x, 1, Padding::all(0));
    let z = g.push("other", Pointwise::Mish, &[z]).unwrap();
    let z = match front {
        Front::Nearest | Front::Zeros => g.push("larger", Resample::nearest(), &[z]).unwrap(),
        _ => z,
    };
    let y = match front {
        Front::Nothing => conv(&mut g, x, 3, Padding::all(1)),
        Front::Depthwise => {
            let (weight, bias) = (noisy(9 * c, 3), noisy(c, 4));
            let op = Depthwise { channels: c, stride: 1, padding: Padding::all(1), weight, bias };
            let y = g.push("depthwise", op, &[x]).unwrap();
            conv(&mut g, y, 1, Padding::all(0))
        }
        Front::Norm => {
            let scale = Scale::Fixed { gain: noisy(c, 3), shift: noisy(c, 4) };
            let op = GroupNorm { channels: c, groups: 2, epsilon: 1e-5, scale };
            let y = g.push("norm", op, &[x]).unwrap();
            conv(&mut g, y, 3, Padding::all(1))
        }
        Front::Nearest => {
            let y = g.push("up", Resample::nearest(), &[x]).unwrap();
            conv(&mut g, y, 3, Padding::all(1))
        }
        Front::Zeros => {
            let y = g.push("zeros", Resample::zeros(), &[x]).unwrap();
            conv(&mut g, y, 4, Padding::all(2))
        }
    };
    let mut y = if first { g.push("silu", Silu, &[y]).unwrap() } else { y };
    if row {
        let layers = vec![RowLayer::Lookup { table: noisy(5 * OUT, 5), rows: 5, width: OUT }];
        let table = g.push_row(RowTable { name: "row".into(), width: OUT, layers });
        y = g.push("row", AddRow { table, width: OUT }, &[y]).unwrap();
    }
    if second && (row || !first) {
        y = g.push("silu again", Silu, &[y]).unwrap();
    }
    if residual {
        g.push("sum", Add { scales: [0.5, -1.25] }, &[y, z]).unwrap();
    }
    g
}

fn combinations() -> Vec<(Front, Behind)> {
    let fronts = [Front::Nothing, Front::Depthwise, Front::Norm, Front::Nearest, Front::Zeros];
    let behind = |i: usize| -> Behind { std::array::from_fn(|bit| i >> bit & 1 == 1) };
    fronts.into_iter().flat_map(|front| (0..16).map(move |i| (front, behind(i)))).collect()
}

fn plan(graph: &Graph, family: Family, tangents: u32, variant: &str) -> Program {
    let mut program = Program::default();
    (program.tangents, program.choices) = (tangents, Choices::always(variant).into());
    program.subgroup = 32;
    let ports = ports(&mut program, graph);
    lower(graph, &[0, 3], family, ports, &mut program).unwrap();
    program
}

#[test]
fn no_fusion_binds_more_than_every_adapter_can() {
    let mut greediest = 0;
    for (front, behind) in combinations() {
        let graph = network(front, behind);
        for (family, tangents) in [(Family::Cpu, 0), (Family::Cpu, 2), (Family::Gpu, 0), (Family::Gpu, 2)] {
            for variant in VARIANTS {
                let program = plan(&graph, family, tangents, variant.name);
                for step in program.steps() {
                    let (binds, most) = (step.storage_buffers(), step.most_storage_buffers());
                    assert!(
                        binds <= most,
                        "{front:?} {behind:?}, {family:?}, {tangents} tangents: {} binds {binds}",
                        step.label
                    );
                    let cooperative = step.kernel.shader == "conv_coop";
                    assert_eq!(most, STORAGE_BUFFERS + usize::from(cooperative));
                    greediest = greediest.max(binds);
                }
                // What would be one too many stands alone: the sum behind all else, where slopes are bound too.
                let all = front == Front::Depthwise && family == Family::Gpu && tangents > 0;
                let all = all && behind[1] && behind[3] && (behind[0] || behind[2]);
                let sums = program.steps().filter(|s| s.op == "add").count();
                assert_eq!(sums, usize::from(all), "{front:?} {behind:?}, {family:?}, {tangents} tangents");
            }
        }
    }
    assert_eq!(greediest, STORAGE_BUFFERS + 1, "a cooperative one with its maxima");
}

#[test]
fn every_fusion_agrees_with_its_twin() {
    let gpu = gpu();
    let mut worst = 0f64;
    for (front, behind) in combinations() {
        let graph = network(front, behind);
        for family in families(&gpu) {
            let error = compare(&gpu, &graph, family).unwrap();
            worst = worst.max(error);
            // Three layers of f32 sums of at most 96 products, of them one that divides by a deviation.
            assert!(error < 2e-6, "{front:?} {behind:?}, {family:?}: {error:e}");
        }
    }
    println!("worst {worst:.2e}");
}
