//! What images were before they were numbers of the data range: integers of a known depth, or real numbers.
//! In: values and their range. Out: the levels behind them, and whether the values fit their range.
use std::fmt;

/// What stands behind the values of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Levels {
    /// Real numbers, taken as they are.
    #[default]
    Real,
    /// Integers 0..=most, scaled to the data range; 255 is 8-bit data, 65535 16-bit data.
    Integers {
        /// The largest.
        most: u32,
    },
    /// Images of several depths, as a folder may hold them.
    Mixed,
}

/// Farther from a level, in levels, than f16 leaves an 8-bit number of [-1, 1].
const OFF: f64 = 0.1;

impl Levels {
    /// Integers of so many bits.
    pub const fn bits(bits: u32) -> Self {
        Levels::Integers { most: (1 << bits) - 1 }
    }

    /// The largest integer, if they are integers of one depth.
    pub fn most(self) -> Option<u32> {
        match self {
            Levels::Integers { most } => Some(most),
            Levels::Real | Levels::Mixed => None,
        }
    }

    /// Of images that stand beside others.
    pub(super) fn beside(self, others: Self) -> Self {
        if self == others { self } else { Levels::Mixed }
    }

    /// True if all values are numbers of these integers scaled to `range`, to a tenth of a level.
    pub fn hold(self, values: &[f32], [low, high]: [f64; 2]) -> bool {
        let Levels::Integers { most } = self else { return false };
        let most = f64::from(most);
        values.iter().all(|&v| {
            let level = (f64::from(v) - low) / (high - low) * most;
            (level - level.round()).abs() <= OFF && (-OFF..=most + OFF).contains(&level)
        })
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Levels::Real => f.write_str("real numbers"),
            Levels::Integers { most } => write!(f, "{}-bit levels", most.ilog2() + 1),
            Levels::Mixed => f.write_str("levels of several depths"),
        }
    }
}

/// Shares of the values beyond the ends that are compared with the range.
const TAIL: f64 = 0.01;
/// Part of the range's width that the tails may lie outside of it.
const SLACK: f64 = 0.25;

/// A sentence if these real numbers cannot be data of this range: more than a hundredth of them lie far outside, or all lie
/// in one half of it.
pub fn misfit(values: &[f32], range @ [low, high]: [f64; 2]) -> Option<String> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = |share: f64| sorted.get((share * (sorted.len() - 1) as f64).round() as usize).map(|&v| f64::from(v));
    let (first, last) = (at(0.0)?, at(1.0)?);
    let (left, right) = (at(TAIL)?, at(1.0 - TAIL)?);
    let (slack, middle) = (SLACK * (high - low), (low + high) / 2.0);
    let found = format!("the values go from {first} to {last}, the model's data range is {range:?}");
    if left < low - slack || right > high + slack {
        return Some(format!("{found}: far outside of what it was trained on, if the range is right"));
    }
    if values.len() > 1 && (first >= middle || last <= middle) {
        return Some(format!("{found}: all of them lie in one half of it, as data scaled to another range would"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_known_by_their_values() {
        let range = [-1.0, 1.0];
        let eight: Vec<f32> = (0..=255).map(|i| (f64::from(i) / 127.5 - 1.0) as f32).collect();
        assert!(Levels::bits(8).hold(&eight, range) && !Levels::bits(8).hold(&eight, [0.0, 1.0]));
        let half: Vec<f32> = eight.iter().map(|&v| half::f16::from_f32(v).to_f32()).collect();
        assert!(Levels::bits(8).hold(&half, range), "through f16");
        assert!(!Levels::bits(8).hold(&[0.25, 0.1, -0.77], range));
        assert!(!Levels::bits(8).hold(&[252.0, 4.0], range), "levels as they are");
        assert_eq!(
            (Levels::bits(16).to_string(), Levels::bits(1).to_string()),
            ("16-bit levels".into(), "1-bit levels".into())
        );
    }

    #[test]
    fn data_of_another_range_are_seen() {
        let spread = |low: f32, high: f32| (0..100).map(|i| low + (high - low) * i as f32 / 99.0).collect::<Vec<_>>();
        let says = |low, high, range| misfit(&spread(low, high), range).unwrap_or_default();
        assert_eq!(says(-1.0, 1.0, [-1.0, 1.0]), "");
        assert_eq!(says(0.0, 1.0, [0.0, 1.0]), "");
        assert!(
            says(0.0, 255.0, [-1.0, 1.0]).contains("from 0 to 255, the model's data range is [-1.0, 1.0]: far outside")
        );
        assert!(says(-1.0, 1.0, [0.0, 1.0]).contains("far outside"));
        assert!(says(0.0, 1.0, [-1.0, 1.0]).contains("one half"));
        let mut outlier = spread(-1.0, 1.0);
        outlier.push(40.0);
        assert_eq!(misfit(&outlier, [-1.0, 1.0]), None, "one pixel in a hundred is no other range");
    }
}
