//! What an architecture of autoencoders says of itself. In: nothing. Out: the row that its file fills in and the list of
//! architectures holds.
use super::Weights;
use super::blocks::Net;
use super::latent_space::LatentSpace;
use crate::error::Result;
use crate::graph::NodeId;
use crate::shape::Shape;
use serde_json::Value;

/// An architecture, by the tensor names that its authors gave it.
pub struct Info {
    /// Name in `config.json`.
    pub name: &'static str,
    /// Where the architecture comes from.
    pub source: &'static str,
    /// Endings of tensor names that checkpoints carry and evaluation does not need.
    pub ignorable: &'static [&'static str],
    /// Shapes of an image and of a latent.
    pub(super) shapes: fn(&Value) -> Result<[Shape; 2]>,
    pub(super) halves: Halves,
    /// What hyper-parameters and weights say of the latents; none: a distribution whose mean is taken as it is.
    pub(super) space: Option<fn(&Value, &Weights) -> Result<LatentSpace>>,
}

pub(super) type Half = fn(&Value, &mut Net, NodeId) -> Result<NodeId>;

/// Both halves append themselves to a graph.
pub(super) struct Halves {
    /// From an image to the mean and the log-variance of its latent, as channels, or to the latent (`LatentSpace`).
    pub encode: Half,
    /// From a latent to an image.
    pub decode: Half,
}
