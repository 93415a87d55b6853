//! Statistics of a box plot, after Tukey, with the quantiles that NumPy computes by default.
//! In: values in any order. Out: quartiles, whiskers, outliers. Values that are not finite are counted, not used.

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
