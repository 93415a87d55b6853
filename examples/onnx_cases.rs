//! Temporary.
use std::collections::BTreeMap;
use vorticity::dual::Dual;
use vorticity::onnx::{Data, File, Tensor};
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
    for dir in std::env::args().skip(1) {
        let dir = std::path::Path::new(&dir);
        let Ok(text) = std::fs::read_to_string(dir.join("case.json")) else { continue };
        let case: serde_json::Value = serde_json::from_str(&text).unwrap();
        let t = load(&dir.join("case.safetensors"));
        for (name, f) in case["files"].as_object().unwrap() {
            let path = dir.join(name);
            if !path.exists() { println!("{}: absent", path.display()); continue }
            let start = std::time::Instant::now();
            let file = match File::open(&path) { Ok(f) => f, Err(e) => { println!("{}: {e}", path.display()); continue } };
            let (mut worst_f, mut worst_j) = (0f64, 0f64);
            let pre = if name == "model.onnx" && t.contains_key("graph.f") { "graph." } else { "" };
            let mut bad = None;
            for s in 0..2 {
                let mut inputs = BTreeMap::new();
                for i in f["inputs"].as_array().unwrap() {
                    let role = i["role"].as_str().unwrap();
                    let (shape, v, int) = &t[role];
                    let n = v.len() / shape[0];
                    let mut sh = shape.clone(); sh[0] = 1;
                    let own = &v[s * n..(s + 1) * n];
                    let tensor = if *int { Tensor::int(sh, own.iter().map(|&x| x as i64).collect()) } else if role == "x" {
                        let vv = &t["v"].1[s * 3 * n..][..n];
                        Tensor::float(sh, own.iter().zip(vv).map(|(&x, &d)| Dual::new(x, d)).collect())
                    } else { Tensor::float(sh, own.iter().map(|&x| Dual::constant(x)).collect()) };
                    inputs.insert(i["name"].as_str().unwrap(), tensor);
                }
                match file.evaluate(inputs) {
                    Err(e) => { bad = Some(e.to_string()); break }
                    Ok(out) => {
                        let Data::Float(y) = &out[0].data else { panic!() };
                        let n = y.len();
                        let rel = |a: &dyn Fn(usize) -> f64, b: &[f64]| {
                            let m = b.iter().fold(0f64, |m, x| m.max(x.abs()));
                            b.iter().enumerate().map(|(i, b)| (a(i) - b).abs()).fold(0f64, f64::max) / m
                        };
                        worst_f = worst_f.max(rel(&|i| y[i].v, &t[&format!("{pre}f")].1[s * n..(s + 1) * n]));
                        worst_j = worst_j.max(rel(&|i| y[i].d, &t[&format!("{pre}jvp")].1[s * 3 * n..][..n]));
                    }
                }
            }
            match bad {
                Some(e) => println!("{}: {e}", path.display()),
                None => println!("{}: f {worst_f:.1e} jvp {worst_j:.1e} ({pre}) {:.1} s", path.display(), start.elapsed().as_secs_f64()),
            }
        }
    }
}
