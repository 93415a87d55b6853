//! How long a program's commands take on a device, and where to cut them so that no submission is taken for a hang.
//! In: FLOPs and bytes, from which a guess is made, then measured seconds. Out: ends of submissions, lanes of a tile that
//! is safe. CPU adapters have no watchdog: without a limit every run is one submission, and nothing is timed.
use crate::program::{Action, LaneRole, Program};

/// Longest submission in seconds: Windows ends what takes 2 s, a desktop's frames wait behind every one.
pub(super) const LONGEST: f64 = 0.5;

/// What a GPU is taken to manage until it has been measured: less than small integrated ones do.
const FLOPS_PER_SECOND: f64 = 5e9;
const BYTES_PER_SECOND: f64 = 2e9;

/// Seconds of every command on one device.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// What a submission may take; infinite without a watchdog.
    longest: f64,
    /// Per lane, of each command.
    seconds: Vec<f64>,
    /// Which commands are the host's: each is a piece of its own, which no watchdog looks at.
    host: Vec<bool>,
    /// Most lanes of a run that was measured.
    measured: usize,
}

impl Pace {
    /// A guess; `longest` is what a submission may take, if there is a limit.
    pub fn new(program: &Program, longest: Option<f64>) -> Self {
        let group = u64::from(program.group());
        let guess = |action: &Action| {
            let (flops, bytes) = match action {
                Action::Mirror { buffer, bytes_per_lane } => {
                    let lanes = program.lanes_of(program.buffers[buffer.0].space, LaneRole::All, group);
                    (0, 2 * bytes_per_lane * lanes)
                }
                Action::Dispatch(step, space) => {
                    let lanes = program.lanes_of(*space, step.role, group);
                    (step.flops * lanes, step.bytes * lanes)
                }
                Action::Host(_) => (0, 0),
            };
            (flops as f64 / FLOPS_PER_SECOND + bytes as f64 / BYTES_PER_SECOND) / group as f64
        };
        let seconds = program.actions.iter().map(guess).collect();
        let host = program.actions.iter().map(|action| matches!(action, Action::Host(_))).collect();
        let measured = if longest.is_some() { 0 } else { usize::MAX };
        Self { longest: longest.unwrap_or(f64::INFINITY), seconds, host, measured }
    }

    /// What a submission should take: half of what it may, since clocks change.
    fn aim(&self) -> f64 {
        self.longest / 2.0
    }

    /// Ends of the pieces of a run over `lanes` lanes, each a submission or one command of the host: as few as are short enough, a
    /// command at least in each.
    pub fn cuts(&self, lanes: usize) -> Vec<usize> {
        let (mut ends, mut sum) = (vec![], 0.0);
        for (i, seconds) in self.seconds.iter().enumerate() {
            let own = seconds * lanes as f64;
            let apart = i > 0 && (self.host[i] || self.host[i - 1]);
            if i > 0 && (apart || sum + own > self.aim()) {
                ends.push(i);
                sum = 0.0;
            }
            sum += own;
        }
        ends.push(self.seconds.len());
        ends
    }

    /// Lanes at which the slowest command alone is short enough.
    pub fn most_lanes(&self) -> usize {
        (self.aim() / self.slowest().1) as usize // saturates
    }

    /// The command that takes longest, and its seconds per lane.
    fn slowest(&self) -> (usize, f64) {
        let all = self.seconds.iter().copied().enumerate();
        all.fold((0, 0.0), |most, next| if next.1 > most.1 { next } else { most })
    }

    /// Whether a run over so many lanes can be predicted: small tiles say little of large ones.
    pub fn knows(&self, lanes: usize) -> bool {
        lanes <= self.measured.saturating_mul(2)
    }

    /// Takes the seconds of each piece of a run cut by `cuts`, one at a time on an idle device.
    pub fn learn(&mut self, lanes: usize, taken: &[f64]) {
        let mut from = 0;
        for (end, taken) in self.cuts(lanes).into_iter().zip(taken) {
            if self.host[from] {
                from = end;
                continue;
            }
            let piece = &mut self.seconds[from..end];
            let guessed: f64 = piece.iter().sum();
            let each = taken / lanes as f64;
            let n = piece.len() as f64;
            piece.iter_mut().for_each(|s| *s = if guessed > 0.0 { *s * each / guessed } else { each / n });
            from = end;
        }
        self.measured = lanes;
    }

    /// A step that takes too long even for a single sample: no cut and no tile makes it shorter.
    pub fn warning(&self, program: &Program) -> Option<String> {
        let (at, seconds) = self.slowest();
        let sample = seconds * f64::from(program.group());
        let Some(Action::Dispatch(step, _)) = program.actions.get(at).filter(|_| sample > self.longest) else {
            return None;
        };
        let (label, longest) = (&step.label, self.longest);
        Some(format!(
            "step '{label}' takes {sample:.2} s for one sample; a driver's watchdog may end what takes more than {longest} s"
        ))
    }
}
