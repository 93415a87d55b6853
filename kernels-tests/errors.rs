//! What bad input is told: every row of docs/ERRORS.md is a command here, and every command a row. Most need no adapter.
use crate::bad::{
    ROOT, arguments, data, elsewhere, encoded, floats, folder_of, gzipped, idx, inspect, journal, merge, model, npy,
    onnx, pictures, replaced, safetensors, scheduler, scores, seed, setting, shard, tensors, verb,
};
use crate::cli::{text, vorticity};
use crate::onnx_bytes::{Model, beside, floats as onnx_floats};
use crate::page::{numbers, table, written};
use crate::unet2d::init_with;
use crate::weights::Stored;
use assert_cmd::Command;
use safetensors::Dtype;
use serde_json::json;
use std::fs;
use std::path::Path;

/// A row of docs/ERRORS.md: what is wrong, what is said (" .. " stands for anything), the exit code, and how to get there:
/// the arguments, once the files lie in the folder that is given.
type Row = (&'static str, &'static str, i32, fn(&Path) -> Vec<String>);

const BIAS: &str = "final_conv.bias";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Weights.
    ("weights cut short", "model.safetensors: not a whole safetensors file: holds .. bytes of tensors, its header promises ..", 2,
        |d| replaced(d, "model.safetensors", |b| b[..b.len() - 1].to_vec())),
    ("header of 2^60 bytes", "model.safetensors: not a whole safetensors file: has a safetensors header of 1152921504606846976 bytes, expected at most 100000000", 2,
        |d| replaced(d, "model.safetensors", |b| [&(1u64 << 60).to_le_bytes(), &b[8..]].concat())),
    ("two tensors of one name", "not a whole safetensors file: has a bad safetensors header: two tensors 'a'", 2,
        |d| replaced(d, "model.safetensors", |_| safetensors(r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, &[0]))),
    ("tensors that overlap", "not a whole safetensors file: has a bad safetensors header: invalid offset for tensor `b`", 2,
        |d| replaced(d, "model.safetensors", |_| safetensors(r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#, &[0; 3]))),
    ("tensor missing", "model.safetensors: tensor 'final_conv.bias': missing, expected shape [1]", 2,
        |d| tensors(d, |t| drop(t.remove(BIAS)))),
    ("tensor of another shape", "tensor 'final_conv.bias': shape [1, 1], expected [1]", 2,
        |d| tensors(d, |t| t.get_mut(BIAS).unwrap().shape = vec![1, 1])),
    ("tensor of integers", "tensor 'final_conv.bias': type I32, expected F32, F16, BF16 or F64", 2,
        |d| tensors(d, |t| t.get_mut(BIAS).unwrap().dtype = Dtype::I32)),
    ("weight that is NaN", "tensor 'final_conv.bias': element 0 is NaN, expected finite numbers", 2,
        |d| tensors(d, |t| drop(t.insert(BIAS.into(), Stored::f32(&[1], &[f32::NAN]))))),
    ("weight beyond f32, in f64", "tensor 'final_conv.bias': element 0 is inf, expected finite numbers", 2,
        |d| tensors(d, |t| drop(t.insert(BIAS.into(), Stored { dtype: Dtype::F64, shape: vec![1], bytes: 1e300f64.to_le_bytes().to_vec() })))),
    ("tensor that no layer takes", "tensor '../x' is not part of this network", 2,
        |d| tensors(d, |t| drop(t.insert("../x".into(), Stored::f32(&[1], &[0.0]))))),
    // Configurations.
    ("no model directory", "there is no such file or directory; a model is a folder with config.json and model.safetensors", 2,
        |d| inspect(&d.join("model"))),
    ("config.json that is no JSON", "config.json: expected value at line 1 column 1", 2,
        |d| replaced(d, "config.json", |_| b"model".to_vec())),
    ("config.json 1000 levels deep", "config.json: recursion limit exceeded", 2,
        |d| replaced(d, "config.json", |_| ["[".repeat(1000), "]".repeat(1000)].concat().into_bytes())),
    ("config.json that is a folder", "config.json: is not a regular file", 2,
        |d| { let m = model(d, |_, _| ()); fs::remove_file(m.join("config.json")).unwrap(); fs::create_dir(m.join("config.json")).unwrap(); inspect(&m) }),
    ("key misspelt", "config.json: unknown field `datarange`, expected one of", 2,
        |d| inspect(&model(d, |_, c| c["datarange"] = json!(1)))),
    ("number that is text", "model: hyper: invalid type: string \"four\", expected usize", 2,
        |d| setting(d, "/hyper/base_dim", json!("four"))),
    ("family unknown", "model: family: 'resnet' is not known; known: mnist_shuffle_unet, ..", 2,
        |d| setting(d, "/family", json!("resnet"))),
    ("size absurd", "model: hyper: .. every size must be in 1..=16384", 2,
        |d| setting(d, "/hyper/base_dim", json!(1u64 << 40))),
    ("timesteps absurd", "process.timesteps: 1000000000000 is outside 1..=1000000", 2,
        |d| setting(d, "/process/timesteps", json!(1_000_000_000_000u64))),
    ("autoencoder of another class", "config.json: _class_name \"AutoencoderTiny\" is no autoencoder that is known: AutoencoderKL, VQModel", 2,
        |d| encoded(d, json!({"_class_name": "AutoencoderTiny"}))),
    ("key of an autoencoder misspelt", "config.json: hyper.scaling_facter: 0.5: not a known key of VQModel; what it would change is not known either", 2,
        |d| encoded(d, json!({"_class_name": "VQModel", "scaling_facter": 0.5}))),
    ("pipeline without its autoencoder", "vqvae: is a part of the pipeline, by its index, and is not there: the network works on that autoencoder's latents, not on images", 2,
        |d| { fs::create_dir(d.join("unet")).unwrap(); fs::write(d.join("unet/config.json"), r#"{"_class_name": "UNet2DModel"}"#).unwrap();
            fs::write(d.join("model_index.json"), r#"{"vqvae": ["diffusers", "VQModel"]}"#).unwrap(); inspect(d) }),
    ("schema of another version", "config.json: schema version 2, this program reads 1", 2,
        |d| setting(d, "/vorticity_config", json!(2))),
    ("data range reversed", "config.json: data_range [1, -1] is not an increasing pair of numbers", 2,
        |d| setting(d, "/data_range", json!([1, -1]))),
    // Folders of diffusers.
    ("option that UNet2DModel has not", "hyper: unknown key `act_fun` (\"silu\"): UNet2DModel has no such option", 2,
        |d| init_with(d, &json!({"sample_size": 8, "act_fun": "silu"}))),
    ("size of a network's samples left open", "hyper: sample_size is null, the class's default: it has to be given, as --shape CxHxW or in config.json", 2,
        |d| init_with(d, &json!({"sample_size": null}))),
    ("size that does not halve", "hyper: sample_size 9x9, downsample_padding 1: up_blocks.1.resnets.0 has 10x10 pixels and its skip connection 9x9; every halving wants even sides, ..", 2,
        |d| init_with(d, &json!({"sample_size": 9}))),
    ("block that UNet2DModel cannot run", "hyper: block type 'CrossAttnDownBlock2D' attends to a text, of which UNet2DModel knows nothing", 2,
        |d| init_with(d, &json!({"sample_size": 8, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"]}))),
    ("folder of diffusers without its scheduler", "scheduler_config.json: missing, and so is .. it says what noise the network was trained on", 2,
        |d| folder_of(d, "scheduler_config.json", None)),
    ("weights that are a pointer of Git LFS", "diffusion_pytorch_model.safetensors: is a pointer of Git LFS to a file of 707396 bytes, which was not fetched: run 'git lfs pull'", 2,
        |d| folder_of(d, "diffusion_pytorch_model.safetensors", Some("version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 707396\n"))),
    ("weights as .bin only", "diffusion_pytorch_model.safetensors: missing: the folder holds weights as diffusion_pytorch_model.bin only, which may run code when they are read; write them as safetensors: ..", 2,
        |d| { fs::write(d.join("diffusion_pytorch_model.bin"), "").unwrap(); folder_of(d, "diffusion_pytorch_model.safetensors", None) }),
    ("index that leads out of its folder", "index.json: tensor 'a': is said to lie in \"../b.safetensors\", expected the name of a file beside it", 2,
        |d| folder_of(d, "diffusion_pytorch_model.safetensors.index.json", Some(r#"{"weight_map": {"a": "../b.safetensors"}}"#))),
    ("index of a shard that is not there", "index.json: tensor 'a': is said to lie in b.safetensors, which is missing", 2,
        |d| folder_of(d, "diffusion_pytorch_model.safetensors.index.json", Some(r#"{"weight_map": {"a": "b.safetensors"}}"#))),
    // ONNX files.
    ("ONNX file cut short", "model.onnx: the file ends inside a field that begins at byte 2 of ..: a download that broke off?", 2,
        |d| { let whole = Model::of(&[1, 2]).node("Relu", &["x"], &["y"], &[]).bytes(); onnx(d, &whole[..whole.len() / 2]) }),
    ("pickle as an ONNX file", "model.onnx: not an ONNX file; it looks like a pickle: a checkpoint of torch?", 2,
        |d| onnx(d, b"\x80\x02}q\x00.")),
    ("ONNX file of a version to come", "model.onnx: opset 99 of the default domain is newer than 28, the newest that is supported", 2,
        |d| onnx(d, &Model { opset: 99, ..Model::of(&[1, 2]).node("Relu", &["x"], &["y"], &[]) }.bytes())),
    ("ONNX nodes in a circle", "model.onnx: node 'the Add' reads 'b' before node 'the Relu' makes it: the graph has a cycle, or is not in order", 2,
        |d| onnx(d, &Model::of(&[1, 2]).node("Add", &["x", "b"], &["y"], &[]).node("Relu", &["y"], &["b"], &[]).bytes())),
    ("ONNX weight that is NaN", "model.onnx: initializer 'w': element 0 is NaN", 2,
        |d| onnx(d, &Model::of(&[1, 1]).with(onnx_floats("w", &[1], &[f32::NAN])).node("Add", &["x", "w"], &["y"], &[]).bytes())),
    ("ONNX weights out of the model's folder", "model.onnx: initializer 'w': location '../w.bin' leaves the model's folder: refused", 2,
        |d| onnx(d, &Model::of(&[1, 1]).with(beside("w", &[1], &[("location", "../w.bin")])).node("Add", &["x", "w"], &["y"], &[]).bytes())),
    ("ONNX weights that are not there", "model.onnx: initializer 'w': its bytes are in 'w.bin', which is not beside model.onnx: copy it there, or export with external_data=False", 2,
        |d| onnx(d, &Model::of(&[1, 1]).with(beside("w", &[1], &[("location", "w.bin")])).node("Add", &["x", "w"], &["y"], &[]).bytes())),
    ("scheduler that is not known", "scheduler_config.json: _class_name: 'EDMEulerScheduler': it scales the network's input and output by sigma_data (EDM), which is not supported", 2,
        |d| scheduler(d, r#""_class_name": "EDMEulerScheduler""#)),
    ("scheduler's key that is not known", "scheduler_config.json: beta_shedule: \"linear\": not a known key of DDPMScheduler; what it would change is not known either", 2,
        |d| scheduler(d, r#""_class_name": "DDPMScheduler", "beta_shedule": "linear""#)),
    ("network that is told 0.25 ln sigma", "scheduler_config.json: timestep_type: \"continuous\": the network is then told 0.25 ln sigma, which is not supported", 2,
        |d| scheduler(d, r#""_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous""#)),
    ("key that comes twice", "scheduler_config.json: key 'beta_end' comes twice at line 1 column ..", 2,
        |d| scheduler(d, r#""_class_name": "DDPMScheduler", "beta_end": 0.1, "beta_end": 0.2"#)),
    ("NaN where a number is wanted", "scheduler_config.json: beta_end: \"NaN\", expected a number", 2,
        |d| scheduler(d, r#""_class_name": "DDPMScheduler", "beta_end": NaN"#)),
    ("name that the hub's cache lacks", "somebody/nothing: there is no such file or directory; a model is a folder with config.json and model.safetensors, a folder of diffusers, an ONNX file (.onnx), or a closed form (field:..). As a name of the Hugging Face hub: no models--somebody--nothing in .. and nothing is downloaded", 2,
        |_| arguments(&["inspect", "somebody/nothing"])),
    // Images.
    ("no known format", "begins with bytes [47, 49, 46, 38], which is none of NPY", 2,
        |d| data(d, "a.gif", b"GIF8")),
    ("IDX cut short", "is truncated: the header promises 12 bytes of data, the file holds 11", 2,
        |d| data(d, "a-idx3-ubyte", &idx(8, &[1, 3, 4], &[0; 11]))),
    ("IDX of too many bytes", "has 1 trailing bytes: the header promises 12 bytes of data, the file holds 13", 2,
        |d| data(d, "a-idx3-ubyte", &idx(8, &[1, 3, 4], &[0; 13]))),
    ("IDX of 2^96 pixels", "shape [4294967295, 4294967295, 4294967295] has more bytes than any file", 2,
        |d| data(d, "a-idx3-ubyte", &idx(8, &[u32::MAX; 3], &[0; 12]))),
    ("IDX of 16-bit integers", "holds i16 values, expected u8, u16, f16, bf16, f32 or f64", 2,
        |d| data(d, "a-idx3-ubyte", &idx(11, &[1, 1, 1], &[0; 2]))),
    ("images not the model's", "holds images of 1x3x4 (channels x height x width), expected 1x4x4", 2,
        |d| { let mut a = data(d, "a-idx3-ubyte", &idx(8, &[1, 3, 4], &[0; 12])); a[1] = text(&model(d, |_, _| ())).into(); a }),
    ("gzip that is damaged", "the gzip stream is damaged", 2,
        |d| data(d, "a.gz", b"\x1f\x8b\x08\0")),
    ("gzip with other bytes behind it", "has bytes after the end of its gzip stream that are neither zeros nor another stream", 2,
        |d| data(d, "a.gz", &[gzipped(&idx(8, &[1, 3, 4], &[0; 12])), b"more".to_vec()].concat())),
    ("gzip that holds less than it says", "is truncated: it ends after byte 16, inside image 0 of 1 or a later one", 2,
        |d| data(d, "a.gz", &gzipped(&idx(8, &[1, 3, 4], &[0; 11])))),
    ("NPY of Python objects", "holds dtype '|O', expected u8, u16, f16, bf16, f32 or f64", 2,
        |d| data(d, "a.npy", &seed("npy", "object"))),
    ("NPY of bfloat16", "holds dtype '<V2', expected u8, u16, f16, bf16, f32 or f64; bfloat16 is saved like this: save it as float32", 2,
        |d| data(d, "a.npy", &npy("{'descr': '<V2', 'fortran_order': False, 'shape': (1, 1, 1)}", &[0; 2]))),
    ("NPY of records", "has nested brackets in its NPY header, expected {'descr': .., 'shape': (N, C, H, W)}", 2,
        |d| data(d, "a.npy", &npy("{'descr': [('a', '<f4'), ('b', '<i8')], 'fortran_order': False, 'shape': (1,)}", &[]))),
    ("NPY in Fortran order", "is in Fortran order, expected C order: save numpy.ascontiguousarray(array)", 2,
        |d| data(d, "a.npy", &seed("npy", "fortran"))),
    ("NPY of another rank", "shape [4], expected [N, D], [N, H, W] or [N, C, H, W]", 2,
        |d| data(d, "a.npy", &floats("(4,)", &[0.0; 4]))),
    ("NPY header of 60 kB", "has an NPY header of 60001 bytes, expected at most 10000", 2,
        |d| data(d, "a.npy", &npy(&" ".repeat(60_000), &[]))),
    ("image with a NaN", "image 0 holds the value NaN (as f32), expected finite numbers", 2,
        |d| data(d, "a.npy", &floats("(1, 1, 2)", &[0.0, f32::NAN]))),
    ("NPZ that is compressed", "array 'x' is compressed, expected numpy.savez, which does not compress", 2,
        |d| data(d, "a.npz", &seed("npz", "deflated"))),
    ("NPZ of two arrays of one name", "holds 2 arrays of 1 names, expected one of each: x", 2,
        |d| data(d, "a.npz#x", &seed("npz", "twice"))),
    ("NPZ, array not named", "holds 3 arrays, expected one: name it as FILE#array (../x, /x, x)", 2,
        |d| data(d, "a.npz", &seed("npz", "paths"))),
    ("NPZ without the array", "has no array '../../y', it holds ../x, /x, x", 2,
        |d| data(d, "a.npz#../../y", &seed("npz", "paths"))),
    ("fewer images than asked for", "holds 2 images, 3 were asked for", 2,
        |d| { let mut a = data(d, "a.npy", &seed("npy", "f4")); a[5] = "3".into(); a }),
    ("PNG that is damaged", "1.png: is not a whole PNG file: ..", 2,
        |d| pictures(d, "1.png", &seed("png", "grey8")[..50])),
    ("PNG of 2^29 pixels", "1.png: is 32768 x 16384 pixels, expected at most 33554432 in all", 2,
        |d| pictures(d, "1.png", &seed("png", "huge"))),
    ("folder without PNG", "pictures: holds no *.png file (1 other entries), expected one per image", 2,
        |d| pictures(d, "1.jpg", b"")),
    // Options.
    ("timestep out of range", "timestep: 1000 is outside 0..=999", 2,
        |d| verb(d, "circulation", &["--timesteps", "1000"])),
    ("timesteps that are none", "timesteps: '9..3' is empty, has step 0 or is out of all bounds", 2,
        |d| verb(d, "circulation", &["--timesteps", "9..3"])),
    ("process of a file that is not there", "none.json: is not there, expected config.json, scheduler_config.json, a folder of one, or a process: vp, ve, vp_continuous, flow, edm, fixed, betas, alphas, sigmas", 2,
        |d| verb(d, "circulation", &["--process", text(&d.join("none.json"))])),
    ("two processes for one field", "field:gaussian?schedule=linear: says schedule=linear, and --sigmas 1,2 gives a process too: expected one of them", 2,
        |d| { let mut a = verb(d, "circulation", &["--sigmas", "1,2"]); a[1] += "?schedule=linear"; a }),
    ("noise levels that fall", "--sigmas 2,1: process.sigmas: expected strictly increasing numbers above 0, the noise level of each timestep", 2,
        |d| verb(d, "circulation", &["--sigmas", "2,1"])),
    ("process's key that it does not have", "flow?steps=3: 'steps' is not a parameter of flow; known: timesteps, times, direction, label_scale", 2,
        |d| verb(d, "circulation", &["--process", "flow?steps=3"])),
    ("process without a key that it needs", "fixed: fixed needs sigma=..", 2,
        |d| verb(d, "circulation", &["--process", "fixed"])),
    ("noise level without noise", "--process fixed?sigma=0: process.sigma: 0, expected a number above 0: without noise there is no score", 2,
        |d| verb(d, "circulation", &["--process", "fixed?sigma=0"])),
    ("time of a flow without noise", "process.times: t = 0 at timestep 0, expected numbers above 0, at most 1, that rise: t = 0 has no noise", 2,
        |d| verb(d, "circulation", &["--process", "flow?times=0,0.5"])),
    ("process file of no process", "p.toml: has no 'kind' and no table 'process', expected a process", 2,
        |d| { let f = d.join("p.toml"); fs::write(&f, "sigma = 1").unwrap(); verb(d, "circulation", &["--process", text(&f)]) }),
    ("likelihood of one noise level", "likelihood: needs noise levels from data to noise; this process has one: fixed noise level, sigma 0.1, T = 1", 2,
        |d| verb(d, "likelihood", &["--process", "fixed?sigma=0.1"])),
    ("likelihood where the data are still there", "likelihood: needs a process whose last noise level is a Gaussian, a / hypot(a, sigma) up to 0.05; that is 0.45 at a = 1, sigma = 2: variance exploding (EDM), ..", 2,
        |d| verb(d, "likelihood", &["--process", "edm?sigma_max=2"])),
    ("circulation of what is no score", "circulation: needs a score; this network puts out a map that is none (prediction map), of which curl, jacobian, asymmetry, map, planes and spectrum are measured", 2,
        |d| { let mut a = data(d, "a-idx3-ubyte", &idx(8, &[1, 4, 4], &[0; 16])); a[1] = text(&model(d, |_, c| c["prediction"] = json!("map"))).into(); a }),
    ("prediction that needs another process", "model: prediction edm_f: needs a process that keeps the data as they are, a = 1; this one is variance preserving, ..", 2,
        |d| inspect(&model(d, |_, c| c["prediction"] = json!({"edm_f": {"sigma_data": 0.5}})))),
    ("class label that is not given", "class_table: condition 'class_labels': is not given, and the network takes [1]: ..", 2,
        |_| inspect(&Path::new(ROOT).join("kernels-tests/unet2d/class_table"))),
    ("flow from pure noise", "timestep: 6 is pure noise (a = 0), of which the flow's velocity is not defined; the last one with a > 0 is 5", 2,
        |d| verb(d, "likelihood", &["--timesteps", "0,3,6", "--alphas", "0.9,0.8,0.6,0.4,0.2,0.1,0"])),
    ("path unknown", "path: 'spiral' is not one of brownian, rotation, projection, polyline", 2,
        |d| verb(d, "circulation", &["--paths", "spiral"])),
    ("parameter that a path does not have", "projection?acs=5: 'acs' is not a parameter of projection; known: arcs", 2,
        |d| verb(d, "circulation", &["--paths", "rotation,projection?acs=5"])),
    ("option that a path's parameter replaced", "--arcs: belongs to its path now: --paths 'brownian,rotation,projection?arcs=5'", 2,
        |d| verb(d, "circulation", &["--arcs", "5"])),
    ("option that a path's file replaced", "--polyline: belongs to its path now: --paths 'rotation,polyline?file=nodes.npy'", 2,
        |d| verb(d, "circulation", &["--paths", "rotation,polyline", "--polyline", "nodes.npy"])),
    ("scores given to circulation", "circulation --scores: is a verb of its own now: vorticity integrate s.npy --exported l.npz --out run", 2,
        |_| arguments(&["circulation", "--scores", "s.npy", "--exported", "l.npz", "--out", "run"])),
    ("option of another program", "--device: is no option of circulation, expected --adapter (its number or a part of its name, as `vorticity devices` lists them, or software)", 2,
        |_| arguments(&["circulation", "model", "--device", "cuda"])),
    ("--output where --out is wanted", "--output: is no name for this, expected --out (what is written)", 2,
        |_| arguments(&["circulation", "model", "--data", "images", "--output", "run"])),
    ("verb of another program", "run: is no verb, expected check (is the field a gradient?) or circulation (one measure alone)", 2,
        |_| arguments(&["run", "model"])),
    ("points that arcs do not divide", "path projection: 7 segments in 10 arcs; it needs 2 or more arcs that divide the segments", 2,
        |d| verb(d, "circulation", &["--points", "7"])),
    ("too few components for a path", "path projection: 2 components; it needs 8 to 2^30 - 1", 2,
        |d| verb(d, "circulation", &["--shape", "1x1x2"])),
    ("more planes than components make", "planes: 5, expected 1..=4, half of the D = 8 components", 2,
        |d| verb(d, "planes", &["--planes", "5"])),
    ("a search of too few steps", "steps: 1, expected at least 2: each end takes a vector", 2,
        |d| verb(d, "spectrum", &["--steps", "1"])),
    ("more components than a point has", "components: 9, expected 2..=8, the components of a point", 2,
        |d| verb(d, "curl", &["--components", "9"])),
    ("rows of a Jacobian by differences", "sides: rows, but differences are of columns: expected --method jvp or both beside it", 2,
        |d| verb(d, "curl", &["--sides", "rows", "--method", "fd"])),
    ("shape absurd", "shape: '99999999999x99999999999x1' is not CxHxW with positive numbers, such as 1x28x28, 1073741824 in all at most", 2,
        |d| verb(d, "circulation", &["--shape", "99999999999x99999999999x1"])),
    ("weight beyond f16, with --weights f16", "model: weights of 'final_conv': f16: element 0 is 100000, expected at most 65504", 2,
        |d| { let mut a = tensors(d, |t| drop(t.insert("final_conv.weight".into(), Stored::f32(&[1, 2, 1, 1], &[1e5, 0.0])))); a.extend(arguments(&["--weights", "f16"])); a }),
    ("polyline of another number of nodes", "polyline: 3 nodes, expected N = 4 of 8 components, or 2 times as many (one loop per sample)", 2,
        |d| { let f = d.join("p.npy"); fs::write(&f, floats("(3, 1, 2, 4)", &[0.0; 24])).unwrap(); let own = format!("polyline?file={}", f.display()); verb(d, "circulation", &["--paths", &own, "--points", "4"]) }),
    ("polyline without its nodes", "polyline: needs file=FILE, its nodes: floating-point NPY, NPZ or safetensors (FILE#tensor) of [N, C, H, W]", 2,
        |d| verb(d, "circulation", &["--paths", "rotation,polyline"])),
    ("points of another shape", "p.npy: has shape [3, 1, 2, 5], expected [N, C, H, W] with [C, H, W] = [1, 2, 4]", 2,
        |d| { let f = d.join("p.npy"); fs::write(&f, floats("(3, 1, 2, 5)", &[0.0; 30])).unwrap(); arguments(&["evaluate", "field:gaussian", "--shape", "1x2x4", "--points", text(&f), "--timestep", "5", "--out", text(&d.join("o.npz"))]) }),
    ("mixture without variances", "mixture: tensor 'variances': missing, expected shape [0]", 2,
        |d| { let f = d.join("mixture"); fs::write(&f, safetensors("{}", &[])).unwrap(); let mut a = verb(d, "circulation", &[]); a[1] = format!("field:mixture?file={}", f.display()); a }),
    // Runs.
    ("output in a folder that is not there", "none: no directory can be made here: ..", 2,
        |d| verb(d, "circulation", &["--out", text(&d.join("none/out"))])),
    ("output that is a file", "file: is a file, expected a new or empty directory", 2,
        |d| { fs::write(d.join("file"), "").unwrap(); verb(d, "circulation", &["--out", text(&d.join("file"))]) }),
    ("output with files in it", "is a directory with files in it, expected a new or empty one", 2,
        |d| { let out = d.join("full"); fs::create_dir(&out).unwrap(); fs::write(out.join("file"), "").unwrap(); verb(d, "circulation", &["--out", text(&out)]) }),
    ("unfinished run of another configuration", "out.partial/journal: belongs to another run: .. Remove it or name another --out", 2,
        |d| journal(d, &elsewhere())),
    ("journal that is none", "out.partial/journal: is no journal of this version of vorticity", 2,
        |d| journal(d, b"Dear diary")),
    ("scores of another shape", "x.npy: has shape [2, 1, 2], the midpoints have [1, 1, 1, 2, 1, 1, 2]", 2,
        |d| scores(d, "loops")),
    ("loops without midpoints", "loops.npz: has no array 'midpoints', it holds x", 2,
        |d| scores(d, "one")),
    ("shard missing", "merge: 1 of 2 shards given, missing: 2/2", 2,
        |d| merge(d, &[&shard(d, 1, json!({}))])),
    ("shard twice", "copy: is shard 1/2, as .. is", 2,
        |d| { let one = shard(d, 1, json!({})); let copy = d.join("copy"); fs::create_dir(&copy).unwrap();
              for f in ["manifest.json", "shard.npz", "run_log.json"] { fs::copy(Path::new(&one).join(f), copy.join(f)).unwrap(); }
              merge(d, &[&one, text(&copy)]) }),
    ("shards of two runs", "2: does not belong to .. : ..", 2,
        |d| merge(d, &[&shard(d, 1, json!({"seed": 0})), &shard(d, 2, json!({"seed": 1}))])),
    ("shard whose numbers were changed", "shard.npz: has SHA-256 .., the manifest says ..", 2,
        |d| { let one = shard(d, 1, json!({})); fs::write(Path::new(&one).join("shard.npz"), seed("npz", "one")).unwrap(); merge(d, &[&one]) }),
    ("shard that claims to be one of 2^60", "merge: 1 of 1152921504606846976 shards given, missing: 2/1152921504606846976, ..", 2,
        |d| { let one = shard(d, 1, json!({})); let m = Path::new(&one).join("manifest.json");
              let said = fs::read_to_string(&m).unwrap().replace("\"of\": 2", "\"of\": 1152921504606846976").replace("\"samples\": 2", "\"samples\": 1152921504606846976");
              fs::write(&m, said).unwrap(); merge(d, &[&one]) }),
    ("no run directory", "manifest.json: cannot be opened: ..", 2,
        |d| arguments(&["report", text(d), "--out", text(&d.join("page.html"))])),
    ("shard given to report", "manifest.json: is that of a shard: merge it with the others first (vorticity merge)", 2,
        |d| arguments(&["report", &shard(d, 1, json!({})), "--out", text(&d.join("page.html"))])),
    ("unfinished run given to report", "out: is an unfinished run, which has no results yet: its own command goes on with it", 2,
        |d| { fs::create_dir(d.join("out.partial")).unwrap(); fs::write(d.join("out.partial/journal"), "").unwrap();
              arguments(&["report", text(&d.join("out")), "--out", text(&d.join("page.html"))]) }),
    ("width of a figure without its unit", "--width: '3.25', expected a number with its unit: 3.25in, 8cm, 80mm or 234pt", 2,
        |d| arguments(&["plot", text(d), "--width", "3.25", "--out", text(&d.join("x.svg"))])),
    ("figure of a format that is none", "x.jpg: does not end in .svg, .pdf or .png: name it so, or give --format", 2,
        |d| arguments(&["plot", text(d), "--out", text(&d.join("x.jpg"))])),
    ("figure that says two formats", "x.svg: has the ending of svg, --format says another", 2,
        |d| arguments(&["plot", text(d), "--format", "pdf", "--out", text(&d.join("x.svg"))])),
    ("figure of runs of two diagnostics", "plot: runs of curl and of stein, expected runs of one measure", 2,
        |d| figure(d, &["curl", "stein"], &[])),
    ("figure of a column that is not there", "curl: has no statistic 'circulation', it has asymmetry, ..", 2,
        |d| figure(d, &["curl"], &["--column", "circulation"])),
    ("figure of a column that is mistyped", "curl: has no statistic 'asymmetryy' ('asymmetry' is near), it has asymmetry, ..", 2,
        |d| figure(d, &["curl"], &["--column", "asymmetryy"])),
    ("figure of a path that is not there", "path: 'rotation': the runs have one thing at each timestep", 2,
        |d| figure(d, &["curl"], &["--path", "rotation"])),
    ("figure that is too narrow", "width: 20pt leaves no room for the axes", 2,
        |d| figure(d, &["curl"], &["--width", "20pt"])),
    ("configuration for init that is not there", "neither a file nor a preset of mnist_shuffle_unet, which are: mnist", 2,
        |d| arguments(&["init", "mnist_shuffle_unet", "--config", "imagenet", "--out", text(&d.join("out"))])),
    ("check without time", "minutes: 0, expected a number above 0", 2,
        |d| check(d, &["--minutes", "0"])),
    ("check of no samples", "samples: 0, expected at least 1", 2,
        |d| check(d, &["--samples", "0"])),
    ("check at noise levels that go down", "timesteps: expected at least one, strictly increasing", 2,
        |d| check(d, &["--timesteps", "5,3"])),
    ("check into a directory with other files", "is not empty and has no plan.json: name a new directory, or that of a check", 2,
        |d| { fs::create_dir(d.join("out")).unwrap(); fs::write(d.join("out/mine.txt"), "mine").unwrap(); check(d, &[]) }),
    ("plan that is none", "plan.json: has schema null, this program reads 1", 2,
        |d| { fs::write(d.join("plan.json"), "{}").unwrap(); check(d, &["--plan", text(&d.join("plan.json"))]) }),
    ("plan that leads out of its directory", "plan.json: has the stage '../up', expected a name of letters and digits", 2,
        |d| { fs::write(d.join("plan.json"), planned("../up")).unwrap(); check(d, &["--plan", text(&d.join("plan.json"))]) }),
    ("plan for another model", "plan.json: is the plan for another model: .. found .., expected .. Name another --out, or remove this one", 2,
        |d| { fs::create_dir(d.join("out")).unwrap(); fs::write(d.join("out/plan.json"), planned("circulation")).unwrap(); check(d, &[]) }),
    // The device.
    ("no adapter of that name", "no usable GPU adapter: .. no such adapter ..", 3,
        |d| verb(d, "circulation", &["--adapter", "no such adapter"])),
    ("memory that is no number", "--memory: 'lots' is no number of bytes, expected such as 4GiB or 512MiB", 2,
        |d| verb(d, "circulation", &["--memory", "lots"])),
    ("memory too small", "GPU out of memory at plan on ..: .. bytes for .. lanes, a run may take 1024: as --memory says, ..", 4,
        |d| verb(d, "circulation", &["--memory", "1KiB"])),
    ("binding limit too small", "binding limit: 1 bytes, expected 1048576 or more", 2,
        |d| verb(d, "circulation", &["--binding", "1B"])),
    ("limits that are not known", "limits: 'webgl' is not one of adapter, webgpu", 2,
        |d| verb(d, "circulation", &["--limits", "webgl"])),
];

/// A check of a closed form.
fn check(folder: &Path, more: &[&str]) -> Vec<String> {
    let own = ["check", "field:gaussian", "--data", "data:gaussian", "--shape", "1x2x4"];
    arguments(&[&own[..], more, &["--out", text(&folder.join("out"))]].concat())
}

/// The plan of a check of some other model, with one stage of that name.
fn planned(stage: &str) -> String {
    let stage = json!({ "name": stage, "measure": "circulation", "options": {} });
    let asked = json!({ "minutes": 1.0, "brownian": false });
    json!({
        "schema": 1, "program": "vorticity", "asked": asked, "field": {}, "data": {}, "samples": 1, "timesteps": [1],
        "stages": [stage], "left_out": [], "seconds": 1.0,
    })
    .to_string()
}

/// Runs of these measures, drawn.
fn figure(d: &Path, measures: &[&'static str], own: &[&str]) -> Vec<String> {
    let dirs = measures.iter().map(|m| written(&d.join(m), &table(m, numbers), json!({})));
    let dirs: Vec<String> = dirs.map(|dir| text(&dir).to_string()).collect();
    let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
    arguments(&[&["plot"][..], &dirs, own, &["--out", text(&d.join("x.svg"))]].concat())
}

/// As docs/ERRORS.md has it.
fn line((input, said, code, _): &Row) -> String {
    let ticks = if said.contains('`') { ("`` ", " ``") } else { ("`", "`") };
    format!("| {input} | {}{}{} | {code} |", ticks.0, said.replace('|', "\\|"), ticks.1)
}

#[test]
fn the_table_has_these_rows() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/ERRORS.md")).unwrap();
    let head = "| bad input | message | exit code |\n|---|---|---|\n";
    let (_, rest) = text.split_once(head).expect("docs/ERRORS.md has the table");
    let found: Vec<&str> = rest.lines().take_while(|l| l.starts_with('|')).collect();
    let expected: Vec<String> = ROWS.iter().map(line).collect();
    assert_eq!(found, expected, "expected:\n{}", expected.join("\n"));
}

#[test]
fn every_row_is_what_the_program_says() {
    let mut wrong = vec![];
    for (input, said, code, prepare) in ROWS {
        let folder = tempfile::tempdir().unwrap();
        let arguments = prepare(folder.path());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = match arguments.contains(&"--adapter") {
            true => Command::cargo_bin("vorticity").unwrap(),
            false => vorticity(&arguments),
        };
        if arguments.contains(&"--adapter") {
            command.args(&arguments);
        }
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let errors: Vec<&str> =
            error.lines().filter(|l| l.starts_with("error: ") && !l.contains("XDG_RUNTIME_DIR")).collect();
        let holds = |line: &str| {
            let mut rest = line;
            said.split(" ..").map(str::trim).all(|part| match rest.split_once(part) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        };
        if output.status.code() != Some(*code) || errors.len() != 1 || !holds(errors[0]) {
            wrong.push(format!("{input}\n  expected {code}: {said}\n  found {:?}: {error}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
