//! The closed paths: random numbers against published vectors and statistics, the f64 twins against the definitions
//! of the three paths, and the shaders against the twins on whatever adapter is there.
use crate::common::{self, gpu, paths};
use std::sync::Arc;
use vorticity::gpu::{Executor, Gpu};
use vorticity::paths::normal::{box_muller, normals, uniform};
use vorticity::paths::philox::{Purpose, Stream, philox4x32};
use vorticity::paths::rotation::{FIXED, MINUS, Rotation, pairs};
use vorticity::paths::{Anchor, ClosedPath, Lane, PATHS, PathPorts, Tables, eps, lane, of_the_paper, open};
use vorticity::program::{Builder, Role};
use vorticity::shape::Shape;

const DIM: usize = 105; // 3x5x7

fn image(dim: usize) -> Vec<f32> {
    (0..dim).map(|c| (c as f32 * 0.37).sin()).collect()
}

fn anchor(x0: &[f32], segments: u32) -> Anchor<'_> {
    Anchor { seed: 0x9876_5432_10ab_cdef, sample: 3, k: 421, a: 0.8, sigma: 0.6, bridge_scale: 1.0, x0, segments }
}

/// The paths that are made from a key.
fn keyed() -> Vec<Arc<dyn ClosedPath>> {
    paths(&common::keyed())
}

fn point(path: &str, anchor: &Anchor, node: u32) -> Vec<f64> {
    paths(&[path])[0].point(anchor, node)
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// y - a x_0, with a as the GPU has it.
fn noise_part(anchor: &Anchor, y: &[f64]) -> Vec<f64> {
    y.iter().zip(anchor.x0).map(|(y, &x0)| y - f64::from(anchor.a as f32) * f64::from(x0)).collect()
}

/// Random123's kat_vectors, "philox 4x32 10".
#[test]
fn philox_known_answers() {
    assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    assert_eq!(
        philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    );
}

#[test]
fn counter_words_are_where_the_protocol_puts_them() {
    let stream = Stream { seed: 0x0123_4567_89ab_cdef, purpose: Purpose::Bridge, draw: 77, sample: u32::MAX, k: 9 };
    assert_eq!(stream.block(5), philox4x32([5, 2 << 24 | 77, u32::MAX, 9], [0x89ab_cdef, 0x0123_4567]));
}

#[test]
fn uniforms_are_exact_in_f32_and_inside_the_unit_interval() {
    for word in [0, 511, 512, 0x7fff_ffff, 0x8000_0000, 0xffff_fdff, u32::MAX] {
        let u = uniform(word);
        assert!(u > 0.0 && u < 1.0 && f64::from(u as f32) == u, "{word:#x} -> {u}");
    }
    assert_eq!(uniform(0), 2f64.powi(-24));
    // Smallest u, angle nearest 0: the largest normal there is.
    let [z0, z1, ..] = box_muller([0, 0, 0, 0]);
    assert!((z0 - (48.0 * 2f64.ln()).sqrt()).abs() < 1e-9 && z1 > 0.0 && z1 < 1e-5);
}

/// Moments within 5 standard errors; tails within 5 binomial ones.
#[test]
fn normals_have_the_moments_and_tails_of_a_normal() {
    const N: usize = 400_000;
    let n = N as f64;
    let z = normals(&Stream { seed: 1, purpose: Purpose::Eps, draw: 0, sample: 0, k: 0 }, N);
    let moment = |p: i32| z.iter().map(|z| z.powi(p)).sum::<f64>() / n;
    // Expected E z^p and the variance of z^p, E z^2p - (E z^p)^2.
    for (p, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0), (6, 15.0, 10170.0)] {
        let (found, error) = (moment(p), (variance / n).sqrt());
        assert!((found - expected).abs() < 5.0 * error, "E z^{p} = {found}, expected {expected} +- {error}");
    }
    for (limit, p) in [(1.0, 0.317_310_5), (2.0, 0.045_500_3), (3.0, 0.002_699_8), (4.0, 6.334e-5)] {
        let found = z.iter().filter(|z| z.abs() > limit).count() as f64 / n;
        assert!((found - p).abs() < 5.0 * (p / n).sqrt(), "P(|z| > {limit}) = {found}, expected {p}");
    }
    // Neighbours within a block and across blocks are uncorrelated.
    for lag in [1, 2, 3, 4] {
        let c = z.iter().zip(&z[lag..]).map(|(a, b)| a * b).sum::<f64>() / n;
        assert!(c.abs() < 5.0 / n.sqrt(), "lag {lag}: {c}");
    }
}

#[test]
fn every_part_of_the_key_changes_the_noise() {
    let x0 = image(DIM);
    let base = anchor(&x0, 20);
    let first = eps(&base, 0);
    assert_eq!(first, eps(&Anchor { a: 0.1, sigma: 2.0, segments: 50, ..base }, 0), "eps depends on its key alone");
    let others = [
        eps(&base, 1),
        eps(&Anchor { k: u32::MAX, ..base }, 0),
        eps(&Anchor { sample: u32::MAX, ..base }, 0),
        eps(&Anchor { seed: base.seed ^ 1, ..base }, 0),
        eps(&Anchor { seed: base.seed ^ 1 << 63, ..base }, 0),
    ];
    for (i, other) in others.iter().enumerate() {
        let correlation = first.iter().zip(other).map(|(a, b)| a * b).sum::<f64>() / DIM as f64;
        assert!(correlation.abs() < 5.0 / (DIM as f64).sqrt(), "{i}: correlation {correlation}");
    }
}

#[test]
fn paths_close_start_at_the_shared_point_and_repeat() {
    let x0 = image(DIM);
    for segments in [10, 50, 1000] {
        let anchor = anchor(&x0, segments);
        let start = point("brownian", &anchor, 0);
        for path in keyed() {
            path.check(DIM, segments as usize, 1).unwrap();
            assert_eq!(path.point(&anchor, 0), start, "{} starts at x_t", path.name());
            assert_eq!(path.point(&anchor, segments), start, "{} closes", path.name());
            assert_eq!(path.point(&anchor, 7), path.point(&anchor, 7));
            assert_ne!(path.point(&anchor, 7), start);
        }
    }
}

/// Cov(X_u, X_v) = u (U - v)/U for u <= v, U = 9; mean of DIM x samples products within 5 standard errors.
#[test]
fn bridge_has_the_covariance_of_a_brownian_bridge() {
    const U: f64 = 9.0;
    let (dim, segments, samples) = (2000, 37, 4);
    let x0 = vec![0.0; dim];
    let nodes: Vec<u32> = vec![1, 9, 18, 19, 36];
    // Without image and noise a node is X itself.
    let x: Vec<Vec<f64>> = nodes
        .iter()
        .map(|&node| {
            let at = |sample| Anchor { a: 0.0, sigma: 0.0, sample, ..anchor(&x0, segments) };
            (0..samples).flat_map(|sample| point("brownian", &at(sample), node)).collect()
        })
        .collect();
    let n = (dim as f64) * f64::from(samples);
    let time = |node: u32| U * f64::from(node) / f64::from(segments);
    let covariance = |i: usize, j: usize| time(nodes[i]) * (U - time(nodes[j])) / U;
    for i in 0..nodes.len() {
        for j in i..nodes.len() {
            let (found, expected) = (x[i].iter().zip(&x[j]).map(|(a, b)| a * b).sum::<f64>() / n, covariance(i, j));
            // Var(XY) = Var X Var Y + Cov^2 for normals of mean 0.
            let error = ((covariance(i, i) * covariance(j, j) + expected * expected) / n).sqrt();
            assert!((found - expected).abs() < 5.0 * error, "nodes {i} {j}: {found}, expected {expected} +- {error}");
        }
    }
    let scaled = Anchor { bridge_scale: 50.0, a: 0.0, sigma: 0.0, sample: 0, ..anchor(&x0, segments) };
    assert!((point("brownian", &scaled, 9)[0] - 50.0 * x[1][0]).abs() < 1e-9);
}

#[test]
fn pairing_is_a_perfect_matching_with_opposite_signs() {
    for dim in [2, 3, 8, 105, 784, 785] {
        let table = pairs(5, 1, u32::MAX, dim);
        let mut fixed = 0;
        for (c, &entry) in table.iter().enumerate() {
            let partner = (entry & !(MINUS | FIXED)) as usize;
            if entry & FIXED != 0 {
                fixed += 1;
                assert_eq!(entry, c as u32 | FIXED);
            } else {
                assert_ne!(partner, c);
                assert_eq!(table[partner] & !MINUS, c as u32, "partners name each other");
                assert_ne!(table[partner] & MINUS, entry & MINUS, "one of a pair has the minus sign");
            }
        }
        assert_eq!(fixed, dim % 2);
        assert_eq!(table, pairs(5, 1, u32::MAX, dim));
        assert!(dim < 8 || table != pairs(5, 2, u32::MAX, dim), "each sample has its own pairing");
    }
}

/// Component 0 of D = 6 is paired with each of the five others equally often: chi-square with 4 degrees of freedom
/// stays below 30 (one chance in 2e5).
#[test]
fn pairings_are_uniform() {
    let mut count = [0.0; 6];
    for sample in 0..5000 {
        count[(pairs(8, sample, 2, 6)[0] & !MINUS) as usize] += 1.0;
    }
    let chi2: f64 = count[1..].iter().map(|n: &f64| (n - 1000.0).powi(2) / 1000.0).sum();
    assert!(chi2 < 30.0, "{count:?}");
}

#[test]
fn rotation_turns_the_noise_by_an_orthogonal_map() {
    for dim in [2, 7, 105] {
        let x0 = image(dim);
        let anchor = anchor(&x0, 48);
        let table = pairs(anchor.seed, anchor.sample, anchor.k, dim);
        let noise = |node| noise_part(&anchor, &point("rotation", &anchor, node));
        let start = noise(0);
        for node in 0..=48 {
            let turned = noise(node);
            assert!((norm(&turned) - norm(&start)).abs() < 1e-12 * norm(&start), "the radius is kept");
            // Each pair turns by the same angle in its own plane, the fixed component not at all.
            let angle = std::f64::consts::TAU * f64::from(node) / 48.0;
            for (c, &entry) in table.iter().enumerate() {
                let other = start[(entry & !(MINUS | FIXED)) as usize];
                let expected = match (entry & FIXED != 0, entry & MINUS != 0) {
                    (true, _) => start[c],
                    (false, minus) => angle.cos() * start[c] + if minus { -other } else { other } * angle.sin(),
                };
                assert!((turned[c] - expected).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn projection_has_the_interpolated_radius_and_direction() {
    let x0 = image(DIM);
    let anchor = anchor(&x0, 70);
    let ends: Vec<_> = (0..=10).map(|arc| point("projection", &anchor, arc * 7)).collect();
    for node in 0..70 {
        let (arc, f) = (node as usize / 7, f64::from(node % 7) / 7.0);
        let y = point("projection", &anchor, node);
        let radius = (1.0 - f) * norm(&ends[arc]) + f * norm(&ends[arc + 1]);
        assert!((norm(&y) - radius).abs() < 1e-12 * radius, "node {node}");
        let chord: Vec<f64> = ends[arc].iter().zip(&ends[arc + 1]).map(|(s, e)| (1.0 - f) * s + f * e).collect();
        let along = y.iter().zip(&chord).map(|(a, b)| a * b).sum::<f64>();
        assert!((along - norm(&y) * norm(&chord)).abs() < 1e-10 * along, "node {node} lies on its chord's ray");
    }
    // The ring's corners are noisings of x_0 with their own draws.
    let noise: Vec<_> = eps(&anchor, 4).iter().map(|z| z * f64::from(0.6f32)).collect();
    let corner = noise_part(&anchor, &ends[4]);
    assert!(corner.iter().zip(&noise).all(|(a, b)| (a - b).abs() < 1e-12));
}

/// Without noise and image a path is the origin, not NaN.
#[test]
fn projection_of_nothing_is_nothing() {
    let nothing = Anchor { sigma: 0.0, ..anchor(&[0.0; 8], 20) };
    assert_eq!(point("projection", &nothing, 1), vec![0.0; 8]);
}

/// What the shader is told of a node does not depend on which of its two segments asks.
#[test]
fn lanes_of_neighbouring_segments_agree_on_their_common_node() {
    let x0 = image(DIM);
    for segments in [10, 70, 1000] {
        let anchor = anchor(&x0, segments);
        for segment in 0..segments {
            let at = |path: &str, segment| lane(paths(&[path])[0].as_ref(), &anchor, segment);
            let (here, next) = (at("rotation", segment), at("rotation", segment + 1));
            assert_eq!([here.p2, here.p3], [next.p0, next.p1]);
            let (here, next) = (at("projection", segment), at("projection", segment + 1));
            if here.p1 == 1.0 {
                assert_eq!((here.n1, 0.0), (next.n0, next.p0));
            } else {
                assert_eq!((here.n0, here.n1, here.p1), (next.n0, next.n1, next.p0));
            }
        }
        let first = lane(&Rotation, &anchor, 0);
        assert_eq!([first.p0, first.p1], [1.0, 0.0]);
        assert_eq!(first, lane(&Rotation, &anchor, segments), "segment N is segment 0");
        assert_eq!((first.count, first.sample, first.k), (segments, 3, 421));
        assert!((first.gauss + 1.0).abs() < 1e-6);
    }
    assert_eq!(std::mem::size_of::<Lane>(), 80);
}

#[test]
fn paths_are_made_by_name_and_own_their_parameters() {
    let space = (Shape::new(1, 2, 4), [-1.0, 1.0]);
    for path in common::every_path(8) {
        let about = PATHS.iter().find(|p| p.0 == path.name()).expect("an object has the name of its row").1;
        for (key, _) in path.parameters().iter().filter(|(key, _)| *key != "sha256") {
            assert!(about.contains(key), "{about}: says nothing of {key}");
        }
    }
    let refused = |spec: &str| open(spec, space).unwrap_err().to_string();
    let known = PATHS.iter().map(|p| p.0).collect::<Vec<_>>().join(", ");
    assert!(known.contains("rotation, projection"), "{known}");
    assert_eq!(refused("spiral?arms=2"), format!("path: 'spiral' is not one of {known}"));
    let unknown = "projection?acs=5: 'acs' is not a parameter of projection; known: arcs";
    assert_eq!(refused("projection?acs=5"), unknown);
    assert!(refused("rotation?arcs=5").ends_with("'arcs' is not a parameter of rotation; it has none"));
    assert!(refused("projection?arcs=five").contains("arcs=five is not a value of the right kind"));
    assert!(refused("polyline").contains("polyline: needs file=FILE, its nodes"));
    assert!(refused("polyline?file=none.npy").contains("none.npy: cannot be opened"));
    assert_eq!(open("projection?arcs=5", space).unwrap().parameters()["arcs"], 5);
    assert_eq!(of_the_paper()[2].parameters()["arcs"], 10);
}

#[test]
fn what_a_path_is_not_defined_for_is_refused() {
    let refused = |path: &str, dim, segments| paths(&[path])[0].check(dim, segments, 1).unwrap_err().to_string();
    assert!(refused("rotation", 1, 1000).contains("1 components"));
    assert!(refused("projection", 7, 1000).contains("7 components"));
    assert!(refused("projection", 8, 1001).contains("1001 segments in 10 arcs"));
    assert!(refused("brownian", 8, 1).contains("1 segments"));
    assert!(refused("brownian", 8, 1 << 24).contains("2^24"));
}

/// Midpoints and steps [anchor][segment][stride] as the GPU makes them with `seed`.
fn on_gpu(gpu: &Gpu, path: &Arc<dyn ClosedPath>, seed: u64, anchors: &[Anchor], segments: &[u32]) -> [Vec<f32>; 2] {
    let dim = anchors[0].x0.len();
    let stride = dim.next_multiple_of(4);
    let mut program = Builder::new(gpu.target(), 0);
    let flat = 4 * stride as u64;
    let lanes_id = program.buffer("lanes", size_of::<Lane>() as u64, Role::Upload);
    let (x, d) = (program.buffer("x", flat, Role::Download), program.buffer("d", flat, Role::Download));
    let ports = PathPorts { lanes: lanes_id, x, d };
    let tables = Tables::launch(&mut program, std::slice::from_ref(path), dim, seed, ports).unwrap();
    let (mut lanes, mut tile) = (vec![], tables.tile());
    for (anchor, &segment) in anchors.iter().flat_map(|anchor| segments.iter().map(move |s| (anchor, s))) {
        let mut lane = lane(path.as_ref(), anchor, segment);
        tile.place(0, &Anchor { seed, ..*anchor }, segment, &mut lane).unwrap();
        lanes.push(lane);
    }
    let (real, other) = (lanes.len(), Lane { path: 1, ..lanes[0] });
    lanes.push(other); // a lane of another path in the same tile
    let mut executor = Executor::new(gpu, program.finish().unwrap(), lanes.len()).unwrap();
    executor.upload(lanes_id, &lanes).unwrap();
    for (id, words) in tile.uploads() {
        // Padding that must not reach the output: NaN, or an entry that no table has.
        let mut words = words.to_vec();
        words.chunks_mut(stride).for_each(|row| row[dim..].fill(u32::MAX));
        executor.upload(id, &words).unwrap();
    }
    let mut out: [Vec<f32>; 2] = Default::default();
    let pending = executor.submit(lanes.len()).unwrap();
    executor.wait(pending, |id, bytes| out[usize::from(id == d)] = bytemuck::pod_collect_to_vec(bytes)).unwrap();
    for values in &mut out {
        assert!(values[real * stride..].iter().all(|v| v.is_nan()), "another path's lane is left alone");
        values.truncate(real * stride);
        assert!(values.chunks(stride).all(|lane| lane[dim..].iter().all(|&v| v == 0.0)), "padding is 0");
    }
    out
}

/// Largest |node - twin| in units of the bound 2e-6 (unit + |node|), over both nodes m -+ d/2 of every segment.
/// The unit is 1, or sigma where that is larger: a node is a sum of terms of that size, and where they cancel f32
/// cannot know better.
fn worst(gpu: &Gpu, path: &Arc<dyn ClosedPath>, seed: u64, anchors: &[Anchor], segments: &[u32]) -> f64 {
    let [x, d] = on_gpu(gpu, path, seed, anchors, segments);
    let stride = anchors[0].x0.len().next_multiple_of(4);
    let mut worst = 0.0f64;
    let rows = anchors.iter().flat_map(|anchor| segments.iter().map(move |&segment| (anchor, segment)));
    for (row, (anchor, segment)) in rows.enumerate() {
        for (node, half) in [(segment, -0.5), (segment + 1, 0.5)] {
            for (c, twin) in path.point(anchor, node).into_iter().enumerate() {
                let found = f64::from(x[row * stride + c]) + half * f64::from(d[row * stride + c]);
                let error = (found - twin).abs() / (2e-6 * (anchor.sigma.max(1.0) + twin.abs()));
                worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
            }
        }
    }
    worst
}

#[test]
fn gpu_points_agree_with_the_twin() {
    let gpu = gpu();
    // 3x5x7, 1x28x28, and the smallest odd size that all paths take.
    for (dim, count) in [(105, 1000), (784, 370), (9, 70)] {
        let x0 = image(dim);
        let noises = [(0.9999, 0.01, 1.0), (0.8, 0.6, 1.0), (0.01, 0.99995, 1.0), (1.0, 348.0, 348.0)];
        for (a, sigma, bridge_scale) in noises {
            let anchors: Vec<_> = [(0, 0), (7, 421), (u32::MAX, u32::MAX)]
                .map(|(sample, k)| Anchor { a, sigma, bridge_scale, sample, k, ..anchor(&x0, count) })
                .into();
            let segments: Vec<u32> = (0..count).step_by(23).chain([count - 1]).collect();
            for path in keyed() {
                let worst = worst(&gpu, &path, anchors[0].seed, &anchors, &segments);
                assert!(worst < 1.0, "{} D = {dim} N = {count} sigma = {sigma}: {worst} of the bound", path.name());
            }
        }
    }
}

/// More lanes than one row of workgroups holds: the dispatch is folded into y.
#[test]
fn gpu_points_agree_in_a_folded_dispatch() {
    let (x0, segments) = (image(5), (0..66_000).collect::<Vec<_>>());
    let anchors = [anchor(&x0, 66_000)];
    assert!(worst(&gpu(), &paths(&["brownian"])[0], anchors[0].seed, &anchors, &segments) < 1.0);
}

/// Negative control: with another seed, in either word of the key, the comparison fails on every path.
#[test]
fn gpu_points_of_another_seed_do_not_agree() {
    let (gpu, x0) = (gpu(), image(DIM));
    let anchors = [anchor(&x0, 50)];
    for path in keyed() {
        for bit in [0, 63] {
            let worst = worst(&gpu, &path, anchors[0].seed ^ 1 << bit, &anchors, &[17]);
            assert!(worst > 1e4, "path {}, bit {bit}", path.name());
        }
    }
}

/// A node has the same bits in both of its segments: what is subtracted for one step was added for the step before.
/// Where both nodes of a segment have one sign and exponent, m -+ d/2 are the nodes unless halving the sum rounded, and
/// then they are half-way between two f32; so those that are f32 are compared. (Next to a power of two a rounded
/// sum can look exact: rare, hence 1 in 200.)
#[test]
fn gpu_nodes_are_shared_bit_for_bit() {
    let (gpu, x0, segments) = (gpu(), image(784), (0..50).collect::<Vec<_>>());
    let anchors = [anchor(&x0, 50)];
    for path in keyed() {
        let [mut x, d] = on_gpu(&gpu, &path, anchors[0].seed, &anchors, &segments);
        let (seen, different) = count_differing_nodes(&x, &d, 784);
        assert!(seen > 1000 && different * 200 <= seen, "{}: {different} of {seen} nodes differ", path.name());
        // Negative control: one segment in two moved by one unit in the last place.
        x.chunks_mut(784).step_by(2).flatten().for_each(|m| *m = m.next_up());
        let (seen, different) = count_differing_nodes(&x, &d, 784);
        assert!(different * 2 > seen, "{}: only {different} of {seen} nodes differ", path.name());
    }
}

/// (nodes that can be compared, those of them that differ) of one closed path, `x` and `d` as `[segment][dim]`.
fn count_differing_nodes(x: &[f32], d: &[f32], dim: usize) -> (usize, usize) {
    let ends = |i: usize| {
        let ends = [-0.5, 0.5].map(|half| f64::from(x[i]) + half * f64::from(d[i]));
        let bits = ends.map(|v| (v as f32).to_bits());
        let exact = ends.iter().all(|&v| f64::from(v as f32) == v) && bits[0] >> 23 == bits[1] >> 23;
        exact.then_some(ends)
    };
    let nodes = (0..x.len()).filter_map(|i| Some((ends(i)?[1], ends((i + dim) % x.len())?[0])));
    nodes.fold((0, 0), |(seen, different), (here, next)| (seen + 1, different + usize::from(here != next)))
}
