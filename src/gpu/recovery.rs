//! What happens after trouble: a device that was lost is opened again, a plan that does not fit gets half the room. In: the
//! error of a run or an allocation. Out: the same program, ready for the same runs, or the error where that was in vain.
//! Weights are not kept in the host's memory for this: who planned the program says how to plan it again (`Recipe`).
use super::adapters::enumerate;
use super::device::Device;
use super::diary::Trouble;
use super::load::Loaded;
use super::tiles;
use crate::error::{Error, Result};
use std::time::Duration;

/// Failures in a row, without a run that ended well between them, after which a device is given up. Halving the room
/// does not count as long as it can be halved.
pub const FAILURES: usize = 3;

/// Pause before the second attempt to open a device, and once more before each later one: drivers restart.
const PAUSE: Duration = Duration::from_millis(500);

impl Device {
    /// This device; if it was lost, the one that took its place, opened on the same adapter if nobody has yet.
    pub fn living(&self) -> Result<Device> {
        if self.alive("").is_ok() {
            return Ok(self.clone());
        }
        let mut place = self.successor.lock().unwrap_or_else(|e| e.into_inner());
        let next = match &*place {
            Some(next) => next.clone(),
            None => place.insert(self.reopen()?).clone(),
        };
        drop(place);
        next.living()
    }

    /// The same adapter: at the same place of the list, or wherever it is now.
    fn reopen(&self) -> Result<Device> {
        let all = enumerate();
        let same = |i: &usize| all.get(*i).is_some_and(|a| a.get_info() == self.info);
        let Some(index) = Some(self.index).filter(same).or_else(|| (0..all.len()).find(same)) else {
            return Err(Error::NoAdapter(format!("'{}' is not there any more", self.info.name)));
        };
        Device::request(&all[index], index, self.bounds, self.told)
    }
}

impl Loaded<'_> {
    /// After an error of a run or an allocation: makes everything ready for the same runs again, perhaps of fewer lanes
    /// (`max_lanes`). Out of memory the room is halved, whole samples, down to one, for good; a lost device is opened
    /// again. Nothing of the runs in flight is left.
    ///
    /// # Errors
    /// The error itself if it is none of the two, if there is no recipe for a lost device, or after `FAILURES` in a row.
    pub fn recover(&mut self, error: Error) -> Result<()> {
        let mut error = error;
        loop {
            let (lost, half) =
                (self.gpu.device.alive("").is_err(), tiles::halved(self.max_lanes, self.program.group()));
            let memory = matches!(error, Error::OutOfMemory { .. });
            let whole = !memory || lost || !self.loaded;
            if !(memory || matches!(error, Error::DeviceLost { .. })) || (whole && self.recipe.is_none()) {
                return Err(error);
            }
            let lanes = half.filter(|_| memory).unwrap_or(self.max_lanes);
            if lanes == self.max_lanes {
                self.failures += 1;
                if self.failures >= FAILURES {
                    return Err(error);
                }
            }
            self.gpu.diary.trouble(Trouble { lost: !memory, message: error.to_string(), lanes });
            match self.rebuild(lanes, whole) {
                Ok(()) => return Ok(()),
                // What led here is what the user should hear of.
                Err(Error::NoAdapter(why)) => error = further(error, &why),
                Err(next) => error = next,
            }
        }
    }

    fn rebuild(&mut self, lanes: usize, whole: bool) -> Result<()> {
        self.release(whole);
        if whole {
            std::thread::sleep(PAUSE * self.failures.saturating_sub(1) as u32);
            self.gpu = self.gpu.living()?;
            if let Some(recipe) = &self.recipe {
                self.program = recipe(&self.gpu)?;
            }
            self.load()?;
        }
        // Only now is the memory of what was dropped free.
        self.gpu.device.finish(None, "making room")?;
        self.allocate(lanes)
    }
}

fn further(error: Error, why: &str) -> Error {
    let more = |message: String| format!("{message}; no device in its place: {why}");
    match error {
        Error::DeviceLost { place, message } => Error::DeviceLost { place, message: more(message) },
        Error::OutOfMemory { place, message } => Error::OutOfMemory { place, message: more(message) },
        other => other,
    }
}
