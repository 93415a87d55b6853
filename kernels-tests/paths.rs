//! The closed paths: random numbers against published vectors and statistics, the f64 twins against the definitions
//! of the three paths, and the shaders against naga.
use vorticity::paths::{
    Anchor, FIXED, Lane, MINUS, PATHS, eps, find, lane,
    normal::{box_muller, normals, uniform},
    pairs,
    philox::{Purpose, Stream, philox4x32},
};

const DIM: usize = 105; // 3x5x7

fn image(dim: usize) -> Vec<f32> {
    (0..dim).map(|c| (c as f32 * 0.37).sin()).collect()
}

fn anchor(x0: &[f32], segments: u32) -> Anchor<'_> {
    Anchor { seed: 0x9876_5432_10ab_cdef, sample: 3, k: 421, a: 0.8, sigma: 0.6, bridge_scale: 1.0, x0, segments }
}

fn point(path: &str, anchor: &Anchor, node: u32) -> Vec<f64> {
    find(path).unwrap().1.point(anchor, node)
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
    let all = u32::MAX;
    assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox4x32([all; 4], [all; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
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
        for path in PATHS {
            path.check(DIM, segments as usize).unwrap();
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
            let found = x[i].iter().zip(&x[j]).map(|(a, b)| a * b).sum::<f64>() / n;
            let expected = covariance(i, j);
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

/// A path without noise and image is the origin, not NaN.
#[test]
fn projection_of_nothing_is_nothing() {
    let x0 = vec![0.0; 8];
    let nothing = Anchor { sigma: 0.0, ..anchor(&x0, 20) };
    assert_eq!(point("projection", &nothing, 1), vec![0.0; 8]);
}

/// What the shader is told of a node does not depend on which of its two segments asks.
#[test]
fn lanes_of_neighbouring_segments_agree_on_their_common_node() {
    let x0 = image(DIM);
    for segments in [10, 70, 1000] {
        let anchor = anchor(&x0, segments);
        for segment in 0..segments {
            let at = |path: &str, segment| lane(find(path).unwrap().0, &anchor, segment).unwrap();
            let (here, next) = (at("rotation", segment), at("rotation", segment + 1));
            assert_eq!([here.p2, here.p3], [next.p0, next.p1]);
            let (here, next) = (at("projection", segment), at("projection", segment + 1));
            if here.p1 == 1.0 {
                assert_eq!((here.arc1, 0.0), (next.arc0, next.p0));
            } else {
                assert_eq!((here.arc0, here.arc1, here.p1), (next.arc0, next.arc1, next.p0));
            }
        }
        let first = lane(1, &anchor, 0).unwrap();
        assert_eq!([first.p0, first.p1], [1.0, 0.0]);
        assert_eq!(first, lane(1, &anchor, segments).unwrap(), "segment N is segment 0");
        assert_eq!((first.count, first.sample, first.k, first.path), (segments, 3, 421, 1));
        assert!((first.gauss + 1.0).abs() < 1e-6);
    }
    assert_eq!(std::mem::size_of::<Lane>(), 80);
}

#[test]
fn what_a_path_is_not_defined_for_is_refused() {
    let refused = |path: &str, dim, segments| find(path).unwrap().1.check(dim, segments).unwrap_err().to_string();
    assert!(refused("rotation", 1, 1000).contains("1 components"));
    assert!(refused("projection", 7, 1000).contains("7 components"));
    assert!(refused("projection", 8, 1001).contains("multiple of 10"));
    assert!(refused("brownian", 8, 1).contains("1 segments"));
    assert!(refused("brownian", 8, 1 << 24).contains("2^24"));
    assert!(find("spiral").err().unwrap().to_string().contains("brownian, rotation, projection"));
    let x0 = image(8);
    assert!(lane(99, &anchor(&x0, 10), 0).is_err());
}

/// `#import` of the project's shader assembler: each file once, in place.
fn expand(file: &str, seen: &mut Vec<String>) -> String {
    let path = format!("{}/shaders/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut out = String::new();
    for line in text.lines() {
        match line.strip_prefix("#import ") {
            Some(name) if seen.iter().any(|s| s == name) => {}
            Some(name) => {
                seen.push(name.to_string());
                out += &expand(name, seen);
            }
            None => out += &format!("{line}\n"),
        }
    }
    out
}

#[test]
fn shaders_are_valid() {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    for path in PATHS {
        let source = expand(&format!("{}.wgsl", path.shader()), &mut Vec::new());
        let mut options = naga::front::wgsl::Options::new();
        options.capabilities = Capabilities::IMMEDIATES;
        let module = naga::front::wgsl::Frontend::new_with_options(options)
            .parse(&source)
            .unwrap_or_else(|e| panic!("{}: {}", path.shader(), e.emit_to_string(&source)));
        Validator::new(ValidationFlags::all(), Capabilities::IMMEDIATES)
            .validate(&module)
            .unwrap_or_else(|e| panic!("{}: {}", path.shader(), e.emit_to_string(&source)));
        let bound = |name: &str| module.global_variables.iter().any(|(_, v)| v.name.as_deref() == Some(name));
        assert_eq!(bound("pairs"), path.uses_pairs(), "{}", path.name());
        assert!(["lanes", "x0", "x", "d", "im"].into_iter().all(bound), "{}", path.name());
    }
}
