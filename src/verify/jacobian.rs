//! Derivatives of a case's raw output at sample 0 on the GPU: along given tangents, the sub-Jacobian by columns and by rows, the whole
//! trace.
//! In: the case and its network. Out: rows for the report; the whole Jacobian only where the case has its diagonal.
use super::case::{Case, Told};
use super::cotangents::At;
use super::{DIVERGENCE, JVP, Row, TANGENT, Worst, compare, sizes, to_f32};
use crate::error::Result;
use crate::evaluate::{Evaluator, Room};
use crate::gpu::Gpu;
use crate::graph::Graph;

/// Tangents at a time, at most: a case has few samples, and memory is not the matter here.
const TANGENTS: usize = 64;

pub(super) fn check(gpu: &Gpu, case: &Case, told: &Told, graph: &Graph, x: &[f64], k: usize) -> Result<Vec<Row>> {
    if !["v", "idx", "idx_in", "jdiag"].iter().any(|name| case.has(name)) {
        return Ok(vec![]);
    }
    let [(d, dims), (out, out_dims)] = graph.end_shapes()?.map(sizes);
    let rows = |name: &str| case.tensors.get(name).and_then(|t| t.shape.first().copied()).unwrap_or(0);
    let asked = ["v", "idx", "idx_in", "jdiag"].map(rows).into_iter().max().unwrap_or(0);
    let room = Room { samples: 1, tangents: asked.clamp(1, TANGENTS.min(d)), cotangents: 0 };
    let mut evaluator = Evaluator::with_tangents(gpu, graph, &[k], room)?;
    let x = to_f32(&x[..d]);
    let mut along = |tangents: &[f32]| -> Result<Vec<f64>> {
        let n = evaluator.tangents();
        let mut all = Vec::with_capacity(tangents.len());
        for some in tangents.chunks(n * d) {
            let mut v = some.to_vec();
            v.resize(n * d, 0.0);
            let (_, jv) = evaluator.jvp_of(&x, &v, &[k], &[0])?;
            all.extend(jv[..some.len() / d * out].iter().map(|&v| f64::from(v)));
        }
        Ok(all)
    };

    let (mut rows, place) = (vec![], format!("sample 0, {}", told.name(k)));
    if case.has("v") {
        let (n, v) = case.rows("v", &dims)?;
        let at = |i: usize| format!("tangent {i}, {place}");
        let got = along(&to_f32(v))?;
        let want = case.exactly("jvp", n, &out_dims)?;
        rows.push(Row { tolerance: Some(JVP), ..compare("tangents", &got, want, out, at) });
    }
    // Components of the input and of the output: the same where both have one shape.
    let names = if case.has("idx_in") { ["idx_in", "idx_out"] } else { ["idx", "idx"] };
    if case.has(names[0]) {
        let from = case.components(names[0], d)?;
        let to = case.components(names[1], out)?;
        let m = from.len();
        let jv = along(&units(&from, d))?;
        let got: Vec<f64> = to.iter().flat_map(|i| (0..m).map(|j| jv[j * out + i]).collect::<Vec<_>>()).collect();
        let at = |_| format!("{m} components, {place}");
        rows.push(Row {
            tolerance: Some(JVP),
            ..compare("sub-Jacobian", &got, case.exactly("subjac", to.len(), &[m])?, m * to.len(), at)
        });
        rows.extend(by_rows(gpu, case, At { graph, x: &x, k }, [&from, &to], &place)?);
    }
    if case.has("jdiag") {
        let want = case.exactly("jdiag", d, &[])?;
        let jv = along(&units(&(0..d).collect::<Vec<_>>(), d))?;
        let got: Vec<f64> = (0..d).map(|i| jv[i * d + i]).collect();
        let size: f64 = want.iter().map(|v| v.abs()).sum();
        let mut worst = Worst::default();
        worst.see(0, (got.iter().sum::<f64>() - case.scalar("div")?).abs() / size);
        rows.push(Row {
            quantity: "divergence, of sum |J_aa|".into(),
            error: worst.error,
            tolerance: Some(DIVERGENCE),
            worst: format!("{d} tangents, {place}"),
        });
        let square =
            |of: &dyn Fn(usize, usize) -> f64| (0..d * d).map(|i| of(i / d, i % d)).map(|v| v * v).sum::<f64>();
        let at = |_: usize| format!("whole Jacobian, {place}");
        let found = [square(&|a, b| jv[a * d + b]), square(&|a, b| jv[a * d + b] - jv[b * d + a])];
        for (quantity, name, found) in [("|J|^2", "jac_fro2", found[0]), ("|J - J'|^2", "jac_asym2", found[1])] {
            let row = compare(quantity, &[found], &[case.scalar(name)?], 1, at);
            rows.push(Row { tolerance: Some(JVP), ..row });
        }
    }
    Ok(rows)
}

/// Unit vectors of `d` components.
fn units(indices: &[usize], d: usize) -> Vec<f32> {
    let mut v = vec![0f32; indices.len() * d];
    indices.iter().enumerate().for_each(|(j, i)| v[j * d + i] = 1.0);
    v
}

/// The sub-Jacobian by cotangents, J'e_i its row i, on the device and by the twin, and the law that ties them to tangents.
fn by_rows(gpu: &Gpu, case: &Case, at: At, [from, to]: [&[usize]; 2], place: &str) -> Result<Vec<Row>> {
    let [(d, dims), (out, _)] = at.graph.end_shapes()?.map(sizes);
    let (m, want) = (from.len(), case.exactly("subjac", to.len(), &[from.len()])?);
    let u = units(to, out);
    let v = if case.has("v") { to_f32(case.rows("v", &dims)?.1) } else { units(from, d) };
    let made = at.on_device(gpu, &v, &u)?;
    let taken = |jtu: &[f64]| -> Vec<f64> {
        jtu.chunks_exact(d).flat_map(|row| from.iter().map(|&i| row[i]).collect::<Vec<_>>()).collect()
    };
    let name = |_| format!("{m} components, {place}");
    let device = compare("cotangents", &taken(&made.jtu), want, want.len(), name);
    // Of the largest of all: a row of the sub-Jacobian may be next to nothing.
    let largest = want.iter().fold(0f64, |most, w| most.max(w.abs()));
    let mut worst = Worst::default();
    let twin = taken(&at.in_f64(&u[..out])?);
    twin.iter().zip(want).enumerate().for_each(|(i, (a, b))| worst.see(i, (a - b).abs() / largest));
    Ok(vec![
        Row { tolerance: Some(JVP), ..device },
        Row {
            quantity: "cotangents, f64 twin".into(),
            error: worst.error,
            tolerance: Some(TANGENT),
            worst: format!("component {} of the first, {place}", worst.at),
        },
        at.law(&v, &u, &made, place)?,
    ])
}
