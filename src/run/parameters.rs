//! What a measure can be asked: its parameters, each with a kind, a default and a sentence, and what was asked. In: names
//! with values, typed or as a user writes them. Out: `Settings`, from which a measure reads its options. The command line
//! is made from this, and so is whatever else takes keywords.
use super::measure::Measure;
use crate::error::{Error, Result};
use crate::spec::Spec;
use std::collections::{BTreeMap, BTreeSet};

/// What the value of a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number from 0.
    Count,
    /// A real number.
    Number,
    /// True where it is given.
    Flag,
    /// Text that the measure reads.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Names, separated by commas.
    List,
    /// Timesteps k: FIRST..END:STEP (END excluded), or numbers separated by commas.
    Timesteps,
    /// A file, a tensor of it, or something made by name (`field:NAME?..`).
    File,
}

/// A parameter of a measure.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name, as the command line has it behind two dashes.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Its value where none is given, as a user writes it; none: it may be left out, and `help` says what then.
    pub default: Option<&'static str>,
    /// What its value is called, where its name does not say it: a unit, such as a share or sigma.
    pub unit: &'static str,
    /// What it decides.
    pub help: &'static str,
    /// Parameters that cannot be given beside it.
    pub excludes: &'static [&'static str],
    /// True of what is no longer said so: it is read to be answered, and no help has it.
    pub hidden: bool,
    /// True of how much is computed again in f64, which is nothing where a field has no twin.
    pub checks: bool,
}

impl Parameter {
    /// A parameter without a default.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Parameter { name, kind, default: None, unit: "", help, excludes: &[], hidden: false, checks: false }
    }

    /// The same with a default.
    pub const fn or(self, default: &'static str) -> Self {
        Parameter { default: Some(default), ..self }
    }

    /// The same whose value is called so.
    pub const fn of(self, unit: &'static str) -> Self {
        Parameter { unit, ..self }
    }

    /// The same, which cannot be given beside these.
    pub const fn without(self, excludes: &'static [&'static str]) -> Self {
        Parameter { excludes, ..self }
    }

    /// The same, which no help has.
    pub const fn hidden(self) -> Self {
        Parameter { hidden: true, ..self }
    }

    /// The same, which says how much is computed again in f64.
    pub const fn checking(self) -> Self {
        Parameter { checks: true, ..self }
    }

    /// `given` as this parameter has it: text is read, a count may stand for a number.
    fn read(&self, given: Setting) -> Result<Setting> {
        let wrong = |said: String| Error::invalid(self.name, said);
        Ok(match (self.kind, given) {
            (Kind::Count, Setting::Text(text)) => {
                Setting::Count(text.trim().parse().map_err(|_| wrong(format!("'{text}' is no whole number from 0")))?)
            }
            (Kind::Number, Setting::Text(text)) => {
                Setting::Number(text.trim().parse().map_err(|_| wrong(format!("'{text}' is no number")))?)
            }
            (Kind::Number, Setting::Count(n)) => Setting::Number(n as f64),
            (Kind::Flag, Setting::Text(text)) => {
                Setting::Flag(text.parse().map_err(|_| wrong(format!("'{text}' is neither true nor false")))?)
            }
            (Kind::Text, Setting::Count(n)) => Setting::Text(n.to_string()),
            (Kind::Choice(words), Setting::Text(text)) if !words.contains(&text.as_str()) => {
                return Err(wrong(format!("'{text}' is not one of {}", words.join(", "))));
            }
            (Kind::List, Setting::Text(text)) => Setting::List(Spec::from(text).list()),
            (Kind::List, Setting::List(specs)) => Setting::List(specs.iter().flat_map(Spec::list).collect()),
            (Kind::Timesteps, Setting::Text(text)) => Setting::Timesteps(parse_timesteps(&text)?),
            (Kind::File, Setting::Text(text)) => Setting::File(text.into()),
            (kind, given) if given.fits(kind) => given,
            (kind, given) => return Err(wrong(format!("{given:?} is given, expected {kind:?}"))),
        })
    }
}

/// `1..1000:10` (END excluded), or `1,5,9`, or `7`.
pub fn parse_timesteps(text: &str) -> Result<Vec<usize>> {
    let fail = |m: &str| Error::invalid("timesteps", format!("'{text}' {m}"));
    let number = |s: &str| s.trim().parse::<usize>().map_err(|_| fail("is not FIRST..END:STEP or a list of numbers"));
    let Some((first, rest)) = text.split_once("..") else {
        return text.split(',').map(number).collect();
    };
    let (end, step) = rest.split_once(':').unwrap_or((rest, "1"));
    let (first, end, step) = (number(first)?, number(end)?, number(step)?);
    if step == 0 || first >= end || end > 10_000_000 {
        return Err(fail("is empty, has step 0 or is out of all bounds"));
    }
    Ok((first..end).step_by(step).collect())
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A whole number from 0.
    Count(u64),
    /// A real number.
    Number(f64),
    /// Whether.
    Flag(bool),
    /// Text; of a parameter of another kind it is read as a user's.
    Text(String),
    /// Names.
    List(Vec<Spec>),
    /// Timesteps k.
    Timesteps(Vec<usize>),
    /// A file, or something made by name.
    File(Spec),
}

impl Setting {
    fn fits(&self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Setting::Count(_), Kind::Count)
                | (Setting::Number(_), Kind::Number)
                | (Setting::Flag(_), Kind::Flag)
                | (Setting::Text(_), Kind::Text | Kind::Choice(_))
                | (Setting::List(_), Kind::List)
                | (Setting::Timesteps(_), Kind::Timesteps)
                | (Setting::File(_), Kind::File)
        )
    }
}

macro_rules! from {
    ($($of:ty => $kind:ident $value:ident: $made:expr;)*) => {
        $(impl From<$of> for Setting {
            fn from($value: $of) -> Self {
                Setting::$kind($made)
            }
        })*
    };
}
from! {
    u64 => Count n: n;
    usize => Count n: n as u64;
    f64 => Number x: x;
    bool => Flag flag: flag;
    &str => Text text: text.into();
    String => Text text: text;
    Vec<Spec> => List names: names;
    Vec<usize> => Timesteps ks: ks;
    Spec => File spec: spec;
}

impl From<i32> for Setting {
    fn from(n: i32) -> Self {
        u64::try_from(n).map_or(Setting::Number(n.into()), Setting::Count)
    }
}

impl<const N: usize> From<[&str; N]> for Setting {
    fn from(names: [&str; N]) -> Self {
        Setting::List(names.map(Spec::from).to_vec())
    }
}

impl<const N: usize> From<[usize; N]> for Setting {
    fn from(ks: [usize; N]) -> Self {
        Setting::Timesteps(ks.to_vec())
    }
}

/// What a measure is asked: a value for each of its parameters that has one.
#[derive(Clone, Debug)]
pub struct Settings {
    measure: &'static dyn Measure,
    values: BTreeMap<&'static str, Setting>,
    /// Those that are more than defaults.
    said: BTreeSet<&'static str>,
}

impl Settings {
    /// The defaults of a measure.
    ///
    /// # Errors
    /// A default that does not fit its own parameter.
    pub fn of(measure: &'static dyn Measure) -> Result<Self> {
        let mut settings = Self { measure, values: BTreeMap::new(), said: BTreeSet::new() };
        for parameter in measure.parameters() {
            if let Some(default) = parameter.default {
                settings.set(parameter.name, default)?;
            }
        }
        settings.said.clear();
        Ok(settings)
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// A name that the measure does not have; a value of another kind.
    pub fn set(&mut self, name: &str, value: impl Into<Setting>) -> Result<()> {
        let all = self.measure.parameters();
        let Some(parameter) = all.iter().find(|p| p.name == name) else {
            let known: Vec<&str> = all.iter().map(|p| p.name).collect();
            let found = format!("has no parameter '{name}', expected one of {}", known.join(", "));
            return Err(Error::invalid(self.measure, found));
        };
        self.values.insert(parameter.name, parameter.read(value.into())?);
        self.said.insert(parameter.name);
        Ok(())
    }

    /// The same settings with a parameter set.
    ///
    /// # Errors
    /// As `set`.
    pub fn with(mut self, name: &str, value: impl Into<Setting>) -> Result<Self> {
        self.set(name, value)?;
        Ok(self)
    }

    /// The same for a process of so many timesteps: of timesteps that nobody named those that it has.
    pub(crate) fn fitting(mut self, steps: usize) -> Self {
        if let Some(Setting::Timesteps(ks)) = self.values.get_mut(TIMESTEPS.name)
            && !self.said.contains(TIMESTEPS.name)
        {
            ks.retain(|&k| k < steps);
        }
        self
    }

    /// The same without what is computed again in f64, for a field that has no twin.
    ///
    /// # Errors
    /// Such checks were asked for.
    pub fn unchecked(mut self) -> Result<Self> {
        for parameter in self.measure.parameters().iter().filter(|p| p.checks) {
            let none = Setting::Text("0".into());
            let none = parameter.read(none)?;
            let asked = self.said.contains(parameter.name) && self.values.get(parameter.name) != Some(&none);
            if asked {
                let message = "is given, but the field has no values in f64 to compare with";
                return Err(Error::invalid(parameter.name, message));
            }
            self.values.insert(parameter.name, none);
        }
        Ok(self)
    }

    /// A whole number.
    pub fn count(&self, name: &str) -> Result<usize> {
        match self.values.get(name) {
            Some(&Setting::Count(n)) => {
                usize::try_from(n).map_err(|_| Error::invalid(name, format!("{n} is too large")))
            }
            _ => Err(self.missing(name)),
        }
    }

    /// A whole number, if it is given.
    pub fn count_if(&self, name: &str) -> Result<Option<usize>> {
        self.values.contains_key(name).then(|| self.count(name)).transpose()
    }

    /// A real number.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.number_if(name).ok_or_else(|| self.missing(name))
    }

    /// A real number, if it is given.
    pub fn number_if(&self, name: &str) -> Option<f64> {
        match self.values.get(name) {
            Some(&Setting::Number(x)) => Some(x),
            _ => None,
        }
    }

    /// Whether it is given and true.
    pub fn flag(&self, name: &str) -> bool {
        self.values.get(name) == Some(&Setting::Flag(true))
    }

    /// Text, or the word that was chosen.
    pub fn text(&self, name: &str) -> Result<&str> {
        self.text_if(name).ok_or_else(|| self.missing(name))
    }

    /// Text, if it is given.
    pub fn text_if(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Setting::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Names.
    pub fn list(&self, name: &str) -> Result<&[Spec]> {
        match self.values.get(name) {
            Some(Setting::List(names)) => Ok(names),
            _ => Err(self.missing(name)),
        }
    }

    /// Timesteps.
    pub fn timesteps(&self, name: &str) -> Result<Vec<usize>> {
        match self.values.get(name) {
            Some(Setting::Timesteps(ks)) => Ok(ks.clone()),
            _ => Err(self.missing(name)),
        }
    }

    /// A file, if it is given.
    pub fn file(&self, name: &str) -> Option<&Spec> {
        match self.values.get(name) {
            Some(Setting::File(spec)) => Some(spec),
            _ => None,
        }
    }

    /// The measure that is asked.
    pub fn measure(&self) -> &'static dyn Measure {
        self.measure
    }

    fn missing(&self, name: &str) -> Error {
        Error::invalid(self.measure, format!("parameter '{name}' is missing"))
    }
}

/// How many images, of every measure.
pub const SAMPLES: Parameter = Parameter::new("samples", Kind::Count, "How many images, from the first").or("256");

/// The key of all randomness, of every measure.
pub const SEED: Parameter = Parameter::new("seed", Kind::Count, "Seed of all randomness").or("0");

/// Where measures look whose table has timesteps.
pub const TIMESTEPS: Parameter = Parameter::new(
    "timesteps",
    Kind::Timesteps,
    "Timesteps k: FIRST..END:STEP (END excluded), or a comma-separated list",
)
.or("1..1000:10");
