//! What a check is going to do, as it is written down: its stages, what is left out and why. In: the paces of this field and
//! device, a budget. Out: `plan.json`, from which the same data files follow whoever runs it; what went into choosing it stands beside.
use super::Opens;
use super::doubts;
use super::pace::paces;
use super::sizes::{LEVELS, SAMPLES, Sizes, There, levels};
use super::stages::{LeftOut, Stage, asymmetry, brownian, listed, loops, planes};
use crate::diagnostics::Selection;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::run::{Shard, difference};
use crate::session::{Session, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// Version of the plan's layout.
pub const SCHEMA: u32 = 1;

/// The file's name in the directory of a check.
pub const PLAN: &str = "plan.json";

/// What a user decides on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Minutes that the measuring may take, on what is there.
    pub minutes: f64,
    /// Whether brownian loops are measured too.
    pub brownian: bool,
    /// Images that loops are drawn at, in place of what there is time for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Of all randomness, `SEED` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Noise levels, in place of what there is time for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timesteps: Option<Vec<usize>>,
}

/// Of all randomness, as every measure has it by default.
const SEED: u64 = 0;

/// Minutes of a check that is told nothing else.
pub const MINUTES: f64 = 2.0;

/// What a user says of the plan; of a plan that is there, nothing that contradicts it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// `MINUTES`, or those of the plan, if not given.
    pub minutes: Option<f64>,
    /// Whether brownian loops are asked for.
    pub brownian: bool,
    /// Images that loops are drawn at; as many as there is time for, if not given.
    pub samples: Option<usize>,
    /// Of all randomness; 0 if not given.
    pub seed: Option<u64>,
    /// Noise levels, ascending; as many as there is time for, if not given.
    pub timesteps: Option<Vec<usize>>,
}

impl Wanted {
    /// What is asked of a plan that is new.
    fn asked(self) -> Asked {
        let Wanted { minutes, brownian, samples, seed, timesteps } = self;
        Asked { minutes: minutes.unwrap_or(MINUTES), brownian, samples, seed, timesteps }
    }

    /// Whether a plan that was asked this may be followed.
    fn is_of(&self, asked: &Asked) -> bool {
        self.minutes.is_none_or(|minutes| minutes == asked.minutes)
            && (!self.brownian || asked.brownian)
            && (self.samples.is_none() || self.samples == asked.samples)
            && self.seed.is_none_or(|seed| seed == asked.seed())
            && (self.timesteps.is_none() || self.timesteps == asked.timesteps)
    }
}

impl Asked {
    /// Of all randomness.
    fn seed(&self) -> u64 {
        self.seed.unwrap_or(SEED)
    }

    /// In words, behind `a plan`.
    fn text(&self) -> String {
        let mut text = format!("for {} minutes", self.minutes);
        let mut own = vec![];
        own.extend(self.brownian.then(|| "brownian loops".to_string()));
        own.extend(self.samples.map(|n| format!("{n} samples")));
        own.extend(self.seed.map(|seed| format!("seed {seed}")));
        own.extend(self.timesteps.as_deref().map(|ks| format!("timesteps {}", listed(ks))));
        if !own.is_empty() {
            text += &format!(" with {}", own.join(", "));
        }
        text
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Of this layout.
    pub schema: u32,
    /// Who made it.
    pub program: String,
    /// What was asked.
    pub asked: Asked,
    /// What manifests say of the field.
    pub field: Value,
    /// What manifests say of the data.
    pub data: Value,
    /// Images, from the first.
    pub samples: usize,
    /// Timesteps k, ascending.
    pub timesteps: Vec<usize>,
    /// In the order in which they are run.
    pub stages: Vec<Stage>,
    /// What is not measured, and why.
    pub left_out: Vec<LeftOut>,
    /// What speaks against what the field was taken to be.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// Seconds that the stages were expected to take where the plan was made.
    pub seconds: f64,
}

impl Plan {
    /// The plan that is followed, and a session for it: the one that is written down there, for this field and these data; what another
    /// check was told to do (`like`), whatever it was of; or a new one.
    ///
    /// # Errors
    /// A plan for something else than what is there and wanted; as `made`.
    pub fn followed(
        there: Option<&Path>,
        like: Option<&Path>,
        wanted: Wanted,
        opens: &dyn Opens,
        observe: &mut dyn FnMut(&State) -> ControlFlow<()>,
    ) -> Result<(Plan, Session)> {
        if let Some(path) = there {
            let plan = Plan::read(path)?;
            if !wanted.is_of(&plan.asked) {
                let said = format!("is a plan {}: another plan wants another directory", plan.asked.text());
                return Err(Error::file(path, said));
            }
            let Opened { session, .. } = opened(opens, plan.samples, plan.asked.seed(), None)?;
            plan.check(&session, path)?;
            return Ok((plan, session));
        }
        if let Some(path) = like {
            let plan = Plan::read(path)?;
            let Opened { session, misfit, .. } = opened(opens, plan.samples, plan.asked.seed(), None)?;
            let (field, data) = (session.subject().field.describe(), session.data().clone());
            let doubts = doubted(&session, misfit, usize::MAX)?;
            return Ok((Plan { program: crate::session::program(), field, data, doubts, ..plan }, session));
        }
        Plan::made(wanted.asked(), opens, observe)
    }

    /// Times the stages on one image, and chooses what the rest of the time buys. `observe` may stop it.
    ///
    /// # Errors
    /// Minutes, samples or timesteps that are none; what stands against opening, or against loops and Jacobians both.
    fn made(
        asked: Asked,
        opens: &dyn Opens,
        observe: &mut dyn FnMut(&State) -> ControlFlow<()>,
    ) -> Result<(Plan, Session)> {
        if !(asked.minutes > 0.0 && asked.minutes.is_finite()) {
            return Err(Error::invalid("minutes", format!("{}, expected a number above 0", asked.minutes)));
        }
        let (start, held) = (Instant::now(), opens.held()?);
        if let Some(n) = asked.samples.filter(|&n| n == 0 || held.is_some_and(|held| n > held)) {
            let there = held.map_or("at least 1".into(), |held| format!("1..={held}"));
            return Err(Error::invalid("samples", format!("{n}, expected {there}")));
        }
        let (seed, minutes) = (asked.seed(), asked.minutes);
        let Opened { session: trial, gpus, .. } = opened(opens, 1, seed, None)?;
        let steps = trial.subject().field.process().timesteps();
        let ks = asked.timesteps.clone().unwrap_or_else(|| levels(steps, LEVELS));
        Selection { timesteps: ks.clone(), samples: 1, seed }.check(trial.subject(), Shard::WHOLE)?;
        let (paces, impossible) = paces(&trial, &ks, asked.brownian, observe)?;
        let budget = (60.0 * minutes - start.elapsed().as_secs_f64()).max(0.0);
        let (all, fixed) = (ks.len(), asked.timesteps.is_some());
        let there = There { timed: all, fixed, held: held.unwrap_or(SAMPLES[0]), samples: asked.samples };
        let sizes = Sizes::of(budget, &paces, there);
        drop(trial);
        let samples = [Some(sizes.samples), sizes.asymmetry.map(|a| a.0), sizes.planes];
        let samples = samples.into_iter().flatten().max().unwrap_or(1);
        let Opened { session, misfit, .. } = opened(opens, samples, seed, Some(gpus))?;
        let plan = Plan::of(asked, &sizes, impossible, &session)?;
        let doubts = doubted(&session, misfit, paces.evaluations(DOUBTING * 60.0 * minutes, all))?;
        Ok((Plan { doubts, ..plan }, session))
    }

    fn of(asked: Asked, sizes: &Sizes, mut left_out: Vec<LeftOut>, session: &Session) -> Result<Plan> {
        let field = &session.subject().field;
        let ks = asked.timesteps.clone().unwrap_or_else(|| levels(field.process().timesteps(), sizes.levels));
        let minutes = asked.minutes;
        let mut late = |what: &str| {
            let why = format!("there is no time for it in {minutes} min; --minutes gives more");
            if !left_out.iter().any(|l| l.what == what) {
                left_out.push(LeftOut { what: what.into(), why });
            }
        };
        let mut stages = vec![];
        if sizes.loops {
            stages.push(loops(&ks, sizes.samples, sizes.projection)?);
            if !sizes.projection {
                late("projection");
            }
        }
        match sizes.asymmetry {
            Some((samples, probes)) => stages.push(asymmetry(&ks, samples, probes)?),
            None => late("asymmetry"),
        }
        match sizes.planes {
            Some(samples) => stages.push(planes(&ks, samples, session.subject().dim())?),
            None => late("planes"),
        }
        if asked.brownian {
            stages.push(brownian(&ks, sizes.samples)?);
        }
        if let Some(seed) = asked.seed {
            stages = stages.into_iter().map(|stage| stage.seeded(seed)).collect::<Result<_>>()?;
        }
        Ok(Plan {
            schema: SCHEMA,
            program: crate::session::program(),
            asked,
            field: field.describe(),
            data: session.data().clone(),
            samples: session.subject().images.count,
            timesteps: ks,
            stages,
            left_out,
            doubts: vec![],
            seconds: sizes.seconds,
        })
    }

    /// Reads a plan that was written down.
    ///
    /// # Errors
    /// A file that is missing or no plan of this version.
    pub fn read(path: &Path) -> Result<Plan> {
        let value: Value = serde_json::from_str(&crate::data::text(path)?)
            .map_err(|e| Error::file(path, format!("is not JSON: {e}")))?;
        if value["schema"] != SCHEMA {
            return Err(Error::file(path, format!("has schema {}, this program reads {SCHEMA}", value["schema"])));
        }
        let plan: Plan =
            serde_json::from_value(value).map_err(|e| Error::file(path, format!("is no plan of a check: {e}")))?;
        if plan.stages.is_empty() || plan.samples == 0 {
            return Err(Error::file(path, "has no stages or no samples: it is no plan of a check"));
        }
        let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if let Some(stage) = plan.stages.iter().find(|s| !plain(&s.name)) {
            let said = format!("has the stage '{}', expected a name of letters and digits", stage.name);
            return Err(Error::file(path, said));
        }
        plan.stages.iter().try_for_each(|s| s.settings().map(drop)).map_err(|e| Error::file(path, e))?;
        Ok(plan)
    }

    /// As it is written down.
    ///
    /// # Errors
    /// Numbers that JSON does not have.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::invalid(PLAN, e))?;
        Ok((text + "\n").into_bytes())
    }

    /// Refuses a field or data that the plan was not made for.
    ///
    /// # Errors
    /// What is different.
    pub fn check(&self, session: &Session, place: &Path) -> Result<()> {
        let field = session.subject().field.describe();
        for (what, planned, found) in [("model", &self.field, &field), ("data", &self.data, session.data())] {
            if planned != found {
                let differs = difference(planned, found).unwrap_or_else(|| "it is not the same".into());
                let said = format!("is the plan for another {what}: {differs}. Name another --out, or remove this one");
                return Err(Error::file(place, said));
            }
        }
        Ok(())
    }
}

/// Share of the whole time that doubts may take.
const DOUBTING: f64 = 0.05;

/// What the field is measured on.
struct Opened {
    session: Session,
    gpus: Vec<Gpu>,
    /// What speaks against the data.
    misfit: Option<String>,
}

/// The session on so many images, and its devices: these, or those that are opened for it.
fn opened(opens: &dyn Opens, samples: usize, seed: u64, gpus: Option<Vec<Gpu>>) -> Result<Opened> {
    let source = opens.source(samples)?;
    let misfit = source.misfit();
    let gpus = gpus.map_or_else(|| opens.gpus(source.field.as_ref()), Ok)?;
    Ok(Opened { session: source.on(gpus.clone(), seed)?, gpus, misfit })
}

/// All doubts, in so many evaluations; those of the network at all levels of a check, whatever the plan has the time for.
fn doubted(session: &Session, misfit: Option<String>, evaluations: usize) -> Result<Vec<String>> {
    let data = misfit.map(|misfit| format!("of the data {misfit}"));
    let ks = levels(session.subject().field.process().timesteps(), LEVELS);
    let images = doubts::images(session.subject().dim()).min(evaluations / ks.len());
    let network = doubts::of(session, &ks, images)?;
    Ok(data.into_iter().chain(network).collect())
}
