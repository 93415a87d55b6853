//! Which variant of a kernel computes what, where several compute the same. In: classes of work, and a choice for some of
//! them. Out: names of variants. Variants differ in the last bits, so a class holds nothing that a tile, a memory budget or
//! company (tangents beside a value) could change, and a run's choices are facts of its manifest.
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Convolutions that one variant computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    /// Side of the kernel, pixels.
    pub kernel: usize,
    /// Pixels between outputs.
    pub stride: usize,
    /// Channels read.
    pub inputs: usize,
    /// Channels written.
    pub outputs: usize,
    /// log2, rounded down, of the pixels of the layer's whole output, per lane.
    pub pixels_log2: u32,
    /// Whether the device holds its weights as f16.
    pub half: bool,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { kernel, stride, inputs, outputs, pixels_log2, half } = self;
        let held = if *half { "f16" } else { "f32" };
        write!(f, "conv {kernel}x{kernel}/{stride} {inputs}>{outputs} 2^{pixels_log2} {held}")
    }
}

/// What an adapter must have for a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// What every adapter has.
    Nothing,
    /// That the caller does not ask for kernels whose indices are checked as they run.
    Trust,
    /// Cooperative matrices of that side, f16 products and f32 sums.
    Halves(u32),
    /// Cooperative matrices of f32, of that side.
    Floats(u32),
}

/// The chosen variants; what nobody chose is computed by the table's first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    by_class: BTreeMap<String, String>,
    /// Of classes that are not in the list.
    otherwise: Option<String>,
}

impl Choices {
    /// The same variant for everything.
    pub fn always(variant: &str) -> Self {
        Self { otherwise: Some(variant.into()), ..Self::default() }
    }

    /// The variant of a class, if one was chosen.
    pub fn of(&self, class: &Class) -> Option<&str> {
        self.by_class.get(&class.to_string()).or(self.otherwise.as_ref()).map(String::as_str)
    }

    /// Chooses.
    pub fn set(&mut self, class: &Class, variant: &str) {
        self.by_class.insert(class.to_string(), variant.into());
    }

    /// The names of all that were chosen.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_class.values().chain(&self.otherwise).map(String::as_str)
    }

    /// Those of the given classes that are not `default`: what distinguishes a run from one without choices.
    pub fn of_classes(&self, classes: &[Class], default: &str) -> Self {
        let mut only = Self::default();
        for class in classes {
            if let Some(variant) = self.of(class).filter(|v| *v != default) {
                only.set(class, variant);
            }
        }
        only
    }

    /// True if nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    /// Variants by class, as manifests and caches have them.
    pub fn json(&self) -> Value {
        self.by_class
            .iter()
            .map(|(class, variant)| (class.clone(), Value::from(variant.as_str())))
            .collect::<Map<_, _>>()
            .into()
    }

    /// Reads what `json` wrote. `known` are the variants that there are; others are an error that names `place`.
    pub fn parse(place: &str, value: &Value, known: &[&str]) -> Result<Self> {
        let wrong =
            |found: &Value| Error::invalid(place, format!("found {found}, expected one of {}", known.join(", ")));
        let Some(object) = value.as_object() else {
            return Err(Error::invalid(place, format!("found {value}, expected variants by class")));
        };
        let mut by_class = BTreeMap::new();
        for (class, variant) in object {
            let name = variant.as_str().filter(|v| known.contains(v)).ok_or_else(|| wrong(variant))?;
            by_class.insert(class.clone(), name.to_string());
        }
        Ok(Self { by_class, otherwise: None })
    }
}
