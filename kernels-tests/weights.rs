//! Model files for the tests: random weights of the MNIST family at any size, and safetensors files edited tensor by
//! tensor. In: hyper-parameters or an existing file. Out: a file in a scratch folder.
use crate::common::noise;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Debug)]
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Stored {
    pub fn f32(shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    /// Adds to one element of a float32 or float64 tensor.
    pub fn add(&mut self, element: usize, by: f64) {
        match self.dtype {
            Dtype::F32 => {
                let at = &mut self.bytes.as_chunks_mut::<4>().0[element];
                *at = (f32::from_le_bytes(*at) + by as f32).to_le_bytes();
            }
            Dtype::F64 => {
                let at = &mut self.bytes.as_chunks_mut::<8>().0[element];
                *at = (f64::from_le_bytes(*at) + by).to_le_bytes();
            }
            other => panic!("{other:?}"),
        }
    }
}

pub type Tensors = BTreeMap<String, Stored>;

pub fn read(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let stored = |t: TensorView| Stored { dtype: t.dtype(), shape: t.shape().to_vec(), bytes: t.data().to_vec() };
    file.tensors().into_iter().map(|(name, t)| (name, stored(t))).collect()
}

pub fn write(path: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(n, t)| (n.as_str(), TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Timesteps of the networks made here.
pub const TIMESTEPS: usize = 7;
const TIME_DIM: usize = 6;

pub fn hyper(channels: usize, base_dim: usize, dim_mults: &[usize], image_size: usize) -> Value {
    json!({
        "timesteps": TIMESTEPS, "time_embedding_dim": TIME_DIM, "in_channels": channels, "out_channels": channels,
        "base_dim": base_dim, "dim_mults": dim_mults, "image_size": image_size,
    })
}

/// Random weights by the names and shapes of the third-party state_dict, scaled so that activations stay of order one.
pub fn random(channels: usize, base_dim: usize, dim_mults: &[usize]) -> Tensors {
    let mut b = Builder { tensors: Tensors::new(), seed: base_dim as u64 };
    let dims: Vec<usize> = std::iter::once(base_dim).chain(dim_mults.iter().map(|m| base_dim * m)).collect();
    b.push("time_embedding.weight", &[TIMESTEPS, TIME_DIM], 1.0, 0.0);
    b.module("init_conv", base_dim, channels, 3);
    for (i, pair) in dims.windows(2).enumerate() {
        let (name, half) = (format!("encoder_blocks.{i}"), pair[1] / 2);
        b.units(&format!("{name}.conv0"), pair[0], 3, half);
        b.time(&format!("{name}.time_mlp"), pair[1]);
        b.unit(&format!("{name}.conv1"), half, pair[1] / 2, pair[1]);
    }
    let last = dims[dims.len() - 1];
    b.units("mid_block", last, 2, last / 2);
    for (i, pair) in dims.windows(2).rev().enumerate() {
        let name = format!("decoder_blocks.{i}");
        b.units(&format!("{name}.conv0"), pair[1], 3, pair[1] / 2);
        b.time(&format!("{name}.time_mlp"), pair[1]);
        b.unit(&format!("{name}.conv1"), pair[1] / 4, pair[1] / 4, pair[0] / 2);
    }
    b.linear("final_conv", &[channels, base_dim / 2, 1, 1]);
    b.tensors
}

struct Builder {
    tensors: Tensors,
    seed: u64,
}

impl Builder {
    /// Numbers in centre -+ scale.
    fn push(&mut self, name: &str, shape: &[usize], scale: f32, centre: f32) {
        self.seed += 1;
        let values: Vec<f32> =
            noise(shape.iter().product(), self.seed).into_iter().map(|v| centre + scale * v).collect();
        self.tensors.insert(name.to_string(), Stored::f32(shape, &values));
    }

    /// Weight `[out, in, ..]` of gain near one, and a bias.
    fn linear(&mut self, name: &str, shape: &[usize]) {
        let fan_in: usize = shape[1..].iter().product();
        self.push(&format!("{name}.weight"), shape, (4.0 / fan_in as f32).sqrt(), 0.0);
        self.push(&format!("{name}.bias"), &shape[..1], 0.1, 0.0);
    }

    fn norm(&mut self, name: &str, n: usize) {
        self.push(&format!("{name}.weight"), &[n], 0.5, 1.1);
        self.push(&format!("{name}.bias"), &[n], 0.3, 0.0);
        self.push(&format!("{name}.running_mean"), &[n], 0.3, 0.0);
        self.push(&format!("{name}.running_var"), &[n], 0.5, 1.0);
        let count = Stored { dtype: Dtype::I64, shape: vec![], bytes: 9i64.to_le_bytes().to_vec() };
        self.tensors.insert(format!("{name}.num_batches_tracked"), count);
    }

    /// Convolution, BatchNorm, SiLU.
    fn module(&mut self, name: &str, out: usize, input: usize, kernel: usize) {
        self.linear(&format!("{name}.module.0"), &[out, input, kernel, kernel]);
        self.norm(&format!("{name}.module.1"), out);
    }

    /// A unit whose branches read `c` channels each; `inner` is the width between the convolutions of branch 2.
    fn unit(&mut self, name: &str, c: usize, inner: usize, out: usize) {
        self.linear(&format!("{name}.branch1.0"), &[c, 1, 3, 3]);
        self.norm(&format!("{name}.branch1.1"), c);
        self.module(&format!("{name}.branch1.2"), out / 2, c, 1);
        self.module(&format!("{name}.branch2.0"), inner, c, 1);
        self.linear(&format!("{name}.branch2.1"), &[inner, 1, 3, 3]);
        self.norm(&format!("{name}.branch2.2"), inner);
        self.module(&format!("{name}.branch2.3"), out / 2, inner, 1);
    }

    /// `plain` units that keep the width `c`, one that ends with `out` channels.
    fn units(&mut self, name: &str, c: usize, plain: usize, out: usize) {
        for i in 0..=plain {
            self.unit(&format!("{name}.{i}"), c / 2, c / 2, if i == plain { out } else { c });
        }
    }

    fn time(&mut self, name: &str, hidden: usize) {
        self.linear(&format!("{name}.mlp.0"), &[hidden, TIME_DIM]);
        self.linear(&format!("{name}.mlp.2"), &[hidden / 2, hidden]);
    }
}
