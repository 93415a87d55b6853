//! The functions that networks make rows of: embeddings of a label, linear layers, activations, gains and shifts of norms. In:
//! rows. Out: a row, in f64, summed in the order of the weights.
use super::{RowFunction, Told};
use crate::dual::Dual;
use crate::error::{Error, Result};
use std::f64::consts::TAU;
use std::fmt;
use std::sync::Arc;

/// The width of a function's only input.
fn one(inputs: &[usize]) -> Result<usize> {
    match inputs {
        [width] => Ok(*width),
        _ => Err(Error::invalid("row function", format!("{} inputs, expected one", inputs.len()))),
    }
}

/// Refuses another width of the only input than `expected`.
fn of_width(what: &str, inputs: &[usize], expected: usize) -> Result<()> {
    match one(inputs)? {
        found if found == expected => Ok(()),
        found => Err(Error::invalid(format!("row function {what}"), format!("{found} numbers, expected {expected}"))),
    }
}

/// All of one wave, then all of another.
fn waves(phases: &[f64], [first, second]: [fn(f64) -> f64; 2]) -> Vec<f64> {
    phases.iter().map(|&p| first(p)).chain(phases.iter().map(|&p| second(p))).collect()
}

/// Row `label` of a `[rows, width]` table: a learned time embedding. Labels are whole numbers.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// `[rows, width]`
    pub table: Arc<[f32]>,
    /// Timesteps that it knows.
    pub rows: usize,
    /// Numbers in a row.
    pub width: usize,
}

impl RowFunction for Lookup {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        of_width("lookup", inputs, 1)?;
        if self.rows.checked_mul(self.width) != Some(self.table.len()) {
            let found = format!("{} numbers, expected {} rows of {}", self.table.len(), self.rows, self.width);
            return Err(Error::invalid("row function lookup", found));
        }
        Ok(self.width)
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        let (label, last) = (inputs[0][0], self.rows.saturating_sub(1));
        if !(0.0..self.rows as f64).contains(&label) {
            return Err(Error::invalid("timestep", format!("{label} is outside the network's 0..={last}")));
        }
        if label.fract() != 0.0 {
            let message = format!("{label} is no row of the network's time table, expected one of 0..={last}");
            return Err(Error::invalid("timestep", message));
        }
        let k = label as usize;
        Ok(self.table[k * self.width..(k + 1) * self.width].iter().map(|&v| v as f64).collect())
    }

    fn told(&self) -> Option<Told> {
        Some(Told::Timestep(Some(self.rows)))
    }
}

/// sin and cos of label exp(-ln(10000) i / divisor), i = 0..width/2 (arXiv 1706.03762): first all of one, then all
/// of the other. An odd width ends with a zero.
#[derive(Clone, Debug)]
pub struct Sinusoid {
    /// Numbers in the row.
    pub width: usize,
    /// Half the width, or one less: authors differ.
    pub divisor: f64,
    /// cos before sin.
    pub cos_first: bool,
}

impl RowFunction for Sinusoid {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        of_width("sinusoid", inputs, 1).map(|()| self.width)
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        let phase = |i: usize| inputs[0][0] * (-10_000f64.ln() * i as f64 / self.divisor).exp();
        let phases: Vec<f64> = (0..self.width / 2).map(phase).collect();
        let mut row = waves(&phases, if self.cos_first { [f64::cos, f64::sin] } else { [f64::sin, f64::cos] });
        row.resize(self.width, 0.0);
        Ok(row)
    }

    fn told(&self) -> Option<Told> {
        Some(Told::Timestep(None))
    }
}

/// [sin p, cos p], p = 2 pi W label, or 2 pi W ln label: Gaussian Fourier features (arXiv 2006.10739).
#[derive(Clone, Debug)]
pub struct Fourier {
    /// W
    pub weights: Arc<[f32]>,
    /// Of the label's logarithm.
    pub log: bool,
}

impl RowFunction for Fourier {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        of_width("fourier", inputs, 1).map(|()| 2 * self.weights.len())
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        let label = if self.log { inputs[0][0].ln() } else { inputs[0][0] };
        let phases: Vec<f64> = self.weights.iter().map(|&w| label * w as f64 * TAU).collect();
        Ok(waves(&phases, [f64::sin, f64::cos]))
    }

    fn told(&self) -> Option<Told> {
        Some(Told::Number)
    }
}

/// y = W x + b, W `[out, in]`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// W
    pub weight: Arc<[f32]>,
    /// b
    pub bias: Arc<[f32]>,
    /// Numbers in x.
    pub input: usize,
}

impl RowFunction for Linear {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        of_width("linear", inputs, self.input)?;
        if self.input == 0 || self.bias.len().checked_mul(self.input) != Some(self.weight.len()) {
            let found =
                format!("{} weights for {} numbers and {} biases", self.weight.len(), self.input, self.bias.len());
            return Err(Error::invalid("row function linear", found));
        }
        Ok(self.bias.len())
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        let row = |(w, &b): (&[f32], &f32)| b as f64 + w.iter().zip(inputs[0]).map(|(&w, x)| w as f64 * x).sum::<f64>();
        Ok(self.weight.chunks_exact(self.input).zip(self.bias.iter()).map(row).collect())
    }
}

/// The same function of each number.
#[derive(Clone, Copy)]
pub struct Each {
    name: &'static str,
    of: fn(Dual) -> Dual,
}

impl Each {
    /// y = x / (1 + e^-x).
    pub const SILU: Self = Self { name: "silu", of: Dual::silu };
    /// y = x (1 + erf(x / sqrt 2)) / 2, the exact GELU.
    pub const GELU: Self = Self { name: "gelu", of: Dual::gelu };
    /// y = x tanh(ln(1 + e^x)) (arXiv 1908.08681).
    pub const MISH: Self = Self { name: "mish", of: Dual::mish };
    /// y = max(x, 0).
    pub const RELU: Self = Self { name: "relu", of: Dual::relu };
    /// y = x, or e^x - 1 below 0 (arXiv 1511.07289).
    pub const ELU: Self = Self { name: "elu", of: Dual::elu };
    /// y = x, or x / 5 below 0.
    pub const LEAKY_RELU: Self = Self { name: "leaky_relu", of: Dual::leaky_relu };
}

impl fmt::Debug for Each {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl RowFunction for Each {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        one(inputs)
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(inputs[0].iter().map(|&v| (self.of)(Dual::constant(v)).v).collect())
    }
}

/// y_c = w_c (1 + x_c), of twice as many numbers as there are weights: the gain of a norm that the label scales.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// w
    pub weights: Arc<[f32]>,
}

impl RowFunction for Scaled {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        of_width("scaled", inputs, 2 * self.weights.len()).map(|()| self.weights.len())
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(self.weights.iter().zip(inputs[0]).map(|(&w, x)| f64::from(w) * (1.0 + x)).collect())
    }
}

/// y_c = w_c (1 + x_c) + x_{C + c}, C weights: the shift of such a norm, which the label scales and shifts.
#[derive(Clone, Debug)]
pub struct Shifted {
    /// w
    pub weights: Arc<[f32]>,
}

impl RowFunction for Shifted {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        of_width("shifted", inputs, 2 * self.weights.len()).map(|()| self.weights.len())
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        let (scales, shifts) = inputs[0].split_at(self.weights.len());
        let each = self.weights.iter().zip(scales).zip(shifts);
        Ok(each.map(|((&w, x), shift)| f64::from(w) * (1.0 + x) + shift).collect())
    }
}

/// y = 1 / x: of the label alone, what an output is scaled by.
#[derive(Clone, Copy, Debug)]
pub struct Reciprocal;

impl RowFunction for Reciprocal {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        one(inputs)
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(inputs[0].iter().map(|v| 1.0 / v).collect())
    }

    fn told(&self) -> Option<Told> {
        Some(Told::NoiseLevel)
    }
}

/// A number for each of some labels: what is known by timestep and has no formula in what the network is told.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Label and number, labels ascending.
    pairs: Arc<[(f64, f64)]>,
}

impl Listed {
    /// Of labels that differ, in any order.
    pub fn new(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { pairs: pairs.into() }
    }
}

impl RowFunction for Listed {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        of_width("listed", inputs, 1).map(|()| 1)
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        let label = inputs[0][0];
        let place = self.pairs.binary_search_by(|pair| pair.0.total_cmp(&label));
        let missing =
            |_| Error::invalid("label", format!("{label} is none of the {} of its process", self.pairs.len()));
        place.map_err(missing).map(|place| vec![self.pairs[place].1])
    }
}

/// y = a + b.
#[derive(Clone, Copy, Debug)]
pub struct Sum;

impl RowFunction for Sum {
    fn width(&self, inputs: &[usize]) -> Result<usize> {
        match inputs {
            [a, b] if a == b => Ok(*a),
            _ => Err(Error::invalid("row function sum", format!("{inputs:?} numbers, expected two rows of as many"))),
        }
    }

    fn apply(&self, inputs: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(inputs[0].iter().zip(inputs[1]).map(|(a, b)| a + b).collect())
    }
}
