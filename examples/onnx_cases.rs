//! Temporary.
use std::collections::BTreeMap;
use vorticity::dual::Dual;
use vorticity::onnx::{File, Roles, Tensor, import};
use std::sync::Arc;
use vorticity::{twin, gpu::{Gpu, AdapterChoice}, evaluate::{Evaluator, Room}};
fn load(path: &std::path::Path) -> BTreeMap<String, (Vec<usize>, Vec<f64>, bool)> {
    let bytes = std::fs::read(path).unwrap();
    let st = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    st.tensors().into_iter().map(|(n, t)| {
        let d = t.data();
        let (v, int): (Vec<f64>, bool) = match t.dtype() {
            safetensors::Dtype::F32 => (d.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()) as f64).collect(), false),
            safetensors::Dtype::F64 => (d.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(), false),
            safetensors::Dtype::I64 => (d.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(), true),
            o => panic!("{o:?}"),
        };
        (n, (t.shape().to_vec(), v, int))
    }).collect()
}

fn main() {
    let device = std::env::var("DEVICE").ok();
    let gpu = device.as_ref().map(|_| Gpu::open(&AdapterChoice::Best).unwrap());
    for dir in std::env::args().skip(1) {
        let dir = std::path::Path::new(&dir);
        let Ok(text) = std::fs::read_to_string(dir.join("case.json")) else { continue };
        let case: serde_json::Value = serde_json::from_str(&text).unwrap();
        let t = load(&dir.join("case.safetensors"));
        for (name, f) in case["files"].as_object().unwrap() {
            let path = dir.join(name);
            if !path.exists() { continue }
            let file = match File::open(&path) { Ok(f) => Arc::new(f), Err(e) => { println!("{}: {e}", path.display()); continue } };
            let pre = if name == "model.onnx" && t.contains_key("graph.f") { "graph." } else { "" };
            let mut bad = None;
            let mut worst = [0f64; 4];
            let mut nodes = 0;
            let mut seconds = 0.0;
            for s in 0..2 {
                let part = |role: &str| {
                    let (shape, v, int) = &t[role];
                    let n = v.len() / shape[0];
                    let mut sh = shape.clone(); sh[0] = 1;
                    let own = v[s * n..(s + 1) * n].to_vec();
                    (sh, own, *int)
                };
                let mut roles = Roles { x: String::new(), label: None, contexts: BTreeMap::new(), shape: vec![], output: file.outputs[0].name.clone() };
                let mut label = 0.0;
                for i in f["inputs"].as_array().unwrap() {
                    let (role, iname) = (i["role"].as_str().unwrap(), i["name"].as_str().unwrap());
                    let (sh, own, int) = part(role);
                    match role {
                        "x" => { roles.x = iname.into(); roles.shape = i["shape"].as_array().unwrap().iter().zip(&sh).skip(1).filter(|(d, _)| d.is_string()).map(|(_, n)| *n).collect(); }
                        "t" => { roles.label = Some(iname.into()); label = own[0]; }
                        _ => drop(roles.contexts.insert(iname.into(), if int { Tensor::int(sh, own.iter().map(|&x| x as i64).collect()) } else { Tensor::float(sh, own.iter().map(|&x| Dual::constant(x)).collect()) })),
                    }
                }
                let made = match import(&file, &roles) { Ok(m) => m, Err(e) => { bad = Some(e.to_string()); break } };
                let mut graph = made.graph;
                graph.labels = Some(vec![label]);
                nodes = graph.nodes.len();
                let (_, x, _) = part("x");
                let n = x.len();
                let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
                let v: Vec<f32> = t["v"].1[s * 3 * n..][..3 * n].iter().map(|&v| v as f32).collect();
                let rel = |a: &dyn Fn(usize) -> f64, b: &[f64]| {
                    let m = b.iter().fold(0f64, |m, x| m.max(x.abs()));
                    b.iter().enumerate().map(|(i, b)| (a(i) - b).abs()).fold(0f64, |m, v| if v.is_nan() { f64::INFINITY } else { m.max(v) }) / m
                };
                let o = made.output.len();
                let (want, along) = (&t[&format!("{pre}f")].1[s * o..(s + 1) * o], &t[&format!("{pre}jvp")].1[s * 3 * o..][..3 * o]);
                match twin::evaluate(&graph, &Dual::along(&x, &v[..n]), 0) {
                    Ok(y) => { worst[0] = worst[0].max(rel(&|i| y[i].v, want)); worst[1] = worst[1].max(rel(&|i| y[i].d, &along[..o])); }
                    Err(e) => { bad = Some(format!("twin: {e}")); break }
                }
                if let Some(gpu) = &gpu {
                    let gpu = if device.as_deref() == Some("igemm") { gpu.clone().with_family(vorticity::target::KernelFamily::Gpu) } else { gpu.clone() };
                    let made = Evaluator::with_tangents(&gpu, &graph, &[0], Room { samples: 1, tangents: 3 });
                    let start = std::time::Instant::now();
                    match made.and_then(|mut e| e.jvp(&x, &v, &[0])) {
                        Ok((y, jv)) => { worst[2] = worst[2].max(rel(&|i| y[i] as f64, want)); worst[3] = worst[3].max(rel(&|i| jv[i] as f64, along)); }
                        Err(e) => { bad = Some(format!("device: {e}")); break }
                    }
                    seconds = start.elapsed().as_secs_f64();
                }
            }
            match bad {
                Some(e) => println!("{}: {e}", path.display()),
                None => println!("{}: twin {:.1e} {:.1e} device {:.1e} {:.1e} ({pre}) {nodes} nodes {seconds:.2} s", path.display(), worst[0], worst[1], worst[2], worst[3]),
            }
        }
    }
}
