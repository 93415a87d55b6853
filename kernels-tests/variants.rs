//! Variants of the convolutions: those that the adapter has do not depend on a lane's company; two f16 for each f32 are as
//! exact as stated; the tuner keeps what it timed, and a run says which variants it had.
use crate::common::{gpu, noise};
use half::f16;
use vorticity::choice::{Choices, Class};
use vorticity::evaluate::Evaluator;
use vorticity::ops::conv::VARIANTS;
use vorticity::selftest::{VARIED, graph_of, tested, variants};
use vorticity::target::KernelFamily;

/// A sample has the same bits alone and among others, in every variant.
#[test]
fn company_changes_no_bit() {
    let own = gpu();
    for variant in [&VARIANTS[0]].into_iter().chain(variants(&own).0) {
        let gpu = own.clone().with_choices(Choices::always(variant.name));
        let cases: Vec<_> = tested().filter(|op| VARIED.contains(&op.0)).flat_map(|op| (op.1)()).collect();
        let named = |name: &str| cases.iter().find(|case| case.name == name).unwrap();
        for case in [named("1x1 132->16, two chunks, SiLU"), named("4x4 stride 2, 3->5")] {
            let graph = graph_of(case).unwrap();
            let (input, ks) = (graph.end_shapes().unwrap()[0].len(), [0, 3, 3, 0, 4]);
            let mut evaluator =
                Evaluator::new(&gpu.clone().with_family(KernelFamily::Gpu), &graph, &[0, 3, 4], ks.len()).unwrap();
            // Neighbours of very different sizes: what is scaled must not be scaled by them.
            let size = |i: usize| 10f32.powi((i / input % 5) as i32 * 4 - 8);
            let x: Vec<f32> = noise(ks.len() * input, 3).iter().enumerate().map(|(i, v)| v * size(i)).collect();
            let all = evaluator.evaluate(&x, &ks).unwrap();
            let each = x.chunks(input).zip(ks).flat_map(|(x, k)| evaluator.evaluate(x, &[k]).unwrap());
            let bits = |y: &[f32]| y.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&all), bits(&each.collect::<Vec<_>>()), "{}: {}", variant.name, case.name);
        }
    }
}

/// What `conv_coop` does with one sum: factors as (h + 2^-11 l) / s, three products or the first alone, f32 sums that are
/// folded every 512 products.
fn split_sum(x: &[f32], w: &[f32], products: usize) -> f64 {
    let scale = |v: &[f32]| {
        let most = v.iter().fold(0f32, |most, v| most.max(v.abs()));
        2f32.powi((11 - ((most.to_bits() >> 23) as i32 - 127)).clamp(-126, 126))
    };
    let (sx, sw) = (scale(x), scale(w));
    let parts = |v: f32, s: f32| {
        let high = f16::from_f32(v * s).to_f32();
        [high, f16::from_f32((v * s - high) * 2048.0).to_f32()]
    };
    let mut total = 0f32;
    for (x, w) in x.chunks(512).zip(w.chunks(512)) {
        let (mut high, mut low) = (0f32, 0f32);
        for (x, w) in x.iter().zip(w) {
            let (x, w) = (parts(*x, sx), parts(*w, sw));
            high += x[0] * w[0];
            if products == 3 {
                low += x[1] * w[0];
                low += x[0] * w[1];
            }
        }
        total += high + low / 2048.0;
    }
    f64::from(total) / f64::from(sx) / f64::from(sw)
}

/// The bound in the shader's card holds where sizes are very different, at any scale; f16 alone is far from it.
#[test]
fn two_f16_are_as_exact_as_stated() {
    let mut worst_alone = 0f64;
    for (seed, spread) in [(1, 0), (2, 3), (3, 6)] {
        for (size, length) in [(1.0, 128), (1e-30, 1152), (1e30, 4608), (1e-3, 4608)] {
            let spread = |(i, v): (usize, &f32)| v * size * 10f32.powi(-((i * 7 % (spread + 1)) as i32));
            let x: Vec<f32> = noise(length, seed).iter().enumerate().map(spread).collect();
            let w = noise(length, seed + 9);
            let exact =
                |f: fn(f64) -> f64| x.iter().zip(&w).map(|(x, w)| f(f64::from(*x) * f64::from(*w))).sum::<f64>();
            let (y, all) = (exact(|v| v), exact(f64::abs));
            // A scalar sum in f32 of 512 products in a row, where hardware sums 16 at once.
            let bound = 3.0 * 2f64.powi(-22) + 512.0 * 2f64.powi(-24);
            let error = (split_sum(&x, &w, 3) - y).abs() / all;
            assert!(error <= bound, "{size} {length}: {error:e}");
            assert!(error <= 1e-6, "{size} {length}: {error:e}"); // what f32 itself is off by
            worst_alone = worst_alone.max((split_sum(&x, &w, 1) - y).abs() / all);
        }
    }
    assert!(worst_alone > 1e-5, "{worst_alone:e}");
    assert_eq!(split_sum(&[0.0; 16], &noise(16, 1), 3), 0.0);
}

#[test]
fn choices_are_read_as_they_were_written() {
    let class = |inputs| Class { kernel: 3, stride: 1, inputs, outputs: 64, pixels_log2: 10, half: false };
    let mut choices = Choices::default();
    choices.set(&class(32), "igemm 128x64");
    choices.set(&class(64), "igemm 64x64");
    assert_eq!(choices.json()["conv 3x3/1 32>64 2^10 f32"], "igemm 128x64");
    let known = ["igemm 64x64", "igemm 128x64"];
    assert_eq!(Choices::parse("here", &choices.json(), &known).unwrap(), choices);
    assert_eq!((choices.of(&class(32)), choices.of(&class(1))), (Some("igemm 128x64"), None));
    // What is the default is no choice.
    let only = choices.of_classes(&[class(1), class(32), class(64)], "igemm 64x64");
    assert_eq!(only.names().collect::<Vec<_>>(), ["igemm 128x64"]);
    assert!(choices.of_classes(&[class(64)], "igemm 64x64").is_empty());
    let error = Choices::parse("here", &choices.json(), &known[..1]).unwrap_err().to_string();
    assert!(error.contains("here") && error.contains("igemm 128x64"), "{error}");
}

#[test]
fn the_version_of_wgpu_is_the_one_that_is_built() {
    let lock = include_str!("../Cargo.lock");
    assert!(
        lock.contains(&format!("name = \"wgpu\"\nversion = \"{}\"", vorticity::gpu::WGPU)),
        "{}",
        vorticity::gpu::WGPU
    );
}

#[cfg(feature = "cli")]
mod verbs {
    use crate::cli::{refused, text, vorticity};
    use crate::networks::model;
    use crate::output::document;
    use crate::resume::same;
    use serde_json::{Value, json};
    use std::fs;
    use std::path::Path;
    use vorticity::ops::conv::VARIANTS;

    /// One small circulation; the exit code and standard error.
    fn run(folder: &Path, out: &str, tune: &str, more: &[&str]) -> (Option<i32>, String) {
        let (model, images) = (folder.join("model"), folder.join("images-idx3-ubyte"));
        let out = folder.join(out);
        let arguments = ["circulation", text(&model), "--data", text(&images), "--timesteps", "3", "--samples", "2"];
        let rest =
            ["--points", "20", "--paths", "rotation", "--quadrature-check", "0", "--out", text(&out), "--tune", tune];
        let mut command = vorticity(&[&arguments[..], &rest[..], more].concat());
        let output = command.env("XDG_CACHE_HOME", folder.join("cache")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What `inspect` says of the same model.
    fn inspected(folder: &Path, more: &[&str]) -> Value {
        let mut command = vorticity(&["inspect", text(&folder.join("model")), "--json"]);
        if let Ok(adapter) = std::env::var("VORTICITY_ADAPTER") {
            command.args(["--adapter", &adapter]);
        }
        let output = command.args(more).env("XDG_CACHE_HOME", folder.join("cache")).output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Both name the same kernels, or say nothing of them.
    fn same_kernels(manifest: &Value, inspected: &Value) {
        for key in ["adapter", "kernels", "variants", "attention"] {
            assert_eq!(manifest.get(key), inspected.get(key), "{key}");
        }
        assert_eq!(inspected["not_timed"], 0);
    }

    #[test]
    #[cfg(target_os = "linux")] // elsewhere caches lie where no variable says
    fn the_tuner_keeps_what_it_timed() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::create_dir(at.join("model")).unwrap();
        model(&at.join("model"));
        let head = [0x803u32, 2, 12, 12].map(u32::to_be_bytes).concat();
        fs::write(at.join("images-idx3-ubyte"), [head, (0..288).map(|i| (i * 37 + 11) as u8).collect()].concat())
            .unwrap();
        let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();

        // A run times first what `inspect` says is not timed.
        let before = inspected(at, &["--tune", "force"]);
        assert!(before["not_timed"].as_u64().unwrap() > 3 && before.get("variants").is_none(), "{before}");
        assert!(!at.join("cache/vorticity").exists(), "inspect timed something");
        let (code, said) = run(at, "first", "force", &[]);
        assert!(code == Some(0) && said.contains("timing") && said.contains("kinds of convolution"), "{said}");
        let files: Vec<_> = fs::read_dir(at.join("cache/vorticity")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let mut cache = read(&files[0]);
        let timed = cache["variants"].as_object().unwrap().clone();
        assert!(timed.len() > 3, "{cache}");
        assert!(cache["seconds"].as_object().unwrap().values().all(|s| s.as_object().unwrap().len() >= 3), "{cache}");

        // Other choices than those timed, in the cache: no timing, and they are what runs and what the manifest says.
        let other = VARIANTS[2].name;
        for variant in cache["variants"].as_object_mut().unwrap().values_mut() {
            *variant = json!(other);
        }
        fs::write(&files[0], cache.to_string()).unwrap();
        let (code, said) = run(at, "second", "force", &[]);
        assert!(code == Some(0) && !said.contains("timing"), "{said}");
        let manifest = read(&at.join("second/manifest.json"));
        assert_eq!((&manifest["kernels"], &manifest["variants"]), (&json!("igemm"), &cache["variants"]));
        same_kernels(&manifest, &inspected(at, &["--tune", "force"]));

        // The same from the manifest; the size of tiles changes nothing.
        let pinned = at.join("second/manifest.json");
        let (code, said) = run(at, "third", text(&pinned), &["--tile", "3"]);
        assert_eq!(code, Some(0), "{said}");
        same(&at.join("third"), &at.join("second"));
        same_kernels(&read(&at.join("third/manifest.json")), &inspected(at, &["--tune", text(&pinned)]));

        // Where nobody says anything, and where attention is told.
        for (out, more) in [("plain", &[][..]), ("apart", &["--attention", "apart"])] {
            let (code, said) = run(at, out, "off", more);
            assert_eq!(code, Some(0), "{said}");
            let manifest = read(&at.join(out).join("manifest.json"));
            same_kernels(&manifest, &inspected(at, &[&["--tune", "off"], more].concat()));
            assert_eq!(manifest.get("attention").is_some(), out == "apart");
        }
        let named = inspected(at, &["--kernels", "cc", "--attention", "apart"]);
        assert!(named["kernels"] == "cc" && named["attention"] == "apart", "{named}");
        assert!(named.get("adapter").is_none(), "{named}");

        // Shards of different variants are not joined, and the difference is shown.
        let none = at.join("none.json");
        fs::write(&none, json!({ "variants": {} }).to_string()).unwrap();
        for (out, tune, shard) in [("one", text(&pinned), "1/2"), ("two", text(&none), "2/2")] {
            let (code, said) = run(at, out, tune, &["--shard", shard]);
            assert_eq!(code, Some(0), "{said}");
        }
        let joined = at.join("joined");
        refused(
            &["merge", text(&at.join("one")), text(&at.join("two")), "--out", text(&joined)],
            2,
            &["variants.conv", "found"],
            &joined,
        );

        // Damaged: said, and made anew.
        fs::write(&files[0], "{").unwrap();
        let (code, said) = run(at, "fourth", "force", &[]);
        assert!(code == Some(0) && said.contains("made anew") && said.contains("timing"), "{said}");
        assert_eq!(read(&files[0])["variants"].as_object().unwrap().len(), timed.len());

        // Unknown variants in a file that was named are refused.
        let mut wrong = read(&pinned);
        wrong["variants"] = json!({ "conv 3x3/1 1>8 2^7 f32": "igemm 1x1" });
        let (file, out) = (at.join("wrong.json"), at.join("fifth"));
        fs::write(&file, wrong.to_string()).unwrap();
        let (code, said) = run(at, "fifth", text(&file), &[]);
        assert!(code == Some(2) && said.contains("igemm 1x1") && !out.exists(), "{said}");

        // What `bench` times has them too.
        let network = at.join("model");
        let timing = ["bench", text(&network), "--tile", "2", "--rounds", "1", "--tune", text(&pinned)];
        let (code, timed) = document(&timing);
        assert_eq!((code, &timed["kernels"]), (Some(0), &json!("igemm")));
        let variants = timed["variants"].as_object().unwrap();
        assert!(!variants.is_empty() && variants.values().all(|v| v == other), "{variants:?}");
    }

    /// A network against its golden case, all convolutions by one variant.
    #[test]
    fn a_variant_is_verified() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/golden/diffusers_ddpm");
        let variant = VARIANTS[1].name;
        let (code, document) = document(&["verify", folder, "--kernels", variant]);
        assert_eq!(
            (code, &document["passed"], &document["cases"][0]["kernels"]),
            (Some(0), &json!(true), &json!(variant))
        );
        let empty = tempfile::tempdir().unwrap();
        let wrong = ["verify", folder, "--kernels", "igemm 1x1"];
        refused(&wrong, 2, &["--kernels", "'igemm 1x1'", variant], &empty.path().join("none"));
    }
}
