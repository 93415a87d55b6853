//! Processes by name, `KIND?key=value&..`: keys and values are those of the object `process` of a `config.json`, lists are
//! separated by commas. In: a name, parameters. Out: a `ProcessConfig`.
use super::config::ProcessConfig;
use crate::error::{Error, Result};
use crate::spec::Params;
use serde_json::{Map, Value};

/// A process that may be named.
pub struct Kind {
    /// As in `config.json`.
    pub name: &'static str,
    /// Keys that it must have.
    pub needs: &'static [&'static str],
    /// Keys that it may have.
    pub takes: &'static [&'static str],
    /// Those of its keys that list its levels, in the place of `timesteps`.
    lists: &'static [&'static str],
}

/// Every process: a line each.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    Kind { name: "vp", needs: &[], takes: &["schedule", "timesteps", "beta_start", "beta_end", "rescaled_to", "label_scale"], lists: &[] },
    Kind { name: "ve", needs: &["sigma_min", "sigma_max"], takes: &["timesteps"], lists: &[] },
    Kind { name: "vp_continuous", needs: &["beta_min", "beta_max"], takes: &["timesteps", "t_min", "t_max", "times", "label_scale"], lists: &["times"] },
    Kind { name: "flow", needs: &[], takes: &["timesteps", "times", "direction", "label_scale"], lists: &["times"] },
    Kind { name: "edm", needs: &[], takes: &["timesteps", "sigma_min", "sigma_max", "rho", "sigmas", "label"], lists: &["sigmas"] },
    Kind { name: "fixed", needs: &["sigma"], takes: &[], lists: &[] },
    Kind { name: "betas", needs: &["betas"], takes: &["rescaled_to", "label_scale"], lists: &["betas"] },
    Kind { name: "alphas", needs: &["alphas_cumprod"], takes: &["label_scale"], lists: &["alphas_cumprod"] },
    Kind { name: "sigmas", needs: &["sigmas"], takes: &[], lists: &["sigmas"] },
];

/// What stands for keys that are not given, where a process has them.
const DEFAULTS: [(&str, &str); 2] = [("schedule", "cosine"), ("timesteps", "1000")];

impl Kind {
    /// The process of that name.
    pub fn of(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Every name, for messages.
    pub fn names() -> String {
        KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
    }

    fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.needs.iter().chain(self.takes).copied()
    }

    /// The process of these parameters, which it takes; others are left to the caller. T is 1000 and the schedule cosine where
    /// nothing else is given.
    ///
    /// # Errors
    /// A key that is needed and missing, a value that is not of its kind.
    pub fn of_params(&self, params: &mut Params) -> Result<ProcessConfig> {
        let mut object = Map::from_iter([("kind".to_string(), Value::from(self.name))]);
        for key in self.keys() {
            if let Some(text) = params.take::<String>(key)? {
                object.insert(key.into(), self.value(key, &text));
            }
        }
        if self.needs.iter().any(|key| !object.contains_key(*key)) {
            let needs: Vec<String> = self.needs.iter().map(|key| format!("{key}=..")).collect();
            return Err(Error::invalid(&params.place, format!("{} needs {}", self.name, needs.join(" and "))));
        }
        let listed = self.lists.iter().any(|key| object.contains_key(*key));
        for (key, value) in DEFAULTS {
            if self.takes.contains(&key) && !object.contains_key(key) && !(listed && key == "timesteps") {
                object.insert(key.into(), self.value(key, value));
            }
        }
        serde_json::from_value(object.into()).map_err(|e| Error::invalid(&params.place, e))
    }

    /// A number, a list of them, or a word.
    fn value(&self, key: &str, text: &str) -> Value {
        let one = |text: &str| {
            let whole = text.parse::<u64>().ok().map(Value::from);
            whole.or_else(|| text.parse::<f64>().ok().map(Value::from)).unwrap_or_else(|| text.into())
        };
        if self.lists.contains(&key) { text.split(',').map(one).collect::<Vec<_>>().into() } else { one(text) }
    }
}

/// Every key of every process, for what has others too.
pub fn keys() -> Vec<&'static str> {
    let mut all: Vec<&str> = KINDS.iter().flat_map(Kind::keys).collect();
    all.sort_unstable();
    all.dedup();
    all
}
