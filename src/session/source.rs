//! A model on data: opened by name, or what a program holds already. In: what a user names, a field, numbers. Out: field and
//! images, which a device turns into a session.
use super::Session;
use crate::data::{Images, Levels, misfit};
use crate::error::{Error, Result};
use crate::field::{self, Field, ScoreScale};
use crate::gpu::Gpu;
use crate::latents;
use crate::model::{Said, leaves_size_open};
use crate::run::Subject;
use crate::shape::Shape;
use crate::spec::Spec;
use serde_json::{Value, json};
use std::sync::Arc;

/// How closed forms say of themselves what they are.
const CLOSED: &str = "closed form";

/// What is to be opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// A model directory, an ONNX file, or a closed form `field:NAME?..`.
    pub model: Spec,
    /// Clean images, or exact samples `data:NAME?..`.
    pub data: Spec,
    /// How many images, from the first.
    pub samples: usize,
    /// How eps-predictions become scores.
    pub scale: ScoreScale,
    /// What is said of the model beyond its files: a closed form's shape, or that of a network that leaves it open (that of the
    /// data if not given), the process, how the device holds weights, conditions.
    pub said: Said,
}

impl Opening {
    /// A model on the first so many images, everything else as it comes.
    pub fn new(model: impl Into<Spec>, data: impl Into<Spec>, samples: usize) -> Self {
        let (model, data, scale) = (model.into(), data.into(), ScoreScale::Definition);
        Opening { model, data, samples, scale, said: Said::default() }
    }

    /// The same with this shape.
    pub fn shaped(self, shape: Shape) -> Self {
        Opening { said: Said { shape: Some(shape), ..self.said }, ..self }
    }

    /// Reads both. Closed forms take [-1, 1] data and, unless told otherwise, their shape.
    ///
    /// # Errors
    /// Files that are missing or not what they should be; a shape or a process that is not the network's.
    pub fn open(&self) -> Result<Source> {
        let Opening { model, data, samples, scale, said } = self;
        let shape = said.shape;
        let sized = |shape| Said { shape, ..said.clone() };
        let (images, field) = if model.is_closed_form() {
            let images = field::open_data(data, *samples, [-1.0, 1.0], shape)?;
            let shape = Some(shape.unwrap_or(images.shape));
            (images, field::open_said(model, *scale, &sized(shape))?)
        } else {
            let known = match shape {
                None if leaves_size_open(model.path(), said)? => {
                    Some(field::open_data(data, 1, [-1.0, 1.0], None)?.shape)
                }
                shape => shape,
            };
            let field = field::open_said(model, *scale, &sized(known))?;
            as_given(shape, field.shape())?;
            (field::open_data(data, *samples, field.data_range(), Some(clean_shape(field.as_ref())))?, field)
        };
        Ok(Source { name: model.file_name(), data: Some(data.clone()), field, images })
    }
}

/// A field and clean images, read.
pub struct Source {
    /// In titles of plots.
    name: String,
    /// What the images were opened from; none: a program held them.
    data: Option<Spec>,
    /// The field.
    pub field: Arc<dyn Field>,
    /// Clean images.
    pub images: Images,
}

impl Source {
    /// A field that is open already, called `name` in titles, on the first `samples` images of what `data` names.
    ///
    /// # Errors
    /// Files that are missing or not what they should be; images of another shape.
    pub fn of(field: Arc<dyn Field>, name: impl Into<String>, data: &Spec, samples: usize) -> Result<Self> {
        let images = field::open_data(data, samples, field.data_range(), Some(clean_shape(field.as_ref())))?;
        Ok(Self { name: name.into(), data: Some(data.clone()), field, images })
    }

    /// A field that is open already on images that a program holds.
    ///
    /// # Errors
    /// Images of another shape.
    pub fn in_memory(field: Arc<dyn Field>, name: impl Into<String>, images: Images) -> Result<Self> {
        let (found, expected) = (images.shape, clean_shape(field.as_ref()));
        if found != expected {
            let message = format!("images of {found} (channels x height x width), expected {expected}");
            return Err(Error::invalid("data", message));
        }
        Ok(Self { name: name.into(), data: None, field, images })
    }

    /// Why floating-point data may be no data of the network's range. Closed forms have no range of their own.
    pub fn misfit(&self) -> Option<String> {
        let scaled = self.field.describe()["kind"] == CLOSED || self.images.levels != Levels::Real;
        misfit(&self.images.values, self.field.data_range()).filter(|_| !scaled)
    }

    /// The session on these devices. `seed` is the key of latents that are drawn.
    ///
    /// # Errors
    /// No device, or what it says while images are encoded.
    pub fn on(self, gpus: Vec<Gpu>, seed: u64) -> Result<Session> {
        let Source { name, data, field, images } = self;
        let Some(gpu) = gpus.first() else { return Err(Error::NoAdapter("a run was given none".into())) };
        let given = images.levels; // latents are real numbers
        let images = encoded(gpu, field.as_ref(), images, seed)?;
        let about = data_facts(data.as_ref(), given, &images);
        let mut subject = Subject::new(gpus, field, images)?;
        if let Some(data) = data {
            subject = subject.of(data);
        }
        Ok(Session { subject, name, data: about })
    }
}

/// What the field lives on: the images themselves, or the latents that its autoencoder gives them.
pub fn encoded(gpu: &Gpu, field: &dyn Field, images: Images, seed: u64) -> Result<Images> {
    match field.autoencoder() {
        Some(autoencoder) => latents::encode(gpu, autoencoder, &images, field.posterior(), seed),
        None => Ok(images),
    }
}

/// What a manifest says of images: the file, what was drawn, or which numbers a program held.
fn data_facts(spec: Option<&Spec>, given: Levels, images: &Images) -> Value {
    let (key, name) = match (spec, given) {
        (Some(spec), _) if spec.after("data:").is_some() => ("drawn", spec.to_string()),
        (Some(spec), _) => ("file", spec.file_name()),
        (None, Levels::Real) => ("array", "float32".into()),
        (None, _) => ("array", "uint8".into()),
    };
    json!({ key: name, "sha256": images.sha256, "shape": images.shape.to_string() })
}

/// What clean images are of: what the field lives on, or what its autoencoder encodes.
fn clean_shape(field: &dyn Field) -> Shape {
    field.autoencoder().map_or(field.shape(), |a| a.image())
}

/// Refuses a shape that is given and not that of the network.
pub fn as_given(shape: Option<Shape>, found: Shape) -> Result<()> {
    match shape {
        Some(given) if given != found => {
            Err(Error::invalid("shape", format!("{given} is given, the network works on {found}")))
        }
        _ => Ok(()),
    }
}
