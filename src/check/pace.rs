//! How fast the stages of a check are on this field and device, measured on their own first tiles. In: a session of one image. Out:
//! paces; or why a stage cannot be.
use super::sizes::{Pace, Paces, TIMED};
use super::stages::{self, LeftOut, Stage};
use crate::error::{Error, Result};
use crate::session::{How, Prediction, Session, State};
use std::ops::ControlFlow;
use std::time::Instant;

/// Evaluations that an adaptive loop of each path takes for its 1e-3, where they could not be counted. The MNIST network takes 48 on
/// a rotation and 142 on a projection of 8 arcs.
const ROTATION: u64 = 64;
const PROJECTION: u64 = 160;

/// A stage that was over in less than this many seconds is timed again: the first time its kernels were compiled.
const SHORT: f64 = 8.0;

/// Times every stage at these noise levels, and says which cannot be. `observe` may stop it.
pub(super) fn paces(
    session: &Session,
    ks: &[usize],
    brownian: bool,
    observe: &mut dyn FnMut(&State) -> ControlFlow<()>,
) -> Result<(Paces, Vec<LeftOut>)> {
    let (mut impossible, mut first) = (vec![], None);
    let mut able = |what: &str, stage: Stage, typical: u64| -> Result<Option<Pace>> {
        match pace(session, &stage, typical, observe) {
            Ok(pace) => Ok(Some(pace)),
            Err(error @ (Error::Invalid { .. } | Error::OutOfMemory { .. })) => {
                impossible.push(LeftOut { what: what.into(), why: error.to_string() });
                first.get_or_insert(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    };
    let rotation = able("closed loops", stages::loops(ks, 1, false)?, ROTATION)?;
    let projection = match rotation {
        Some(rotation) => {
            let both = able("projection", stages::loops(ks, 1, true)?, (ROTATION + PROJECTION) / 2)?;
            // One run has both paths, and its checks in f64 once.
            both.map(|both| Pace { each: (both.each - rotation.each).max(0.0), besides: 0.0 })
        }
        None => None,
    };
    let asymmetry = able("asymmetry", stages::asymmetry(ks, 1, TIMED)?, 0)?;
    let planes = able("planes", stages::planes(ks, 1, session.subject().dim())?, 0)?;
    if let (None, None, Some(error)) = (rotation, asymmetry, first) {
        return Err(error); // nothing can be said
    }
    let brownian = brownian.then(|| pace(session, &stages::brownian(ks, 1)?, 0, observe)).transpose()?;
    Ok((Paces { rotation, projection, brownian, asymmetry, planes }, impossible))
}

/// Of a stage for one sample. `typical` is what a loop takes where that is not known beforehand.
fn pace(
    session: &Session,
    stage: &Stage,
    typical: u64,
    observe: &mut dyn FnMut(&State) -> ControlFlow<()>,
) -> Result<Pace> {
    let task = session.task(&stage.settings()?)?;
    let mut once = || {
        let mut prepared = session.prepare(task.as_ref(), How::default())?;
        let cost = prepared.about().cost;
        let start = Instant::now();
        Ok::<_, Error>((cost, prepared.predict(observe)?, start.elapsed().as_secs_f64()))
    };
    let mut last = once()?;
    if last.2 < SHORT {
        last = once()?;
    }
    let (cost, Prediction { seconds: whole, timed: (done, seconds), checks: (checks, each) }, _) = last;
    if whole <= seconds {
        return Ok(Pace { each: seconds, besides: 0.0 }); // it was done to its end
    }
    let loops = cost.evaluations / stages::POINTS;
    let expected = if cost.at_most && typical > 0 { loops * typical } else { cost.evaluations };
    Ok(Pace { each: expected as f64 * seconds / done.max(1) as f64, besides: checks as f64 * each })
}
