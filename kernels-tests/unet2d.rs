//! `UNet2DModel` over all its options: what diffusers wrote and answers in f64 (`tools/make_diffusers_matrix.py`), and
//! configurations that nobody would write.
use crate::common::{families, gpu, max_norm_error, noise};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Runs, TestRunner};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use vorticity::dual::Dual;
use vorticity::evaluate::{Evaluator, Room};
use vorticity::graph::Graph;
use vorticity::model::{Config, Given, Model, Said, init};
use vorticity::spec::Spec;
use vorticity::twin;
use vorticity::verify::{Case, verify};

/// The twin has scales and epsilons in f32 and all else in f64.
const TWIN: f64 = 3e-7;
/// f32 against f64, max norm.
const DEVICE: f64 = 2e-5;
/// diffusers' own sinusoidal embedding is float32: up to 3e-5 of a turn at t = 991.
const EMBEDDING: f64 = 3e-4;

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/unet2d");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 40, "{folders:?}");
    folders
}

/// The case's network, told the case's labels at timesteps 0 and 1 and under its conditions, if it has any; the case.
fn open(folder: &Path) -> (Graph, Case) {
    let case = Case::open(folder).unwrap();
    let labels = Spec::from(folder.join("case.safetensors").as_os_str()).with_tensor("class_labels");
    let conditions = case.has("class_labels").then(|| ("class_labels".to_string(), Given::parse(&labels)));
    let said = Said { conditions: conditions.into_iter().collect(), ..Said::default() };
    let mut graph = Model::open_said(folder, &said).unwrap().graph;
    let labels = if case.has("sigma") { "sigma" } else { "t" };
    graph.labels = Some(case.exactly(labels, 2, &[]).unwrap().to_vec());
    (graph, case)
}

fn f32s(case: &Case, name: &str, shape: &[usize]) -> Vec<f32> {
    case.exactly(name, 2, shape).unwrap().iter().map(|&v| v as f32).collect()
}

#[test]
fn every_option_is_as_in_diffusers() {
    let gpu = gpu();
    let mut worst = [[0f64; 2]; 3];
    for folder in folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let (graph, case) = open(&folder);
        let s = graph.end_shapes().unwrap()[0];
        let (d, shape) = (s.len(), [s.c, s.h, s.w]);
        let (x, v) = (f32s(&case, "x", &shape), f32s(&case, "v", &shape));
        let [y, plain, jvp] =
            ["y", "y_f32_embedding", "jvp"].map(|name| case.exactly(name, 2, &shape).unwrap().to_vec());
        let duals = [0, 1].map(|i| twin::evaluate(&graph, &Dual::along(&x[..d], &v[i * d..(i + 1) * d]), 0).unwrap());
        let under = [0, graph.rows.conditions() - 1];
        assert_eq!(under[1] == 1, case.has("class_labels"), "{name}");
        let other = twin::under(&graph, &Dual::lift(&x[d..]), 1, under[1]).unwrap();
        let value: Vec<f64> = duals[0].iter().chain(&other).map(|y| y.v).collect();
        let slopes: Vec<f64> = duals.iter().flatten().map(|y| y.d).collect();
        let mut errors = vec![("twin", far(&value, &y), far(&slopes, &jvp))];
        assert!(far(&value, &plain) < EMBEDDING, "{name}: {:e} with diffusers' embedding", far(&value, &plain));
        for family in families(&gpu) {
            let room = Room { samples: 2, tangents: 2, cotangents: 0 };
            let mut evaluator =
                Evaluator::with_tangents(&gpu.clone().with_family(family), &graph, &[0, 1], room).unwrap();
            let (got, derivatives) = evaluator.jvp_of(&x, &[&v[..], &v[..]].concat(), &[0, 1], &under).unwrap();
            errors.push((family.name(), max_norm_error(&got, &y), max_norm_error(&derivatives[..2 * d], &jvp)));
        }
        for (i, (who, value, slope)) in errors.into_iter().enumerate() {
            println!("{name:<30} {who:<5} values {value:.1e}, tangents {slope:.1e}");
            let most = if i == 0 { TWIN } else { DEVICE };
            assert!(value <= most && slope <= most, "{name} {who}: values {value:e}, tangents {slope:e}");
            worst[i.min(2)] = [worst[i.min(2)][0].max(value), worst[i.min(2)][1].max(slope)];
        }
    }
    let worst = worst.map(|[value, tangent]| format!("{value:.1e} {tangent:.1e}")).join(", ");
    println!("worst of twin, of the first family and of the second (values, tangents): {worst}");
}

/// max |got - want| / max |want|.
fn far(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(0f64, |m, w| m.max(w.abs()));
    got.iter().zip(want).fold(0f64, |m, (g, w)| m.max((g - w).abs())) / scale
}

/// A weight, an option and a type of block that are others are seen.
#[test]
fn another_option_is_another_network() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/unet2d");
    let changes = [
        ("mish", "act_fn", json!("gelu")),
        ("gelu", "act_fn", json!("relu")),
        ("positional", "norm_eps", json!(1e-3)),
        ("embedding_shifted_sine_first", "freq_shift", json!(0.5)),
        ("positional", "flip_sin_to_cos", json!(false)),
        ("scale_shift_attention_norm", "attn_norm_num_groups", json!(2)),
        ("mid_scaled", "mid_block_scale_factor", json!(2.4)),
        ("padding_0", "downsample_padding", json!(1)),
        ("centered", "center_input_sample", json!(false)),
        ("heads_null", "attention_head_dim", json!(1)),
        ("k_blocks", "act_fn", json!("mish")),
    ];
    for (name, key, value) in changes {
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "scheduler_config.json", "case.safetensors", "diffusion_pytorch_model.safetensors"]
        {
            fs::copy(root.join(name).join(file), folder.path().join(file)).unwrap();
        }
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config[key] = value;
        fs::write(&path, config.to_string()).unwrap();
        let (graph, case) = open(folder.path());
        let s = graph.end_shapes().unwrap()[0];
        let x = f32s(&case, "x", &[s.c, s.h, s.w]);
        let y = twin::evaluate(&graph, &Dual::lift(&x[..s.len()]), 0).unwrap();
        let y: Vec<f64> = y.iter().map(|y| y.v).collect();
        let error = far(&y, &case.exactly("y", 2, &[s.c, s.h, s.w]).unwrap()[..s.len()]);
        assert!(error > 1e-4, "{name} with another {key}: {error:e}");
    }
}

/// Labels of classes come from options or a config, one for the run or one per sample; each is another network.
#[test]
fn classes_are_given_and_nothing_else_will_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/unet2d");
    let open = |name: &str, given: &[(&str, &str)]| {
        let conditions = given.iter().map(|(name, value)| (name.to_string(), Given::parse(&Spec::from(*value))));
        Model::open_said(root.join(name), &Said { conditions: conditions.collect(), ..Said::default() })
    };
    let x = Dual::lift(&noise(64, 3));
    let value = |label: &str| open("class_table", &[("class_labels", label)]).unwrap().twin(&x, 5, 0).unwrap()[7].v;
    assert!(value("0") != value("4") && value("0") == value("0"));
    let model = open("class_table", &[("class_labels", "2")]).unwrap();
    assert!(
        model.facts.iter().any(|f| f.what == "condition" && f.value == "class_labels = 2" && f.source == "--condition")
    );
    for (name, given, said) in [
        ("class_table", &[][..], "condition 'class_labels': is not given, and the network takes [1]"),
        ("class_table", &[("class_labels", "5")], "condition 'class_labels': 5 is outside 0..=4"),
        ("class_table", &[("class_labels", "1.5")], "1.5, expected whole numbers"),
        ("class_table", &[("class_labels", "-1")], "-1 is outside 0..=4"),
        ("class_given", &[("class_labels", "1,2")], "the network takes [1, 8]"),
        (
            "class_number",
            &[("text", "1"), ("class_labels", "1")],
            "condition 'text': is none of the network's: the network takes class_labels",
        ),
        ("positional", &[("class_labels", "1")], "is none of the network's: the network takes none"),
    ] {
        let error = open(name, given).unwrap_err().to_string();
        assert!(error.contains(said), "{name}: {error}");
    }
    // `verify` takes the labels from the case, one for each sample.
    for name in ["class_table", "class_number", "class_given"] {
        let report = verify(&gpu(), &root.join(name)).unwrap();
        assert!(report.passed() && report.rows.len() >= 4, "{name}: {:?}", report.rows);
    }
    let guided = Said { guidance: Some(2.0), ..Said::default() };
    let error = Model::open_said(root.join("positional"), &guided).unwrap_err().to_string();
    assert!(error.contains("guidance: the network takes no condition to be guided by"), "{error}");
}

/// Guidance is two networks of the same weights in one program: values and tangents go along.
#[test]
fn classes_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/unet2d");
    let class = |label: f64| BTreeMap::from([("class_labels".to_string(), Given::Number(label))]);
    let of = |said: &Said| Model::open_said(root.join("class_table"), said).unwrap();
    let single = |label: f64| of(&Said { conditions: class(label), ..Said::default() });
    let guided = of(&Said { conditions: class(1.0), null: class(4.0), guidance: Some(3.0), ..Said::default() });
    let [cond, null] = [single(1.0), single(4.0)];
    assert_eq!(guided.parameters, cond.parameters, "weights are counted once");
    let (x, v) = (noise(64, 3), noise(64, 4));
    let beyond = |c: f64, n: f64| n + 3.0 * (c - n);
    let twin = |model: &Model| model.twin(&Dual::along(&x, &v), 5, 0).unwrap();
    let pairs: Vec<_> = twin(&cond).into_iter().zip(twin(&null)).collect();
    for (y, (c, n)) in twin(&guided).iter().zip(&pairs) {
        assert!((y.v - beyond(c.v, n.v)).abs() < 1e-12 && (y.d - beyond(c.d, n.d)).abs() < 1e-12);
    }
    let gpu = gpu();
    for family in families(&gpu) {
        let gpu = gpu.clone().with_family(family);
        let room = Room { samples: 1, tangents: 1, cotangents: 0 };
        let (y, jv) = Evaluator::with_tangents(&gpu, &guided.graph, &[5], room).unwrap().jvp(&x, &v, &[5]).unwrap();
        let (want_y, want_jv): (Vec<f64>, Vec<f64>) =
            pairs.iter().map(|(c, n)| (beyond(c.v, n.v), beyond(c.d, n.d))).unzip();
        let errors = [max_norm_error(&y, &want_y), max_norm_error(&jv, &want_jv)];
        assert!(errors.iter().all(|e| *e < DEVICE), "{}: {errors:?}", family.name());
    }
}

/// A configuration that `init` takes, and the message if it does not.
fn built(hyper: &Value) -> Result<Graph, String> {
    let vp = json!({"kind": "vp", "schedule": "linear", "timesteps": 10});
    let ve = json!({"kind": "ve", "sigma_min": 0.01, "sigma_max": 50.0, "timesteps": 10});
    let told = if hyper["time_embedding_type"] == "fourier" { ve } else { vp };
    let config = json!({
        "vorticity_config": 1, "family": "unet2d_diffusers", "hyper": hyper, "process": told, "prediction": "eps",
        "data_range": [-1.0, 1.0],
    });
    let config = Config::parse(&config.to_string(), Path::new("config.json")).unwrap();
    let said = |e: vorticity::error::Error| {
        assert_eq!(e.exit_code(), 2, "{e}");
        e.to_string()
    };
    let made = init(&config, 3).map_err(said)?;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), &made.config).unwrap();
    fs::write(folder.path().join("model.safetensors"), &made.weights).unwrap();
    Ok(Model::open(folder.path()).map_err(said)?.graph)
}

/// A network of a few hundred numbers.
fn small() -> Map<String, Value> {
    let Value::Object(map) = json!({
        "_class_name": "UNet2DModel", "_diffusers_version": "0.42.1", "_name_or_path": "somewhere", "sample_size": 4,
        "in_channels": 1, "out_channels": 1, "block_out_channels": [2, 4], "layers_per_block": 1, "norm_num_groups": 2,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": 2, "time_embedding_dim": 4,
    }) else {
        unreachable!()
    };
    map
}

/// Values that one key might get: sound ones, and such as are a slip or an attack.
fn value(key: &'static str) -> BoxedStrategy<Value> {
    let blocks = |way: &str| {
        let names = ["", "Attn", "Skip", "AttnSkip", "K", "KCrossAttn", "CrossAttn", "UNetRes"];
        let mut names: Vec<Value> = names.iter().map(|n| json!(format!("{n}{way}Block2D"))).collect();
        names.extend([json!(format!("Resnet{way}sampleBlock2D")), json!("DownEncoderBlock2D"), json!(""), json!(7)]);
        prop::collection::vec(select(names), 1..4).prop_map(Value::Array).boxed()
    };
    let known: BoxedStrategy<Value> = match key {
        "down_block_types" => blocks("Down"),
        "up_block_types" => blocks("Up"),
        "block_out_channels" => prop::collection::vec(select(vec![0usize, 1, 2, 3, 4, 8, 32, 64]), 0..4)
            .prop_map(|widths| json!(widths))
            .boxed(),
        "sample_size" => {
            select(vec![json!(1), json!(2), json!(5), json!(8), json!([4, 6]), json!([3, 8]), json!([4]), json!(null)])
                .boxed()
        }
        "act_fn" => select(vec!["silu", "SWISH", "mish", "gelu", "relu", "tanh"]).prop_map(Value::from).boxed(),
        "time_embedding_type" => select(vec!["positional", "fourier", "learned", "x"]).prop_map(Value::from).boxed(),
        "resnet_time_scale_shift" => select(vec!["default", "scale_shift", "spatial"]).prop_map(Value::from).boxed(),
        "downsample_type" | "upsample_type" => select(vec!["conv", "resnet", ""]).prop_map(Value::from).boxed(),
        "mid_block_type" => select(vec![json!(null), json!("UNetMidBlock2D"), json!("x")]).boxed(),
        "num_train_timesteps" => select(vec![json!(null), json!(10), json!(9), json!(u64::MAX)]).boxed(),
        "_use_default_values" => select(vec![json!(["layers_per_block", "sample_size"]), json!([]), json!(3)]).boxed(),
        _ => {
            select(vec![json!(0), json!(1), json!(2), json!(3), json!(4), json!(1.5), json!(true), json!(null)]).boxed()
        }
    };
    let strange = select(vec![
        json!(-1),
        json!(1e300),
        json!(1e-320),
        json!(u64::MAX),
        json!(65),
        json!(16385),
        json!("\u{1b}[31m"),
        json!({"a": [1]}),
        json!([[]]),
        json!(null),
        json!(false),
    ]);
    prop_oneof![9 => known, 1 => strange].boxed()
}

/// `init` of a network of two levels with these options, for `errors`.
#[cfg(feature = "cli")]
pub fn init_with(folder: &Path, options: &Value) -> Vec<String> {
    let mut config = json!({
        "vorticity_config": 1, "family": "unet2d_diffusers", "prediction": "eps", "data_range": [-1.0, 1.0],
        "process": {"kind": "vp", "schedule": "linear", "timesteps": 10}, "hyper": small(),
    });
    config["hyper"].as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let (file, out) = (folder.join("unet2d.json"), folder.join("made"));
    fs::write(&file, config.to_string()).unwrap();
    ["init", "unet2d_diffusers", "--config", file.to_str().unwrap(), "--out", out.to_str().unwrap()]
        .map(String::from)
        .into()
}

const KEYS: &[&str] = &[
    "sample_size",
    "in_channels",
    "out_channels",
    "center_input_sample",
    "time_embedding_type",
    "time_embedding_dim",
    "freq_shift",
    "flip_sin_to_cos",
    "down_block_types",
    "mid_block_type",
    "up_block_types",
    "block_out_channels",
    "layers_per_block",
    "mid_block_scale_factor",
    "downsample_padding",
    "downsample_type",
    "upsample_type",
    "dropout",
    "act_fn",
    "attention_head_dim",
    "norm_num_groups",
    "attn_norm_num_groups",
    "norm_eps",
    "resnet_time_scale_shift",
    "add_attention",
    "class_embed_type",
    "num_class_embeds",
    "num_train_timesteps",
    "_use_default_values",
    "no_such_key",
];

/// 200 mixes of options: each becomes a network that answers, or is refused in one line that a terminal shows as it is.
#[test]
fn no_mix_of_options_is_a_panic() {
    let mix =
        prop::collection::vec(select(KEYS).prop_flat_map(|key| value(key).prop_map(move |value| (key, value))), 1..4);
    let (mut ran, mut refused) = (0, 0);
    let mut runner = TestRunner::new_with_rng(
        Runs { cases: 200, failure_persistence: None, ..Runs::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let outcome = std::cell::RefCell::new((&mut ran, &mut refused));
    runner
        .run(&mix, |mix| {
            let mut hyper = small();
            hyper.extend(mix.iter().map(|(key, value)| (key.to_string(), value.clone())));
            let mut count = outcome.borrow_mut();
            match built(&Value::Object(hyper)) {
                Err(said) => {
                    *count.1 += 1;
                    prop_assert!(said.contains(": ") && !said.chars().any(char::is_control), "{:?}", said);
                }
                Ok(graph) => {
                    *count.0 += 1;
                    let [shape, made] = graph.end_shapes().unwrap();
                    prop_assert_eq!(shape, made);
                    if shape.len() <= 1 << 12 {
                        let y = twin::evaluate(&graph, &Dual::lift(&noise(shape.len(), 5)), 3);
                        prop_assert!(y.is_ok_and(|y| y.len() == shape.len()));
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    println!("{ran} mixes of options run, {refused} are refused");
    assert!(ran > 30 && refused > 30, "{ran} {refused}");
}

/// What is not supported is named, with what was found.
#[test]
fn every_key_is_used_or_refused_by_name() {
    type Change = (&'static str, Value, &'static [&'static str]);
    let cases: &[Change] = &[
        ("no_such_key", json!(3), &["unknown key `no_such_key` (3)"]),
        ("quantization_config", json!({}), &["unknown key `quantization_config`"]),
        ("class_embed_type", json!("foo"), &["class_embed_type 'foo' is not one of timestep, identity"]),
        ("num_class_embeds", json!(0), &["num_class_embeds 0, expected 1..=1048576 classes"]),
        ("out_channels", json!(2), &["in_channels 1 and out_channels 2 differ"]),
        ("sample_size", json!(null), &["sample_size is null", "--shape"]),
        ("sample_size", json!(5), &["sample_size 5x5", "downsample_padding"]),
        ("sample_size", json!("8"), &["sample_size \"8\""]),
        ("downsample_padding", json!(2), &["downsample_padding 2"]),
        ("norm_eps", json!("small"), &["norm_eps \"small\"", "invalid type"]),
        ("norm_eps", json!(-1), &["norm_eps -1"]),
        ("norm_num_groups", json!(null), &["norm_num_groups is null", "down_blocks.0"]),
        ("norm_num_groups", json!(3), &["down_blocks.0.resnets.0.norm1", "3 equal groups"]),
        ("act_fn", json!("tanh"), &["act_fn 'tanh'", "mish"]),
        ("attention_head_dim", json!(0), &["attention_head_dim 0", "down_blocks.1.attentions.0"]),
        ("attention_head_dim", json!(100), &["attention_head_dim 100", "4 channels"]),
        ("resnet_time_scale_shift", json!("spatial"), &["resnet_time_scale_shift 'spatial'"]),
        ("time_embedding_type", json!("x"), &["time_embedding_type 'x'", "learned"]),
        ("time_embedding_type", json!("learned"), &["num_train_timesteps null"]),
        ("freq_shift", json!(1), &["freq_shift 1"]),
        ("mid_block_type", json!("UNetMidBlock2DCrossAttn"), &["mid_block_type 'UNetMidBlock2DCrossAttn'"]),
        ("mid_block_scale_factor", json!(0), &["mid_block_scale_factor 0"]),
        ("dropout", json!(2), &["dropout 2"]),
        ("down_block_types", json!(["DownBlock2D"]), &["2 block_out_channels"]),
        ("down_block_types", json!(["DownBlock2D", "CrossAttnDownBlock2D"]), &["'CrossAttnDownBlock2D'", "a text"]),
        ("down_block_types", json!(["DownEncoderBlock2D", "DownBlock2D"]), &["'DownEncoderBlock2D'", "cannot run"]),
        ("up_block_types", json!(["UpBlock2D", "UpDecoderBlock2D"]), &["'UpDecoderBlock2D'", "cannot run"]),
        ("up_block_types", json!(["UpBlock2D", "Block"]), &["'Block' is not one of UpBlock2D"]),
        ("down_block_types", json!(["AttnDownBlock2D", "SkipDownBlock2D"]), &["0 equal groups"]),
        ("downsample_type", json!("fir"), &[]),
        ("upsample_type", json!("fir"), &["upsample_type 'fir' of up_blocks.0"]),
        ("_anything", json!([1, 2]), &[]),
    ];
    for (key, value, expected) in cases {
        let mut hyper = small();
        hyper.insert(key.to_string(), value.clone());
        match built(&Value::Object(hyper)) {
            Ok(_) => assert!(expected.is_empty(), "{key} {value} is taken"),
            Err(said) => {
                assert!(!expected.is_empty(), "{key} {value}: {said}");
                expected.iter().for_each(|e| assert!(said.contains(e), "'{e}' not in '{said}'"));
            }
        }
    }
}
