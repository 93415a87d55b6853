//! Statistics of a box plot, after Tukey, with the quantiles that NumPy computes by default.
//! In: values in any order. Out: quartiles, whiskers, outliers; values that are not finite are counted, not used. And what goes
//! with them: means, evenly spread choices, numbers as they are printed.

/// Five numbers, whiskers and outliers of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxStats {
    /// Finite values, which the statistics are of.
    pub count: usize,
    /// NaN and infinite values, left out.
    pub skipped: usize,
    /// Smallest value.
    pub min: f64,
    /// First quartile.
    pub q1: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub q3: f64,
    /// Largest value.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Smallest value not under q1 - 1.5 (q3 - q1).
    pub low: f64,
    /// Largest value not over q3 + 1.5 (q3 - q1).
    pub high: f64,
    /// Values beyond the whiskers, ascending.
    pub outliers: Vec<f64>,
}

impl BoxStats {
    /// None if there is no finite value.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let [q1, median, q3] = [0.25, 0.5, 0.75].map(|q| quantile(&sorted, q));
        let reach = 1.5 * (q3 - q1);
        let inside = |v: &&f64| (q1 - reach..=q3 + reach).contains(*v);
        // With few values q1 can lie between the whisker's value and the next: the whisker then has no length.
        let low = sorted.iter().find(inside).map_or(q1, |&v| v.min(q1));
        let high = sorted.iter().rev().find(inside).map_or(q3, |&v| v.max(q3));
        Some(BoxStats {
            count: sorted.len(),
            skipped: values.len() - sorted.len(),
            min,
            q1,
            median,
            q3,
            max,
            mean: sorted.iter().map(|v| v / sorted.len() as f64).sum(),
            low,
            high,
            outliers: sorted.iter().copied().filter(|v| !inside(&v)).collect(),
        })
    }
}

/// Quantile of ascending values by linear interpolation; NaN of none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = q.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
    let part = place - below as f64;
    a * (1.0 - part) + b * part // not a + (b - a) part, whose difference can overflow
}

/// Mean and its standard error; NaN for the error of fewer than two values.
pub fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, if values.len() > 1 { (square / (n - 1.0) / n).sqrt() } else { f64::NAN })
}

/// At most `most` of `0..n`, evenly spread, first and last among them.
pub fn evenly(n: usize, most: usize) -> Vec<usize> {
    match (n, most) {
        (0, _) | (_, 0) => Vec::new(),
        (_, 1) => vec![0],
        _ if n <= most => (0..n).collect(),
        _ => (0..most).map(|i| (i * (n - 1) + (most - 1) / 2) / (most - 1)).collect(),
    }
}

/// Three significant digits, in exponent form where plain digits would be long.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".into()
    } else if !value.is_finite() {
        "-".into()
    } else if !(1e-3..99_950.0).contains(&size) {
        format!("{value:.2e}")
    } else {
        // The exponent after rounding to three digits: 99.96 is 100, not 100.0.
        let rounded: f64 = format!("{size:.2e}").parse().unwrap_or(size);
        let before = rounded.log10().floor() as i32;
        format!("{value:.*}", (2 - before).max(0) as usize)
    }
}
