//! How a run goes on: what earlier processes have recorded, and who is told and may stop it. In: a journal, an observer.
//! Out: what is recorded, then the places from which to go on.
//! A run is a fixed sequence of stages, and each stage a fixed sequence of points, whatever the tiles: that is its key. (Adaptive
//! loops alone are recorded in the order in which they are done.)
use super::journal::Journal;
use crate::error::{Error, Result};
use crate::field::{Field, first_not_finite};
use crate::gpu::Gpu;
use crate::threads::{cores, in_parallel};
use bytemuck::Pod;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Points of a record, at most: two such numbers and a product of one with a few can be added.
const MOST: usize = usize::MAX >> 16;

/// A record that is none of this run.
pub(crate) fn wrong(first: usize, count: u64, values: usize, expected: &str) -> Error {
    Error::invalid("journal", format!("{count} points with {values} values from point {first}, expected {expected}"))
}

/// Whose points a call is about.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    /// Of all of them.
    pub k: usize,
    /// What they are called, and their numbers.
    pub what: &'static str,
    pub samples: &'a [usize],
}

impl Whose<'_> {
    /// One of the points in words.
    fn place(&self, point: usize) -> String {
        format!("{} {}, timestep {}", self.what, self.samples[point], self.k)
    }
}

/// What a measurement needs besides its options.
pub struct Progress<'a> {
    pub(crate) journal: Journal,
    pub(crate) observe: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    /// The stage that is under way, from 1.
    pub(crate) stage: u64,
    /// Evaluations so far, and those of them that are recorded.
    pub(crate) done: u64,
    pub(crate) recorded: u64,
    /// Where the field first was not finite, in words.
    pub(crate) origin: Option<String>,
}

impl<'a> Progress<'a> {
    /// Nothing is recorded. `observe` is told the evaluations (lanes) that are done and may stop the run.
    pub fn new(observe: &'a mut dyn FnMut(u64) -> ControlFlow<()>) -> Self {
        Self { journal: Journal::default(), observe, stage: 0, done: 0, recorded: 0, origin: None }
    }

    /// The same of a measurement that goes on where the journal ends.
    pub fn of(journal: Journal, observe: &'a mut dyn FnMut(u64) -> ControlFlow<()>) -> Self {
        Self { journal, ..Self::new(observe) }
    }

    /// Counts evaluations, tells the observer, and stops where it says so.
    pub(crate) fn add(&mut self, lanes: u64) -> Result<()> {
        self.done += lanes;
        if (self.observe)(self.done).is_break() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Looks into the first point at which the field, or its derivative along `tangent`, was not finite; numbers that have become
    /// of one are not points of their own.
    pub(crate) fn look(
        &mut self,
        gpu: &Gpu,
        field: &Arc<dyn Field>,
        x: &[f32],
        tangent: &[f32],
        at: &Whose,
        point: usize,
    ) {
        if self.origin.is_none() && x.iter().all(|v| v.is_finite()) {
            let place = at.place(point);
            self.origin = Some(first_not_finite(gpu, field, x, tangent, (at.k, at.samples[point]), &place));
        }
    }

    /// Says that the first thing which was not finite is J'v, and that `other` is finite there: the sweep that looks for a node goes
    /// forward.
    pub(crate) fn look_back(&mut self, at: &Whose, point: usize, other: &str) {
        let said = || format!("J'v is not finite at {}, and {other} is: the sweep back overflows", at.place(point));
        self.origin.get_or_insert_with(said);
    }

    /// The next stage.
    pub(crate) fn begin(&mut self) {
        self.stage += 1;
    }

    /// The record of the points from `first`, if there is one: how many, and their values, one or more of each.
    pub(crate) fn record<T: Pod>(&mut self, first: usize) -> Result<Option<(usize, Vec<T>)>> {
        let Some((count, lanes, values)) = self.journal.next(self.stage, first as u64)? else { return Ok(None) };
        self.done += lanes;
        self.recorded = self.done;
        match usize::try_from(count) {
            Ok(count @ 1..=MOST) => Ok(Some((count, values))),
            _ => Err(wrong(first, count, values.len(), "as many points as a run may have")),
        }
    }

    /// The next record of one point, of a stage whose points come in any order: the point, and its values.
    pub(crate) fn record_of_any<T: Pod>(&mut self) -> Result<Option<(usize, Vec<T>)>> {
        let Some((first, count, lanes, values)) = self.journal.next_of_any(self.stage)? else { return Ok(None) };
        self.done += lanes;
        self.recorded = self.done;
        match usize::try_from(first) {
            Ok(point) if count == 1 => Ok(Some((point, values))),
            _ => Err(wrong(first as usize, count, values.len(), "one point")),
        }
    }

    /// Begins a stage of so many points: the values, `each` of a point, of all that are recorded, from the first.
    pub(crate) fn recorded<T: Pod>(&mut self, points: usize, each: usize) -> Result<Vec<T>> {
        self.begin();
        let (mut all, mut first) = (vec![], 0);
        while let Some((count, values)) = self.record::<T>(first)? {
            if first + count > points || values.len() != each * count {
                return Err(wrong(
                    first,
                    count as u64,
                    values.len(),
                    &format!("{each} of each, {points} points in all"),
                ));
            }
            first += count;
            all.extend(values);
        }
        Ok(all)
    }

    /// Records the values of `count` points, and with them the evaluations since the last record.
    pub(crate) fn keep<T: Pod>(&mut self, first: usize, count: usize, values: &[T]) -> Result<()> {
        let lanes = self.done - self.recorded;
        self.recorded = self.done;
        self.journal.append(self.stage, first as u64, count as u64, lanes, values)
    }

    /// Records the values of one point that took so many evaluations, which the observer may not have been told of yet.
    pub(crate) fn keep_one<T: Pod>(&mut self, point: usize, lanes: u64, values: &[T]) -> Result<()> {
        self.recorded += lanes;
        self.journal.append(self.stage, point as u64, 1, lanes, values)
    }

    /// Begins a stage: what the f64 twin says of each pick, in their order. `given` says what it needs to know of one, one after the
    /// other, and `check` takes its time: of so many picks at once as there are cores and `at_once` allows.
    pub(crate) fn checks<Pick: Sync, Given: Send + Sync, T: Pod + Send>(
        &mut self,
        at_once: usize,
        picks: &[Pick],
        given: impl FnMut(&Pick) -> Result<Given>,
        check: impl Fn(&Pick, &Given) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        self.begin();
        let (mut all, mut given) = (Vec::with_capacity(picks.len()), given);
        while all.len() < picks.len() {
            match self.record::<T>(all.len())? {
                Some((1, values)) if values.len() == 1 => all.extend(values),
                Some((count, values)) => {
                    return Err(wrong(all.len(), count as u64, values.len(), "one value of one check"));
                }
                None => break,
            }
        }
        for some in picks[all.len()..].chunks(at_once.min(cores()).max(1)) {
            let given = some.iter().map(&mut given).collect::<Result<Vec<_>>>()?;
            for found in in_parallel(some.len(), |i| check(&some[i], &given[i])) {
                let found = found?;
                self.keep(all.len(), 1, &[found])?;
                self.add(0)?;
                all.push(found);
            }
        }
        Ok(all)
    }
}

/// The largest of what checks found, NaN of those of which nothing is known. NaN if none was asked for, or nothing is known of
/// any; 0 if they are all in other shards.
pub(crate) fn worst(asked: usize, found: &[f64]) -> f64 {
    let none = if asked == 0 || !found.is_empty() { f64::NAN } else { 0.0 };
    found.iter().copied().fold(none, f64::max)
}
