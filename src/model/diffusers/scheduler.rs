//! A scheduler's config as diffusers writes it. In: the file. Out: the process that the network was trained on, what it puts
//! out, and which keys say so. Every key is used, known to be of the sampling procedure alone (diffusers 0.42), or refused.
use crate::error::{Error, Result};
use crate::model::json;
use crate::model::prediction::Prediction;
use crate::model::process::ProcessConfig;
use crate::model::schedule::Schedule;
use serde_json::{Map, Value};
use std::path::Path;

/// The file's name.
pub(in crate::model) const FILE: &str = "scheduler_config.json";

/// What a scheduler's config says.
pub(in crate::model) struct Scheduler {
    pub process: ProcessConfig,
    pub prediction: Prediction,
    /// What a pipeline of this scheduler makes of an image's 0 and 255.
    pub data_range: [f64; 2],
    /// What samplers keep their estimates of x_0 to, on either side of 0; none: to nothing.
    pub clip: Option<f64>,
    /// Name of the class.
    pub class: String,
    /// The keys that the process is made of, and which of them the class's defaults stand for.
    pub process_keys: String,
    /// The same of the prediction.
    pub prediction_keys: String,
    /// The file, for provenance; Python's infinities are words there.
    pub text: Value,
}

/// What becomes of abar with `rescale_betas_zero_snr`.
#[derive(Clone, Copy, PartialEq)]
enum Rescale {
    /// The class does not know the key.
    Never,
    /// It ends at 0.
    Zero,
    /// Its last value is then 2^-24, for the class divides by it.
    Tiny,
}

/// Smallest abar of the classes that divide by it.
const TINY: f64 = 1.0 / 16_777_216.0;

/// A class of the variance-preserving process whose network is told the timestep.
struct Class {
    name: &'static str,
    /// Its defaults of `beta_start` and `beta_end`.
    ends: [f64; 2],
    /// Values of `beta_schedule` beyond `SCHEDULES`.
    more: &'static [&'static str],
    rescale: Rescale,
}

const fn class(name: &'static str, rescale: Rescale) -> Class {
    Class { name, ends: [1e-4, 0.02], more: &[], rescale }
}

/// Classes that came from k-diffusion, with other defaults.
const fn karras(name: &'static str, more: &'static [&'static str]) -> Class {
    Class { name, ends: [0.00085, 0.012], more, rescale: Rescale::Never }
}

/// All of them scale what a sampler has to the variance-preserving x = a x_0 + sigma eps before the network sees it.
const CLASSES: &[Class] = &[
    Class { more: &["laplace", "sigmoid"], ..class("DDPMScheduler", Rescale::Zero) },
    Class { more: &["laplace", "sigmoid"], ..class("DDPMParallelScheduler", Rescale::Zero) },
    class("DDIMScheduler", Rescale::Zero),
    class("DDIMParallelScheduler", Rescale::Zero),
    class("DDIMInverseScheduler", Rescale::Zero),
    class("PNDMScheduler", Rescale::Never),
    class("LMSDiscreteScheduler", Rescale::Never),
    class("EulerDiscreteScheduler", Rescale::Tiny),
    class("EulerAncestralDiscreteScheduler", Rescale::Tiny),
    karras("HeunDiscreteScheduler", &["exp"]),
    karras("KDPM2DiscreteScheduler", &[]),
    karras("KDPM2AncestralDiscreteScheduler", &[]),
    karras("DPMSolverSDEScheduler", &[]),
    class("DPMSolverMultistepScheduler", Rescale::Tiny),
    class("DPMSolverMultistepInverseScheduler", Rescale::Never),
    class("DPMSolverSinglestepScheduler", Rescale::Never),
    class("DEISMultistepScheduler", Rescale::Never),
    class("UniPCMultistepScheduler", Rescale::Tiny),
    class("SASolverScheduler", Rescale::Never),
    Class { more: &["sigmoid"], ..class("RePaintScheduler", Rescale::Never) },
];

/// The class of the variance-exploding process.
const VE: &str = "ScoreSdeVeScheduler";

/// Beginnings of the names of classes that are refused, and why.
const REFUSED: &[(&str, &str)] = &[
    ("EDM", "it scales the network's input and output by sigma_data (EDM), which is not supported"),
    ("FlowMatch", "its network puts out a velocity between data and noise (flow matching), which is not supported"),
    ("LCM", "its network is a consistency model, which is not a score"),
    ("TCD", "its network is a consistency model, which is not a score"),
    ("CMStochastic", "its network is a consistency model, which is not a score"),
    ("ScoreSdeVp", "its network is told a continuous time, which is not supported"),
    ("KarrasVe", "its network is told the noise level of another parametrisation, which is not supported"),
];

/// `beta_schedule` by the names of diffusers; the first three are those of every class.
const SCHEDULES: [(&str, Schedule); 6] = [
    ("linear", Schedule::Linear),
    ("scaled_linear", Schedule::ScaledLinear),
    ("squaredcos_cap_v2", Schedule::Cosine),
    ("sigmoid", Schedule::SigmoidBeta),
    ("laplace", Schedule::Laplace),
    ("exp", Schedule::Exponential),
];

/// Keys that every config may have, which say nothing of the process.
const ABOUT: [&str; 4] = ["_class_name", "_diffusers_version", "_name_or_path", "_use_default_values"];

/// Keys that the process of `CLASSES` is made of.
const PROCESS: [&str; 7] = [
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
];

/// Keys of how samples are drawn, of any class of `CLASSES`: a scheduler keeps those of the one that it was made from.
const SAMPLING: &[&str] = &[
    "algorithm_type",
    "clip_sample",
    "clip_sample_range",
    "corrector_order",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "eta",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "interpolation_type",
    "lambda_min_clipped",
    "lower_order_final",
    "noise_sampler_seed",
    "original_inference_steps",
    "predict_x0",
    "predictor_order",
    "sample_max_value",
    "set_alpha_to_one",
    "set_alpha_to_zero",
    "sigma_max",
    "sigma_min",
    "skip_prk_steps",
    "solver_order",
    "solver_p",
    "solver_type",
    "steps_offset",
    "tau_func",
    "tensor_format",
    "thresholding",
    "time_shift_type",
    "timestep_scaling",
    "timestep_spacing",
    "use_beta_sigmas",
    "use_exponential_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
];

/// Keys of the sampling procedure of `VE`.
const VE_SAMPLING: [&str; 3] = ["snr", "sampling_eps", "correct_steps"];

/// Keys that change what the network is told or puts out unless they have one of these values (as JSON), and how.
const ONLY: &[(&str, &[&str], &str)] = &[
    ("timestep_type", &["\"discrete\"", "null"], "the network is then told 0.25 ln sigma, which is not supported"),
    ("use_flow_sigmas", &["false", "null"], "the noise levels are then those of flow matching, which is not supported"),
    ("use_dynamic_shifting", &["false", "null"], "the noise levels then depend on the image's size"),
    ("shift_terminal", &["null"], "the noise levels are then those of flow matching, which is not supported"),
    (
        "variance_type",
        &["null", "\"fixed_small\"", "\"fixed_small_log\"", "\"fixed_large\"", "\"fixed_large_log\""],
        "the network then puts out variances too, which is not supported",
    ),
    ("predict_epsilon", &["true", "null"], "is of an old version: say \"prediction_type\": \"sample\" instead"),
];

/// Reads a scheduler's config.
pub(in crate::model) fn read(file: &Path) -> Result<Scheduler> {
    of(json::read(file)?).map_err(|e| Error::file(file, e))
}

/// Checks a scheduler's config.
pub(in crate::model) fn of(map: Map<String, Value>) -> Result<Scheduler> {
    let keys = Keys(&map);
    let name = keys.text("_class_name")?.unwrap_or_default();
    let text = Value::Object(map.clone());
    if name == VE {
        return Ok(Scheduler { text, ..exploding(keys)? });
    }
    if let Some(class) = CLASSES.iter().find(|c| c.name == name) {
        return Ok(Scheduler { text, ..preserving(keys, class)? });
    }
    let why = match REFUSED.iter().find(|r| name.starts_with(r.0)) {
        Some((_, why)) => format!("'{name}': {why}"),
        None => {
            let known: Vec<_> = CLASSES.iter().map(|c| c.name).chain([VE]).collect();
            format!("'{name}' is not one of {}", known.join(", "))
        }
    };
    Err(Error::invalid("_class_name", why))
}

/// The config of one of `CLASSES`.
fn preserving(keys: Keys, class: &Class) -> Result<Scheduler> {
    keys.known(class.name, &[&PROCESS, SAMPLING])?;
    let rescaled_to = rescaled_to(keys, class)?;
    let (process, mut used) = match keys.numbers("trained_betas")? {
        Some(betas) => {
            let timesteps = keys.count("num_train_timesteps")?.unwrap_or(STEPS);
            if betas.len() != timesteps {
                let found = format!("{} of them, num_train_timesteps is {timesteps}", betas.len());
                return Err(Error::invalid("trained_betas", found));
            }
            (ProcessConfig::Betas { betas, rescaled_to, label_scale: None }, vec!["trained_betas"])
        }
        None => scheduled(keys, class, rescaled_to)?,
    };
    used.extend(rescaled_to.map(|_| "rescale_betas_zero_snr"));
    let prediction = match keys.text("prediction_type")?.as_deref() {
        None | Some("epsilon") => Prediction::Eps,
        Some("v_prediction") => Prediction::V,
        Some("sample") => Prediction::X0,
        Some(other) => {
            let message = format!("'{other}' is not one of epsilon, v_prediction, sample");
            return Err(Error::invalid("prediction_type", message));
        }
    };
    Ok(Scheduler {
        process,
        prediction,
        data_range: [-1.0, 1.0],
        clip: clip(keys, class.name)?,
        class: class.name.into(),
        process_keys: keys.told(&used),
        prediction_keys: keys.told(&["prediction_type"]),
        text: Value::Null,
    })
}

/// What the last abar becomes where the config wants zero terminal SNR.
fn rescaled_to(keys: Keys, class: &Class) -> Result<Option<f64>> {
    let wanted = keys.flag("rescale_betas_zero_snr")?.unwrap_or(false);
    match (wanted, class.rescale) {
        (false, _) => Ok(None),
        (true, Rescale::Zero) => Ok(Some(0.0)),
        (true, Rescale::Tiny) => Ok(Some(TINY)),
        (true, Rescale::Never) => {
            let found = format!(
                "is true, which {} leaves out of account: give the config of the scheduler that the network was trained with",
                class.name
            );
            Err(Error::invalid("rescale_betas_zero_snr", found))
        }
    }
}

/// The process of a schedule by name, and the keys that it is made of.
fn scheduled(keys: Keys, class: &Class, rescaled_to: Option<f64>) -> Result<(ProcessConfig, Vec<&'static str>)> {
    let named = keys.text("beta_schedule")?.unwrap_or_else(|| "linear".into());
    let known: Vec<_> = SCHEDULES[..3].iter().map(|s| s.0).chain(class.more.iter().copied()).collect();
    let Some(&(_, schedule)) = SCHEDULES.iter().find(|s| s.0 == named && known.contains(&s.0)) else {
        let message = format!("'{named}' is not one that {} has: {}", class.name, known.join(", "));
        return Err(Error::invalid("beta_schedule", message));
    };
    let timesteps = keys.count("num_train_timesteps")?.unwrap_or(STEPS);
    let (first, last) = (keys.number("beta_start")?, keys.number("beta_end")?);
    let [mut beta_start, mut beta_end] = [None; 2];
    let mut used = vec!["num_train_timesteps", "beta_schedule"];
    if schedule.has_ends() {
        beta_start = first.or(Some(class.ends[0]));
        beta_end = last.or(Some(class.ends[1]));
        used.extend(["beta_start", "beta_end"]);
    }
    Ok((ProcessConfig::Vp { schedule, timesteps, beta_start, beta_end, rescaled_to, label_scale: None }, used))
}

/// `clip_sample_range`, if samplers of the class use it: those that have `clip_sample` do unless it says no, but for Heun's.
fn clip(keys: Keys, class: &str) -> Result<Option<f64>> {
    let starts = |starts: &[&str]| starts.iter().any(|s| class.starts_with(s));
    let (default, known) = (starts(&["DDPM", "DDIM", "RePaint"]), starts(&["DDPM", "DDIM", "RePaint", "Heun"]));
    let (flag, range) = (keys.flag("clip_sample")?, keys.number("clip_sample_range")?);
    Ok((known && flag.unwrap_or(default)).then(|| range.unwrap_or(1.0)))
}

/// `num_train_timesteps` of `CLASSES` where a config leaves it out.
const STEPS: usize = 1000;

/// The config of `VE`.
fn exploding(keys: Keys) -> Result<Scheduler> {
    let used = ["num_train_timesteps", "sigma_min", "sigma_max"];
    keys.known(VE, &[&used, &VE_SAMPLING])?;
    let (sigma_min, sigma_max) = (keys.number(used[1])?.unwrap_or(0.01), keys.number(used[2])?.unwrap_or(1348.0));
    let timesteps = keys.count(used[0])?.unwrap_or(2000);
    Ok(Scheduler {
        process: ProcessConfig::Ve { sigma_min, sigma_max, timesteps },
        prediction: Prediction::Score,
        data_range: [0.0, 1.0],
        clip: None,
        class: VE.into(),
        process_keys: keys.told(&used),
        prediction_keys: keys.told(&["_class_name"]),
        text: Value::Null,
    })
}

/// A config whose values are asked for by key; null is as good as absent, as in diffusers.
#[derive(Clone, Copy)]
struct Keys<'a>(&'a Map<String, Value>);

impl Keys<'_> {
    /// Refuses keys that are in none of `lists`, and values with an effect that there is no code for.
    fn known(self, class: &str, lists: &[&[&str]]) -> Result<()> {
        for (key, value) in self.0 {
            if let Some((_, values, why)) = ONLY.iter().find(|o| o.0 == key) {
                if !values.contains(&value.to_string().as_str()) {
                    return Err(Error::invalid(key, format!("{value}: {why}")));
                }
            } else if !(ABOUT.contains(&key.as_str()) || lists.iter().any(|l| l.contains(&key.as_str()))) {
                let message = format!("{value}: not a known key of {class}; what it would change is not known either");
                return Err(Error::invalid(key, message));
            }
        }
        Ok(())
    }

    fn text(self, key: &str) -> Result<Option<String>> {
        self.get(key, "text", |v| v.as_str().map(str::to_string))
    }

    fn flag(self, key: &str) -> Result<Option<bool>> {
        self.get(key, "true or false", Value::as_bool)
    }

    fn number(self, key: &str) -> Result<Option<f64>> {
        self.get(key, "a number", Value::as_f64)
    }

    fn count(self, key: &str) -> Result<Option<usize>> {
        self.get(key, "a whole number", |v| v.as_u64().and_then(|n| usize::try_from(n).ok()))
    }

    fn numbers(self, key: &str) -> Result<Option<Vec<f64>>> {
        self.get(key, "a list of numbers", |v| v.as_array()?.iter().map(Value::as_f64).collect())
    }

    fn get<T>(self, key: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.0.get(key).filter(|v| !v.is_null()) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| Error::invalid(key, format!("{value}, expected {expected}")))
    }

    /// Which of these keys the file has, and which are defaults of its class.
    fn told(self, used: &[&str]) -> String {
        let (there, absent): (Vec<&str>, Vec<&str>) =
            used.iter().partition(|k| self.0.get(**k).is_some_and(|v| !v.is_null()));
        match (&there[..], &absent[..]) {
            (there, []) => there.join(", "),
            ([], absent) => format!("the defaults of its class for {}", absent.join(", ")),
            (there, absent) => format!("{}; the defaults of its class for {}", there.join(", "), absent.join(", ")),
        }
    }
}
