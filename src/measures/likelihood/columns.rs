//! The columns of a likelihood run: what is known of one sample, every column that follows from it, and which errors apply to
//! what. In: where the flow ends. Out: a row; columns; rules.
use crate::measures::rows::Column;
use crate::run::{About, Applied, Rule};
use std::f64::consts::LN_2;

/// What is known of one sample.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Row {
    pub bits: f64,
    pub nats: f64,
    pub prior: f64,
    pub flow: f64,
    pub probes: f64,
    pub grid: f64,
    /// The integral of |div s|, bits: the unit of the arithmetic error.
    pub size: f64,
    pub arithmetic: f64,
}

impl Row {
    /// The largest error that is known.
    fn error(&self) -> f64 {
        self.probes.max(self.grid).max(self.arithmetic)
    }

    /// Of (ln p_T, the integral, its standard error over probes) on the grid and on every second of its timesteps; D, the time of
    /// the flow, and the bits of the data's scaling.
    pub fn of(fine: (f64, f64, f64), coarse: (f64, f64, f64), d: f64, time: f64, offset: f64) -> Self {
        let ((prior, integral, se), (other_prior, other, _)) = (fine, coarse);
        let to_bits = 1.0 / (d * LN_2);
        Row {
            bits: offset - (prior - integral) * to_bits,
            nats: prior - integral,
            prior,
            flow: integral,
            probes: se * to_bits,
            grid: ((prior - integral) - (other_prior - other)).abs() * to_bits,
            size: (d * time + integral.abs()) * to_bits,
            arithmetic: f64::NAN,
        }
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    (About::new("bits_per_dim",   "-ln p_0 / (D ln 2) + offset", "bit", "per component; of levels where data were dequantised"), |r| r.bits),
    (About::new("log_likelihood", "ln p_0",                      "nat", "density of the data in the field's units"),                   |r| r.nats),
    (About::new("log_prior",      "ln N(x_T; 0, I)",             "nat", "where the flow ends"),                                        |r| r.prior),
    (About::new("flow",           "integral of (D + div s) dt",  "nat", "what the flow compresses"),                                   |r| r.flow),
    (About::new("probe_se",       "standard error over probes",  "bit", "error of bits_per_dim; 0 where the divergence is exact"),      |r| r.probes),
    (About::new("grid",           "|bits - on every second timestep|", "bit", "error of bits_per_dim: the grid's"),                     |r| r.grid),
    (About::new("arithmetic",     "(D T + |flow|) max |v.J v - f64| / |v.J v|", "bit", "error of bits_per_dim: tangents recomputed in f64; T the time of the flow"), |r| r.arithmetic),
    (About::new("error",          "largest of the errors",       "bit", "what bits_per_dim is uncertain by"),                          Row::error),
];

/// Which errors apply to what.
pub(super) const RULES: &[Rule] = &[Rule {
    statistics: &["bits_per_dim"],
    errors: &[
        Applied::always("probe_se", |at| at.get("probe_se")),
        Applied::always("grid", |at| at.get("grid")),
        Applied::always("arithmetic", |at| at.get("arithmetic")),
    ],
}];
