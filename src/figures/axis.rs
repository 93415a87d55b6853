//! Axes of the figures: their ends, ticks and labels. In: the range of the data. Out: an axis; what is in decades has log10 of the
//! values.
use crate::summary::number;
use std::ops::Range;

/// Most decades shown: smaller values lie on the lower edge.
const MOST_DECADES: f64 = 14.0;
/// Most labelled ticks of the y axis.
const MOST_LABELS: usize = 10;

/// A linear axis with given ticks.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Ticks with a label and a grid line.
    pub major: Vec<f64>,
    /// Ticks with a fainter grid line.
    pub minor: Vec<f64>,
}

impl Axis {
    /// Decades that hold every positive one of the values, with a margin; one decade about 1 if there are none.
    pub fn decades(values: impl Iterator<Item = f64>) -> Self {
        let logs = values.filter(|v| v.is_finite() && *v > 0.0).map(f64::log10);
        let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let (low, high) = if low > high { (-0.5, 0.5) } else { (low.max(high - MOST_DECADES), high) };
        let margin = ((high - low) * 0.05).max(0.05);
        let (low, high) = (low - margin, high + margin);
        let tens: Vec<f64> = (low.ceil() as i32..=high.floor() as i32).map(f64::from).collect();
        let finer = |digits: Range<u32>| -> Vec<f64> {
            (low.floor() as i32..=high.floor() as i32)
                .flat_map(|ten| digits.clone().map(move |d| f64::from(ten) + f64::from(d).log10()))
                .filter(|v| (low..=high).contains(v))
                .collect()
        };
        // Under two labelled powers of ten say little: label every digit.
        let (major, minor) = match tens.len() {
            0..=1 => (finer(1..10), Vec::new()),
            n if n <= MOST_LABELS => (tens, finer(2..10)),
            n => (tens.iter().copied().step_by(n.div_ceil(MOST_LABELS)).collect(), tens),
        };
        Axis { low, high, major, minor }
    }

    /// About five round steps that hold every finite value, with a margin; -1 to 1 if there are none.
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        let ends = |(a, b): (f64, f64), v: f64| (a.min(v), b.max(v));
        let (low, high) = values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        let (low, high) = if low > high { (-1.0, 1.0) } else { (low / 2.0, high / 2.0) }; // halves: no overflow below
        let span = (high - low).max(high.abs() * 1e-6).max(f64::MIN_POSITIVE);
        let (low, high) = (2.0 * low - span / 8.0, 2.0 * high + span / 8.0);
        let ten = 10f64.powf((span / 2.5).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|d| d * ten).into_iter().find(|s| *s >= span / 2.5).unwrap_or(ten);
        let first = (low / step).ceil();
        let major = (0..12).map(|i| (first + f64::from(i)) * step).filter(|v| *v <= high).collect();
        Axis { low, high, major, minor: Vec::new() }
    }
}

/// A tick of the y axis: `10⁻³` for powers of ten, else plain or `2×10⁻³`.
pub fn decade_label(log: f64) -> String {
    let ten = (log + 1e-9).floor();
    let digit = 10f64.powf(log - ten).round() as i32;
    let power: String = format!("{ten:.0}").chars().map(superscript).collect();
    match (digit, ten as i32) {
        (1, _) => format!("10{power}"),
        (_, 0..=3) => format!("{}", f64::from(digit) * 10f64.powf(ten)),
        (_, -2..0) => format!("{:.*}", -ten as usize, f64::from(digit) * 10f64.powf(ten)),
        _ => format!("{digit}×10{power}"),
    }
}

fn superscript(c: char) -> char {
    match c {
        '-' => '⁻',
        '0'..='9' => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][c as usize - '0' as usize],
        other => other,
    }
}

/// The axis of `n` places at 0, 1, ..
pub fn places(n: usize) -> Axis {
    Axis { low: -0.6, high: n.max(1) as f64 - 0.4, major: vec![], minor: vec![] }
}

/// A round number without the zeros at its end.
pub fn short(value: f64) -> String {
    let text = number(value);
    let text = match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    };
    text.replace('-', "−")
}
