//! A field s(x, t): a trained network or a closed form, wherever the other may stand. It appends the steps that turn flat
//! points into flat field values, and has an f64 twin. Adding a closed form is one file and one line of `fields!`.
mod closure;
mod differences;
mod exact;
mod finite;
mod functions;
mod network;
mod score;

pub use closure::{About, ClosureField};
pub use exact::{EXACT, held, open_data};
pub use finite::first_not_finite;
pub use functions::{Functions, Points, Product, Values};
pub use network::{NetworkField, ScoreScale};

pub use crate::ops::weight_format::{Rounding, WeightFormat};

use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluator, Room, Under};
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::model::{AutoencoderModel, Fact, Kind, Model, Posterior, Process, ProcessConfig, Said, facts, process_keys};
use crate::paths::Lane;
use crate::program::{BufferId, Builder};
use crate::shape::Shape;
use crate::spec::{Params, Spec};
use std::sync::Arc;

/// What a field's steps connect to. A sample is `program.group()` lanes: in `x` a point, T tangents v at it, and K cotangents u
/// (`program.cotangents()`), in `s` the field, J v and J'u. Where J is symmetric, all lanes behind the first are alike.
pub struct FieldLaunch<'a> {
    /// Where the steps go.
    pub program: &'a mut Builder,
    /// The distinct timesteps of the run; a lane's `row` indexes them.
    pub timesteps: &'a [usize],
    /// `paths::Lane` of each lane.
    pub lanes: BufferId,
    /// Flat `[lane][D rounded up to 4]`: points in, field values out.
    pub x: BufferId,
    /// Field values, one row per lane.
    pub s: BufferId,
}

/// s(x, t): R^D -> R^D, unit nat/x for a score. A device's thread may plan it again.
pub trait Field: Send + Sync {
    /// `[C, H, W]` of a point.
    fn shape(&self) -> Shape;

    /// The noising process, which gives timesteps their a and sigma.
    fn process(&self) -> &Process;

    /// What 0 and 255 of 8-bit images map to; with an autoencoder, of the images that it encodes.
    fn data_range(&self) -> [f64; 2] {
        [-1.0, 1.0]
    }

    /// What the numbers of clean samples keep to: the data range, or with an autoencoder the range of its latents.
    fn clean_range(&self) -> [f64; 2] {
        self.data_range()
    }

    /// The autoencoder on whose latents the field lives; none: on images themselves.
    fn autoencoder(&self) -> Option<&AutoencoderModel> {
        None
    }

    /// What holding a network's weights as f16 does to them; none where they are held as they are.
    fn rounding(&self) -> Option<Rounding> {
        None
    }

    /// Which latent an image has, with an autoencoder.
    fn posterior(&self) -> Posterior {
        Posterior::Mode
    }

    /// (alpha, beta) that lanes at timestep k carry; score = alpha x + beta (raw output) for networks.
    fn coefficients(&self, k: usize) -> Result<(f64, f64)>;

    /// Refuses a field that is no score; `what` wants one.
    fn require_score(&self, _what: &str) -> Result<()> {
        Ok(())
    }

    /// Appends the steps from `x` to `s`.
    fn launch(&self, cx: FieldLaunch) -> Result<()>;

    /// The network, where the field is one.
    fn graph(&self) -> Option<&Graph> {
        None
    }

    /// Whether `launch` knows about tangents. Without them derivatives are finite differences.
    fn has_tangents(&self) -> bool {
        false
    }

    /// Whether J v is what the field says of itself, exact but for f32; else it is made of central differences.
    fn has_own_tangents(&self) -> bool {
        self.has_tangents()
    }

    /// Whether `launch` knows about cotangents. Without them J'u is not known, and what needs it is refused or found by tangents.
    fn has_adjoint(&self) -> bool {
        false
    }

    /// Whether there is a second opinion. Without one nothing is computed again in f64, and no verdict is more than not checked.
    fn has_twin(&self) -> bool {
        true
    }

    /// (alpha, beta) of score = alpha x + beta raw at timestep k, where the field has a raw output that is not the score.
    fn raw_coefficients(&self, _k: usize) -> Result<Option<(f64, f64)>> {
        Ok(None)
    }

    /// The field at `x` (flat, D), timestep k and the condition of a sample, in f64 dual numbers: the second opinion.
    fn twin(&self, x: &[Dual], k: usize, sample: usize) -> Result<Vec<Dual>>;

    /// J'u at `x` (both flat, D), timestep k and the condition of a sample, in f64: the second opinion of cotangents.
    ///
    /// # Errors
    /// A field that has no adjoint.
    fn twin_vjp(&self, _x: &[f64], _u: &[f64], _k: usize, _sample: usize) -> Result<Vec<f64>> {
        Err(no_adjoint(self.describe()))
    }

    /// How many evaluations of the twin may go on at once, each with memory of its own. Functions of somebody's own are called one at
    /// a time.
    fn twins_at_once(&self) -> usize {
        1
    }

    /// Conditions that samples are under; 1 where all are under the same. A lane's `row` is that of its timestep times this,
    /// plus the number of its sample's condition.
    fn conditions(&self) -> usize {
        1
    }

    /// Number of the condition that a sample is under.
    ///
    /// # Errors
    /// A sample that no condition was given for.
    fn condition(&self, _sample: usize) -> Result<usize> {
        Ok(0)
    }

    /// What is settled before anything is measured, and what settled it.
    fn facts(&self) -> Vec<Fact> {
        let mut facts = facts::of_process(self.process());
        facts.push(facts::of_range(self.data_range(), "default of closed forms"));
        facts
    }

    /// Facts for the manifest: what was measured.
    fn describe(&self) -> serde_json::Value;
}

/// What messages call a field, by its facts.
fn name_of(facts: serde_json::Value) -> String {
    facts["name"].as_str().unwrap_or("of your own").to_string()
}

fn no_adjoint(facts: serde_json::Value) -> Error {
    let message = "has no adjoint: J'u is not known (asymmetry is measured without it by --estimator forward)";
    Error::invalid(format!("field {}", name_of(facts)), message)
}

/// Refuses a field of which J'u is not known.
pub fn require_adjoint(field: &dyn Field) -> Result<()> {
    if field.has_adjoint() { Ok(()) } else { Err(no_adjoint(field.describe())) }
}

/// J'u of a gradient, whose J is symmetric, in f64: its derivative along u.
fn vjp_of_gradient(field: &dyn Field, x: &[f64], u: &[f64], k: usize, sample: usize) -> Result<Vec<f64>> {
    let along: Vec<Dual> = x.iter().zip(u).map(|(&x, &u)| Dual::new(x, u)).collect();
    Ok(field.twin(&along, k, sample)?.iter().map(|y| y.d).collect())
}

/// A field at any points: `evaluate` of the result gives s(x, t). `timesteps`, distinct and ascending, are all that it may
/// be asked for; tiles hold at most `max_samples`.
pub fn evaluator(gpu: &Gpu, field: &Arc<dyn Field>, timesteps: &[usize], max_samples: usize) -> Result<Evaluator> {
    of_field(gpu, field, timesteps, Room { samples: max_samples, tangents: 0, cotangents: 0 })
}

/// A field and its derivatives: `jvp` of the result gives s(x, t) and J v for at most `room.tangents` tangents at once,
/// fewer where they do not fit (`Evaluator::tangents`).
pub fn tangent_evaluator(gpu: &Gpu, field: &Arc<dyn Field>, timesteps: &[usize], room: Room) -> Result<Evaluator> {
    if !field.has_tangents() {
        let message = "has no tangents; its derivatives are finite differences (--method fd)";
        return Err(Error::invalid(format!("field {}", name_of(field.describe())), message));
    }
    if room.tangents == 0 {
        return Err(Error::invalid("tangents", "0, expected at least 1"));
    }
    of_field(gpu, field, timesteps, room)
}

/// A field and both its products: `products` of the result gives s(x, t), J v and J'u for at most `room.tangents` tangents and
/// `room.cotangents` cotangents at once, fewer where they do not fit (`Evaluator::cotangents`).
///
/// # Errors
/// A field without an adjoint; what the device says.
pub fn product_evaluator(gpu: &Gpu, field: &Arc<dyn Field>, timesteps: &[usize], room: Room) -> Result<Evaluator> {
    require_adjoint(field.as_ref())?;
    of_field(gpu, field, timesteps, room)
}

fn of_field(gpu: &Gpu, field: &Arc<dyn Field>, timesteps: &[usize], room: Room) -> Result<Evaluator> {
    let level = |timestep: usize| -> Result<Lane> {
        let k = timesteps[timestep];
        let ((a, sigma), (alpha, beta)) = (field.process().noise(k)?, field.coefficients(k)?);
        let gauss = -1.0 / (a * a + sigma * sigma);
        let [a, sigma, alpha, beta, gauss] = [a, sigma, alpha, beta, gauss].map(|v| v as f32);
        Ok(Lane { k: k as u32, a, sigma, alpha, beta, gauss, ..Lane::default() })
    };
    let (ks, field) = (timesteps.to_vec(), field.clone());
    let under = Under {
        count: field.conditions(),
        of: {
            let field = field.clone();
            Box::new(move |sample| field.condition(sample))
        },
    };
    Evaluator::of_steps(gpu, [field.shape(); 2], timesteps, room, (level, under), move |program, ports| {
        let (lanes, x, s) = (ports.lanes, ports.inputs[0], ports.outputs[0]);
        field.launch(FieldLaunch { program, timesteps: &ks, lanes, x, s })
    })
}

type Make = fn(Shape, Process, &mut Params) -> Result<Arc<dyn Field>>;

/// From one line per closed form: its file's module, and its row of `FIELDS` and of `HELP`. What makes it is a function of its
/// name.
macro_rules! fields {
    ($($file:ident { $($name:ident $about:literal)* })*) => {
        $(mod $file;)*

        /// Every closed form: name, what it is, how it is made of its parameters.
        pub const FIELDS: &[(&str, &str, Make)] = &[$($((stringify!($name), $about, $file::$name),)*)*];

        /// What a model can be, for the help of command lines.
        #[cfg(feature = "cli")]
        pub(crate) const HELP: &str = concat!(
            "Model directory, folder of diffusers, ONNX file, or a closed form, with parameters as in field:rotor?omega=2:"
            $($(, "\n- field:", stringify!($name), ": ", $about)*)*
        );
    };
}

fields! {
    closed {
        gaussian "score of N(0, I) data: s = -x / (a^2 + sigma^2)"
        rotor "s_i = omega (x_{i+1} - x_{i-1}), cyclic; parameter omega (1)"
        tilted "s = -x + rotor; parameter omega (1)"
        subspace "score of N(0, P) data, P the projection onto the first `rank` components; parameter rank (1)"
    }
    mixture { mixture "score of a Gaussian mixture; parameter file (safetensors: means, variances, weights)" }
    funnel { funnel "score of Neal's funnel: component 0 is y ~ N(0, 9), the others N(0, e^y)" }
}

/// The parameter of closed forms that names a process by its kind; its keys are parameters too.
const PROCESS: &str = "process";

/// What is given of a process.
fn of_process(params: &Params) -> Vec<String> {
    let keys = [PROCESS].into_iter().chain(process_keys());
    keys.filter_map(|key| Some(format!("{key}={}", params.shown(key)?))).collect()
}

/// Whether the parameters of `field:NAME?..` name a process.
pub fn names_process(spec: &Spec) -> Result<bool> {
    let named = spec.named("field:")?;
    Ok(named.is_some_and(|(_, params)| !of_process(&params).is_empty()))
}

/// The process that a closed form is asked to have: the one that an option gave, or that of its own parameters.
fn process(params: &mut Params, given: Option<&Process>) -> Result<Process> {
    let own = of_process(params);
    match given {
        Some(given) if own.is_empty() => Ok(given.clone()),
        Some(given) => {
            let message =
                format!("says {}, and {} gives a process too: expected one of them", own.join("&"), given.source);
            Err(Error::invalid(&params.place, message))
        }
        None => {
            let config = own_process(params)?;
            let source = match own.is_empty() {
                true => "default; --process, --alphas, --sigmas or ?schedule= name another".into(),
                false => format!("{}, its parameters; the rest default", own.join("&")),
            };
            Ok(Process::new(&config)?.said(source))
        }
    }
}

/// The process of a closed form's own parameters: of the kind `vp` where they name none.
fn own_process(params: &mut Params) -> Result<ProcessConfig> {
    let name = params.take::<String>(PROCESS)?.unwrap_or_else(|| "vp".into());
    let unknown = || Error::invalid(&params.place, format!("process={name} is not one of {}", Kind::names()));
    Kind::of(&name).ok_or_else(unknown)?.of_params(params)
}

/// Opens a model directory or `field:NAME?param=..`. `shape` is for closed forms and for networks that leave theirs open
/// (`model::leaves_size_open`); others know theirs.
///
/// Every closed form also takes `process=KIND` (vp; the others of `KINDS`) and that kind's keys, such as `timesteps` (1000) and
/// `schedule` (cosine; the others of `SCHEDULES`).
pub fn open(spec: impl Into<Spec>, shape: Option<Shape>, scale: ScoreScale) -> Result<Arc<dyn Field>> {
    open_said(spec, scale, &Said { shape, ..Said::default() })
}

/// `open`, with what a user says of a network beyond its files; a closed form takes the process, if one is given, and a network's
/// own must be the same.
pub fn open_said(spec: impl Into<Spec>, scale: ScoreScale, said: &Said) -> Result<Arc<dyn Field>> {
    let spec = &spec.into();
    let Some((name, mut params)) = spec.named("field:")? else {
        let model = Model::open_said(spec.path(), said)?;
        return Ok(Arc::new(NetworkField::new(model, scale)));
    };
    said.require_no_network().map_err(|e| Error::invalid(spec, e))?;
    let Some((_, _, make)) = FIELDS.iter().find(|f| f.0 == name) else {
        let known: Vec<_> = FIELDS.iter().map(|f| f.0).collect();
        return Err(Error::invalid(spec, format!("'{name}' is not a known field; known: {}", known.join(", "))));
    };
    let shape = said.shape.ok_or_else(|| Error::invalid(spec, "a closed-form field needs a shape such as 1x28x28"))?;
    let process = process(&mut params, said.process.as_ref())?;
    let field = make(shape, process, &mut params)?;
    params.finish(&name)?;
    Ok(field)
}
