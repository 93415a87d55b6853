//! Faults on purpose: what goes wrong on a device where `VORTICITY_FAULTS` says so, for the tests of recovery. In: a list
//! such as `oom:5,lost:7:3`. Out: at every run and every allocation, whether this one fails. Grammar: docs/FORMATS.md.
use crate::error::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A run's memory is refused.
    OutOfMemory,
    /// The device is destroyed before a run.
    Lost,
}

/// Runs that go wrong.
#[derive(Debug)]
struct Rule {
    fault: Fault,
    /// Every run whose number is a multiple of this, counted from 1; with `on` this one and all that follow.
    every: u64,
    on: bool,
    /// How often.
    times: u64,
    happened: AtomicU64,
}

/// Faults of a device and of those that take its place; none by default.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
    /// Lanes for which an allocation has room.
    room: Option<u64>,
    runs: AtomicU64,
}

impl Faults {
    /// Reads `oom:N`, `lost:N` (every Nth run), either with `:TIMES` (so often at most) or as `N+` (the Nth and all that
    /// follow), and `room:LANES`, separated by commas.
    pub fn parse(text: &str) -> Result<Self> {
        let mut faults = Faults::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let wrong = || {
                let said = format!("'{part}', expected oom:N, lost:N, either with :TIMES or as N+, or room:LANES");
                Error::invalid("VORTICITY_FAULTS", said)
            };
            let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
            let words: Vec<&str> = part.split(':').collect();
            let (fault, every, times) = match words[..] {
                ["room", lanes] => {
                    faults.room = Some(number(lanes)?);
                    continue;
                }
                ["oom", every] => (Fault::OutOfMemory, every, u64::MAX),
                ["oom", every, times] => (Fault::OutOfMemory, every, number(times)?),
                ["lost", every] => (Fault::Lost, every, u64::MAX),
                ["lost", every, times] => (Fault::Lost, every, number(times)?),
                _ => return Err(wrong()),
            };
            let (every, on) = every.strip_suffix('+').map_or((every, false), |every| (every, true));
            let every = number(every)?.max(1);
            faults.rules.push(Rule { fault, every, on, times, happened: AtomicU64::new(0) });
        }
        Ok(faults)
    }

    /// Counts a run; what goes wrong with it.
    pub fn next(&self) -> Option<Fault> {
        let nth = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        let due = |rule: &&Rule| if rule.on { nth >= rule.every } else { nth.is_multiple_of(rule.every) };
        let left = |rule: &&Rule| rule.happened.fetch_add(1, Ordering::Relaxed) < rule.times;
        self.rules.iter().filter(due).find(left).map(|rule| rule.fault)
    }

    /// Whether an allocation has room for so many lanes.
    pub fn has_room(&self, lanes: usize) -> bool {
        self.room.is_none_or(|room| lanes as u64 <= room)
    }
}
