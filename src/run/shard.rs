//! A shard: the part of a run's samples that one process of several measures. In: `i/n` as a user writes it.
//! Out: which samples these are. Samples are dealt out in turn, so that the checked ones, the first, are spread evenly.
use crate::error::{Error, Result};
use std::fmt;

/// Part `index` (from 0) of `of`: samples index, index + of, index + 2 of, ..
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

impl Default for Shard {
    /// All samples.
    fn default() -> Self {
        Shard::WHOLE
    }
}

impl Shard {
    /// All samples.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };

    /// Part `number` of `of`, counted from 1.
    pub fn new(number: usize, of: usize) -> Result<Self> {
        if number == 0 || number > of {
            let found = format!("{number}/{of}, expected i/n with i from 1 to n, such as 1/{}", of.max(1));
            return Err(Error::invalid("shard", found));
        }
        Ok(Shard { index: number - 1, of })
    }

    /// `i/n`, counted from 1.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("shard", format!("'{text}', expected i/n with i from 1 to n, such as 1/4"));
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let [number, of] = [number, of].map(|part| part.trim().parse());
        Shard::new(number.map_err(|_| wrong())?, of.map_err(|_| wrong())?)
    }

    /// Refuses more shards than samples: some would be empty.
    pub fn check(self, samples: usize) -> Result<()> {
        if self.of <= samples {
            return Ok(());
        }
        Err(Error::invalid("shard", format!("{self}, but there are {samples} samples: at most so many shards")))
    }

    /// Counted from 1.
    pub fn number(self) -> usize {
        self.index + 1
    }

    /// How many shards there are.
    pub fn of(self) -> usize {
        self.of
    }

    /// Whether it has all samples.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// How many of `all` samples it has.
    pub fn count(self, all: usize) -> usize {
        all.saturating_sub(self.index).div_ceil(self.of)
    }

    /// The run's sample that is number i of the shard.
    pub fn sample(self, i: usize) -> usize {
        self.index + i * self.of
    }

    /// The number in the shard of one of the run's samples, if it is here.
    pub fn place(self, sample: usize) -> Option<usize> {
        (sample % self.of == self.index).then_some(sample / self.of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.number(), self.of)
    }
}
