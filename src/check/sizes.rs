//! How much of everything a budget of seconds buys. In: what each stage takes for one sample. Out: noise levels, samples, probes. Plain
//! arithmetic on numbers: the same paces and the same budget give the same sizes.

/// Noise levels of a check that has the time.
pub const LEVELS: usize = 10;

/// Samples that loops are drawn at, the most first.
pub const SAMPLES: &[usize] = &[64, 32, 16, 8, 4, 2, 1];

/// Noise levels to fall back on, the most first.
const FEWER: &[usize] = &[LEVELS, 5, 3, 1];

/// Samples at which the Jacobian's asymmetry is estimated, the most first.
const ESTIMATED: &[usize] = &[8, 4, 2, 1];

/// Random vectors at each of them, the most first.
const PROBES: &[usize] = &[64, 32, TIMED];

/// Random vectors that paces are of: the least.
pub(super) const TIMED: usize = 16;

/// Samples whose planes are searched for, the most first.
const SEARCHED: &[usize] = &[4, 2, 1];

/// Shares of the time for planes and for asymmetry; loops have what these leave. Where there can be none, asymmetry has it too.
const SHARES: [f64; 2] = [0.15, 0.35];

/// Samples at every noise level that are worth more than further levels.
const ENOUGH: usize = 2;

/// What a stage takes, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// For one sample at all noise levels that were timed (planes: at one).
    pub each: f64,
    /// For its checks in f64, however many samples there are.
    pub besides: f64,
}

impl Pace {
    /// For so many samples at this share of the levels.
    pub fn seconds(self, samples: usize, levels: f64) -> f64 {
        self.each * samples as f64 * levels + self.besides
    }
}

/// Of every stage; none where the field does not have what it takes.
#[derive(Clone, Copy, Debug)]
pub struct Paces {
    /// Loops of the first path.
    pub rotation: Option<Pace>,
    /// Loops of the second, in the same run.
    pub projection: Option<Pace>,
    /// Loops that were asked for besides.
    pub brownian: Option<Pace>,
    /// `TIMED` random vectors.
    pub asymmetry: Option<Pace>,
    /// The fastest planes.
    pub planes: Option<Pace>,
}

impl Paces {
    /// Evaluations that so many seconds buy, by what loops, or else random vectors, take at so many noise levels that were timed.
    pub fn evaluations(&self, seconds: f64, timed: usize) -> usize {
        let each = match (self.rotation, self.asymmetry) {
            (Some(loops), _) => loops.each / (timed * LOOP) as f64,
            (None, Some(vectors)) => vectors.each / (timed * TIMED) as f64,
            (None, None) => return 0,
        };
        (seconds / each.max(1e-9)).min(1e6) as usize
    }
}

/// Evaluations of a smooth loop, about.
const LOOP: usize = 32;

/// What there is to choose from, and what is chosen already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct There {
    /// Noise levels that the paces are of.
    pub timed: usize,
    /// Whether it is these that are measured, however many there is time for.
    pub fixed: bool,
    /// Images.
    pub held: usize,
    /// How many of them loops are drawn at, however many there is time for.
    pub samples: Option<usize>,
}

impl There {
    /// Numbers of images to choose from, the most first; the one that is chosen.
    fn loops(self) -> Vec<usize> {
        self.samples.map_or_else(|| self.allowed(SAMPLES), |n| vec![n])
    }

    /// Those of these that there are images for.
    fn allowed(self, sizes: &[usize]) -> Vec<usize> {
        let most = self.samples.unwrap_or(self.held).max(1);
        sizes.iter().copied().filter(|&n| n <= most).collect()
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Noise levels.
    pub levels: usize,
    /// Samples of the loops; where there can be none, of the Jacobian.
    pub samples: usize,
    /// Whether there can be loops.
    pub loops: bool,
    /// Whether there is time for the second path.
    pub projection: bool,
    /// Samples and random vectors, if there is time for them.
    pub asymmetry: Option<(usize, usize)>,
    /// Samples, if there is time for them.
    pub planes: Option<usize>,
    /// What all of it takes.
    pub seconds: f64,
}

impl Sizes {
    /// Of so many seconds, of what there is. Where not even the least fits, that is what is taken.
    pub fn of(budget: f64, paces: &Paces, there: There) -> Self {
        let fewer = FEWER.iter().copied().filter(|&levels| levels <= there.timed.max(1));
        let levels = if there.fixed { vec![there.timed] } else { fewer.collect() };
        let of = |levels| Self::at(budget, paces, levels, there);
        let enough = |sizes: &Sizes| {
            let asymmetry = paces.asymmetry.is_none() || sizes.asymmetry.is_some();
            let projection = paces.projection.is_none() || sizes.projection;
            let samples = sizes.samples >= ENOUGH.min(there.held) || there.samples.is_some();
            samples && projection && asymmetry && sizes.seconds <= budget
        };
        let mut all = levels.into_iter().map(of).collect::<Vec<_>>();
        let least = all.pop().unwrap_or_else(|| of(1));
        all.into_iter().find(enough).unwrap_or(least)
    }

    /// At so many of the levels that the paces are of.
    fn at(budget: f64, paces: &Paces, levels: usize, there: There) -> Self {
        let share = levels as f64 / there.timed.max(1) as f64;
        let (mut left, mut seconds) = (budget, 0.0);
        let planes = paces.planes.and_then(|pace| {
            let n = there.allowed(SEARCHED).into_iter().find(|&n| pace.seconds(n, 1.0) <= SHARES[0] * budget)?;
            seconds += pace.seconds(n, 1.0);
            Some(n)
        });
        let asymmetry = paces.asymmetry.and_then(|pace| {
            let samples = match (paces.rotation, there.samples) {
                (None, Some(n)) => vec![n],
                _ => there.allowed(ESTIMATED),
            };
            let every = PROBES.iter().flat_map(|&probes| samples.iter().map(move |&n| (n, probes)));
            let takes = |&(n, probes): &(usize, usize)| pace.seconds(n * probes / TIMED, share);
            // More samples count for more than more vectors at each.
            let (most, least) = match paces.rotation {
                Some(_) => (SHARES[1] * budget, None),
                None => (left - seconds, Some((there.samples.unwrap_or(1), TIMED))),
            };
            let fits = every.filter(|size| takes(size) <= most);
            let best = fits.max_by_key(|&(n, probes)| (n, probes)).or(least)?;
            seconds += takes(&best);
            Some(best)
        });
        left -= seconds;
        let loops = |n: usize, projection: bool| {
            let besides = paces.projection.filter(|_| projection).map_or(0.0, |pace| pace.seconds(n, share));
            let asked = paces.brownian.map_or(0.0, |pace| pace.seconds(n, share));
            paces.rotation.map_or(0.0, |pace| pace.seconds(n, share)) + besides + asked
        };
        let ways = [paces.projection.is_some(), false];
        let mut sizes = ways.into_iter().flat_map(|both| there.loops().into_iter().map(move |n| (n, both)));
        let least = (there.samples.unwrap_or(1), false);
        let (samples, projection) = match paces.rotation {
            Some(_) => sizes.find(|&(n, both)| loops(n, both) <= left).unwrap_or(least),
            None => (asymmetry.map_or(1, |(n, _)| n), false),
        };
        seconds += loops(samples, projection);
        Sizes { levels, samples, loops: paces.rotation.is_some(), projection, asymmetry, planes, seconds }
    }
}

/// So many timesteps of a process that has `steps`, evenly spaced, as the paper has them: 1, 101, .., 901 of 1000.
pub fn levels(steps: usize, count: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).map(|i| i * steps / count + 1).filter(|&k| k < steps).collect();
    all.dedup();
    if all.is_empty() { vec![0] } else { all }
}
