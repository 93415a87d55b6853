//! Cotangents: whole networks and fields on the device against the twin of their adjoint graphs, and the laws: a cotangent depends on
//! nothing but its point and itself, <u, J v> = <J'u, v>, and what is made a second time has the same bits.
use crate::circulation::{closed, write_mixture};
use crate::cli::{text, vorticity};
use crate::common::{bounds, choice, evaluate, families, gpu, max_norm_error, noise};
use crate::families::others;
use crate::networks::network;
use crate::weights::{TIMESTEPS, hyper, random};
use serde_json::Value;
use vorticity::dual::Dual;
use vorticity::error::Result;
use vorticity::evaluate::{Evaluator, Products, Room};
use vorticity::field;
use vorticity::gpu::{Bounds, Gpu};
use vorticity::graph::Graph;
use vorticity::passes::adjoint::adjoint;
use vorticity::shape::Shape;
use vorticity::target::KernelFamily;
use vorticity::twin;

/// f32 against f64, max norm per cotangent: that of tangents (`tangents.rs`), for both pass the same layers.
const TOLERANCE: f64 = 5e-5;
/// The law holds to rounding; of sums over a few hundred numbers.
const LAW: f64 = 1e-6;

fn bits(y: &[f32]) -> Vec<u32> {
    y.iter().map(|v| v.to_bits()).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// |<u, J v> - <J'u, v>| over the larger of |u| |J v| and |J'u| |v|.
fn law(u: &[f32], jv: &[f32], jtu: &[f32], v: &[f32]) -> f64 {
    let norm = |a| dot(a, a).sqrt();
    (dot(u, jv) - dot(jtu, v)).abs() / (norm(u) * norm(jv)).max(norm(jtu) * norm(v))
}

fn evaluator(gpu: &Gpu, graph: &Graph, family: KernelFamily, ks: &[usize], room: Room) -> Evaluator {
    Evaluator::with_tangents(&gpu.clone().with_family(family), graph, ks, room).unwrap()
}

/// Values, tangents and cotangents of a network in one go, each checked against its twin and the law.
fn check(gpu: &Gpu, name: &str, graph: &Graph, ks: [usize; 3], tolerance: f64) {
    let [d, out] = graph.end_shapes().unwrap().map(|s| s.len());
    let (t, k) = (2, 3);
    let (x, v, u) = (noise(3 * d, 1), noise(3 * t * d, 2), noise(3 * k * out, 3));
    let transposed = adjoint(graph).unwrap();
    let mut sorted = ks;
    sorted.sort_unstable();
    for family in families(gpu) {
        let room = Room { samples: 2, tangents: t, cotangents: k }; // two tiles
        let found = evaluator(gpu, graph, family, &sorted, room).products(&x, &v, &u, &ks).unwrap();
        // Values and tangents are those of plans without cotangents.
        let room = Room { cotangents: 0, ..room };
        let (y, jv) = evaluator(gpu, graph, family, &sorted, room).jvp(&x, &v, &ks).unwrap();
        let wide = |a: &[f32]| a.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        assert!(max_norm_error(&found.y, &wide(&y)) <= 2e-6, "{name}, {family:?}: values");
        assert!(max_norm_error(&found.jv, &wide(&jv)) <= 2e-6, "{name}, {family:?}: tangents");
        for (i, (got, u)) in found.jtu.chunks(d).zip(u.chunks(out)).enumerate() {
            let sample = i / k;
            let own = |a: &[f32]| a.iter().map(|&v| Dual::constant(f64::from(v))).collect::<Vec<_>>();
            let (point, cotangent) = (own(&x[sample * d..(sample + 1) * d]), own(u));
            let want = twin::outputs(&transposed, &[&point, &cotangent], ks[sample], 0).unwrap().swap_remove(1);
            let error = max_norm_error(got, &want.iter().map(|y| y.v).collect::<Vec<_>>());
            let laws = (0..t).map(|j| {
                let at = sample * t + j;
                law(u, &found.jv[at * out..(at + 1) * out], got, &v[at * d..(at + 1) * d])
            });
            let worst = laws.fold(0.0, f64::max);
            println!("{name} {} cotangent {i}: {error:.1e}, law {worst:.1e}", family.name());
            assert!(error <= tolerance, "{name}, {family:?}, cotangent {i}: {error:e}");
            assert!(worst <= LAW, "{name}, {family:?}, cotangent {i}: law {worst:e}");
        }
        // Negative control: another point's cotangents are seen.
        let other = &found.jtu[k * d..(k + 1) * d];
        assert!(law(&u[..out], &found.jv[..out], other, &v[..d]) > 1e3 * LAW, "{name}");
    }
}

#[test]
fn cotangents_of_networks_match_the_twin_of_their_adjoint() {
    let gpu = gpu();
    for &(channels, base, mults, side) in &[(1, 4, &[2, 4][..], 8), (3, 8, &[2, 4], 12), (5, 20, &[2], 12)] {
        let graph = network(&hyper(channels, base, mults, side), &random(channels, base, mults)).unwrap();
        check(&gpu, &format!("{channels} {base}"), &graph, [5, 0, TIMESTEPS - 1], TOLERANCE);
    }
}

#[test]
fn cotangents_of_other_architectures_match_too() {
    let gpu = gpu();
    for (name, graph) in others() {
        check(&gpu, name, &graph, [7, 0, 9], TOLERANCE);
    }
}

/// Company changes nothing: neither how many there are, nor which, nor in which tile, nor whether there are tangents.
#[test]
fn a_cotangent_alone_equals_the_same_in_company() {
    let gpu = gpu();
    let graph = network(&hyper(3, 20, &[2, 4], 12), &random(3, 20, &[2, 4])).unwrap();
    let (d, ks, k) = (3 * 12 * 12, [6, 1, 4], 7);
    let (x, v, u) = (noise(ks.len() * d, 3), noise(ks.len() * d, 5), noise(ks.len() * k * d, 4));
    for family in families(&gpu) {
        let run = |room: Room, x: &[f32], v: &[f32], u: &[f32], ks: &[usize]| {
            evaluator(&gpu, &graph, family, &[1, 4, 6], room).products(x, v, u, ks).unwrap()
        };
        let all = run(Room { samples: 3, tangents: 0, cotangents: k }, &x, &[], &u, &ks);
        for (i, own) in all.jtu.chunks(d).enumerate().step_by(4) {
            let (sample, at) = (i / k, i / k * d);
            let room = Room { samples: 1, tangents: 0, cotangents: 1 };
            let alone = run(room, &x[at..at + d], &[], &u[i * d..(i + 1) * d], &ks[sample..=sample]);
            assert_eq!(bits(&alone.y), bits(&all.y[at..at + d]), "{family:?} sample {sample}");
            assert_eq!(bits(&alone.jtu), bits(own), "{family:?} cotangent {i}");
        }
        let tiles = run(Room { samples: 1, tangents: 0, cotangents: k }, &x, &[], &u, &ks);
        assert_eq!(tiles, all, "{family:?} in tiles of one sample");
        let beside = run(Room { samples: 2, tangents: 1, cotangents: k }, &x, &v, &u, &ks);
        assert_eq!(bits(&beside.jtu), bits(&all.jtu), "{family:?} with a tangent beside them");
        assert_eq!(bits(&beside.y), bits(&evaluate(&gpu, &graph, family, &x, &ks)), "{family:?} values");
    }
}

/// Where memory forbids to keep what the reverse sweep reads, it is made again: less memory, the same bits.
#[test]
fn what_is_made_again_has_the_same_bits() {
    let gpu = gpu();
    let mnist = network(&hyper(3, 20, &[2, 4], 12), &random(3, 20, &[2, 4])).unwrap();
    for (name, graph) in others().into_iter().chain([("mnist_shuffle_unet", mnist)]) {
        let d = graph.end_shapes().unwrap()[0].len();
        let (x, v, u) = (noise(d, 1), noise(d, 2), noise(d, 3));
        for family in families(&gpu) {
            for tangents in [0, 1] {
                let room = Room { samples: 1, tangents, cotangents: 1 };
                let run = |memory: Option<u64>| -> Result<(Products, u64)> {
                    let gpu = Gpu::open_within(&choice(), Bounds { memory, ..bounds() }).unwrap();
                    let gpu = gpu.with_family(family);
                    let mut evaluator = Evaluator::with_tangents(&gpu, &graph, &[6], room)?;
                    let bytes = evaluator.memory().device();
                    Ok((evaluator.products(&x, &v[..tangents * d], &u, &[6])?, bytes))
                };
                let (kept, all) = run(None).unwrap();
                // A little less, and the least of some that a plan gets by with: one segment, and several.
                let least = (4..10).find_map(|tenths| run(Some(all / 10 * tenths)).ok());
                for (again, less) in [run(Some(all - 1)).unwrap()].into_iter().chain(least) {
                    println!("{name} {} T = {tangents}: {all} bytes, {less} with segments", family.name());
                    assert!(less < all, "{name}, {family:?}: {less} bytes of {all}");
                    assert_eq!(bits(&again.y), bits(&kept.y), "{name}, {family:?}");
                    assert_eq!(bits(&again.jv), bits(&kept.jv), "{name}, {family:?}");
                    assert_eq!(bits(&again.jtu), bits(&kept.jtu), "{name}, {family:?}");
                }
            }
        }
    }
}

/// Between what one cotangent takes and what all take, as many go at a time as fit: no bound in between is refused, and none is passed.
#[test]
fn where_memory_is_short_fewer_cotangents_go_at_a_time() {
    let graph = network(&hyper(1, 64, &[2, 4], 28), &random(1, 64, &[2, 4])).unwrap();
    let planned = |memory: Option<u64>, cotangents| {
        let gpu = Gpu::open_within(&choice(), Bounds { memory, ..bounds() }).unwrap();
        let evaluator = Evaluator::with_tangents(&gpu, &graph, &[6], Room { samples: 1, tangents: 0, cotangents });
        evaluator.map(|evaluator| (evaluator.memory().device(), evaluator.cotangents())).unwrap()
    };
    let ((one, _), (all, most)) = (planned(None, 1), planned(None, 64));
    assert!(most == 64 && all > 3 * one, "{most}: {one} to {all} bytes");
    let mut least = 64;
    for tenths in (0..10).rev() {
        let memory = one + (all - one) / 10 * tenths;
        let (takes, count) = planned(Some(memory), 64);
        assert!(
            takes <= memory && (1..=least).contains(&count),
            "{count} take {takes} of {memory} bytes, before {least}"
        );
        least = count;
    }
    assert!(least < 8, "{least}");
}

#[test]
fn cotangents_of_closed_forms_match_their_twins() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let shape = Shape::new(2, 7, 5);
    let file = folder.path().join("mixture.safetensors");
    write_mixture(&file, shape, 3);
    let mixture = format!("field:mixture?file={}", file.display());
    for spec in ["field:gaussian", "field:rotor?omega=0.5", "field:tilted?omega=2", &mixture, "field:funnel"] {
        let field = closed(spec, shape);
        let (d, ks, t, k) = (shape.len(), [100, 700, 100], 1, 4);
        let (x, v, u) = (noise(ks.len() * d, 8), noise(ks.len() * t * d, 9), noise(ks.len() * k * d, 10));
        let room = Room { samples: 2, tangents: t, cotangents: k };
        let mut evaluator = field::product_evaluator(&gpu, &field, &[100, 700], room).unwrap();
        let found = evaluator.products(&x, &v, &u, &ks).unwrap();
        let plain = field::evaluator(&gpu, &field, &[100, 700], 3).unwrap().evaluate(&x, &ks).unwrap();
        assert_eq!(bits(&found.y), bits(&plain), "{spec}");
        for (i, (got, u)) in found.jtu.chunks(d).zip(u.chunks(d)).enumerate() {
            let sample = i / k;
            let wide = |a: &[f32]| a.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            let point = wide(&x[sample * d..(sample + 1) * d]);
            let want = field.twin_vjp(&point, &wide(u), ks[sample], 0).unwrap();
            // As for tangents: responsibilities of the mixture carry 1e-7 |x - a mu|^2 / V.
            let error = max_norm_error(got, &want);
            assert!(error <= 1e-5, "{spec}, cotangent {i}: {error:e}");
            let law = law(u, &found.jv[sample * d..(sample + 1) * d], got, &v[sample * d..(sample + 1) * d]);
            assert!(law <= 1e-5, "{spec}, cotangent {i}: law {law:e}");
        }
    }
}

/// The network of the paper's faces needs half of the memory where what its reverse sweep reads is made a second time.
#[test]
fn the_largest_network_gets_by_with_half() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("celebahq");
    vorticity(&["init", "ncsnpp", "--config", "celebahq-256", "--out", text(&model), "--quiet"]).assert().success();
    for family in ["igemm", "cc"] {
        let planned = |memory: &str| -> u64 {
            let arguments =
                ["inspect", text(&model), "--cotangents", "1", "--kernels", family, "--memory", memory, "--json"];
            let found = vorticity(&arguments).output().unwrap();
            serde_json::from_slice::<Value>(&found.stdout).unwrap()["device_bytes"].as_u64().unwrap()
        };
        let [all, least] = ["64GiB", "1MiB"].map(planned);
        println!("{family}: {all} bytes, {least} at least");
        assert!(2 * least <= all, "{family}: {least} of {all} bytes");
    }
}
