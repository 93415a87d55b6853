//! Divergences of a field, div s = tr J: by all unit vectors, or by random tangents. In: v.J v of every tangent. Out: the
//! divergence and its standard error.
use crate::error::{Error, Result};
use crate::run::{Kind, Parameter};
use crate::summary::stats::mean;

/// How a measure is asked for a divergence.
pub(crate) const PROBES: Parameter = Parameter::new(
    "probes",
    Kind::Text,
    "Random tangents for the divergence (Hutchinson), or `all` for the exact trace [default: all up to 256 dimensions, else \
     16]",
);

/// Dimensions up to which the divergence is the exact trace unless told otherwise.
const EXACT: usize = 256;

/// How a divergence is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// The trace: D tangents.
    Exact,
    /// Mean of v.J v over this many random tangents v of +1 and -1, at least 2 (Hutchinson).
    Hutchinson(usize),
}

impl Divergence {
    /// Exact in few dimensions, else 16 probes.
    pub fn of(dim: usize) -> Self {
        if dim <= EXACT { Divergence::Exact } else { Divergence::Hutchinson(16) }
    }

    /// What the parameter of probes says, or what fits `dim`.
    pub(crate) fn asked(probes: Option<&str>, dim: usize) -> Result<Self> {
        match probes {
            None => Ok(Divergence::of(dim)),
            Some(text) => Ok(parse_probes(text)?.map_or(Divergence::Exact, Divergence::Hutchinson)),
        }
    }

    pub(crate) fn check(self) -> Result<()> {
        match self {
            Divergence::Hutchinson(n) if n < 2 => {
                Err(Error::invalid("probes", format!("{n}, expected at least 2: their spread is the error")))
            }
            _ => Ok(()),
        }
    }

    /// Tangents per point in `dim` dimensions.
    pub fn tangents(self, dim: usize) -> usize {
        match self {
            Divergence::Exact => dim,
            Divergence::Hutchinson(n) => n,
        }
    }

    /// Tangent j of so many: a random one, which `probe` makes, or a unit vector.
    pub(crate) fn tangent(self, dim: usize, j: usize, probe: impl FnOnce() -> Vec<f32>) -> Vec<f32> {
        match self {
            Divergence::Hutchinson(_) => probe(),
            Divergence::Exact => unit(dim, j),
        }
    }

    /// Value and standard error from v.J v of every tangent.
    pub(crate) fn of_products(self, products: &[f64]) -> (f64, f64) {
        match self {
            Divergence::Exact => (products.iter().sum(), 0.0),
            Divergence::Hutchinson(_) => mean(products),
        }
    }

    /// As manifests have it.
    pub fn name(self) -> String {
        match self {
            Divergence::Exact => "exact".into(),
            Divergence::Hutchinson(n) => format!("hutchinson, {n} probes"),
        }
    }
}

/// The unit vector of component j.
pub(crate) fn unit(dim: usize, j: usize) -> Vec<f32> {
    (0..dim).map(|i| f32::from(i == j)).collect()
}

/// `all` as nothing, else a number.
pub(crate) fn parse_probes(text: &str) -> Result<Option<usize>> {
    match text {
        "all" => Ok(None),
        _ => {
            let wrong = |_| Error::invalid("--probes", format!("'{text}' is neither a number nor all"));
            text.parse().map(Some).map_err(wrong)
        }
    }
}
