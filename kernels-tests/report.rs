//! Statistics against hand-computed numbers; the table's marks; plots that survive any numbers.
use crate::run::{Example, example};
use proptest::prelude::*;
use vorticity::measures::circulation::ERRORS;
use vorticity::run::Verdict;
use vorticity::summary::{BoxStats, Cell, Results, evenly, number, stats::quantile};

fn table(data: &Example) -> String {
    let table = data.table().unwrap();
    table.measure.text(&table).unwrap()
}

/// A column at a path and a timestep.
fn cell(data: &Example, column: &str, path: usize, timestep: usize) -> Cell {
    let results = Results::of(&data.table().unwrap()).unwrap();
    results.cell(results.statistic(column).unwrap(), path, timestep)
}

fn set(data: &mut Example, name: &str, value: impl Fn(usize) -> f64) {
    let column = data.columns.iter_mut().find(|c| c.name == name).unwrap();
    column.values = (0..30).map(value).collect();
}

#[test]
fn statistics_of_ten_numbers() {
    // numpy.percentile([1..9, 30], [25, 50, 75]) = 3.25, 5.5, 7.75; the whiskers reach to -3.5 and 14.5.
    let b = BoxStats::of(&[30.0, 2.0, 1.0, 4.0, 3.0, 6.0, 5.0, 8.0, 7.0, 9.0]).unwrap();
    let expected = BoxStats {
        count: 10,
        skipped: 0,
        min: 1.0,
        q1: 3.25,
        median: 5.5,
        q3: 7.75,
        max: 30.0,
        mean: 7.5,
        low: 1.0,
        high: 9.0,
        outliers: vec![30.0],
    };
    assert!((b.mean - expected.mean).abs() < 1e-12);
    assert_eq!(BoxStats { mean: 7.5, ..b.clone() }, expected);
    // One number more moves every quartile: the comparison above can fail.
    let more = BoxStats::of(&[30.0, 2.0, 1.0, 4.0, 3.0, 6.0, 5.0, 8.0, 7.0, 9.0, 10.0]).unwrap();
    assert_eq!((more.q1, more.median, more.q3), (3.5, 6.0, 8.5));
}

#[test]
fn statistics_of_few_and_strange_numbers() {
    let one = BoxStats::of(&[2.0]).unwrap();
    assert_eq!((one.low, one.q1, one.median, one.q3, one.high, one.outliers.len()), (2.0, 2.0, 2.0, 2.0, 2.0, 0));
    let two = BoxStats::of(&[4.0, 2.0]).unwrap();
    assert_eq!((two.q1, two.median, two.q3), (2.5, 3.0, 3.5));
    let odd = BoxStats::of(&[f64::NAN, 1.0, f64::INFINITY, 3.0, f64::NEG_INFINITY]).unwrap();
    assert_eq!((odd.count, odd.skipped, odd.median), (2, 3, 2.0));
    assert_eq!(BoxStats::of(&[]), None);
    assert_eq!(BoxStats::of(&[f64::NAN]), None);
    // numpy.percentile([0, 0, 0, 100], 75) = 25: nothing lies between it and the low whisker's end.
    let skew = BoxStats::of(&[0.0, 0.0, 0.0, 100.0]).unwrap();
    assert_eq!((skew.q3, skew.high, &skew.outliers[..]), (25.0, 25.0, &[100.0][..]));
    assert!(quantile(&[], 0.5).is_nan());
    assert_eq!(quantile(&[-f64::MAX, f64::MAX], 0.5), 0.0);
}

proptest! {
    #[test]
    fn statistics_are_ordered_and_complete(values in prop::collection::vec(-1e3f64..1e3, 1..80)) {
        let b = BoxStats::of(&values).unwrap();
        let ordered = [b.min, b.low, b.q1, b.median, b.q3, b.high, b.max];
        prop_assert!(ordered.is_sorted(), "{:?}", ordered);
        let inside = values.iter().filter(|v| (b.low..=b.high).contains(*v)).count();
        prop_assert_eq!(inside + b.outliers.len(), values.len());
        // At least half of the values on either side of the median.
        prop_assert!(values.iter().filter(|v| **v <= b.median).count() * 2 >= values.len());
        prop_assert!(values.iter().filter(|v| **v >= b.median).count() * 2 >= values.len());
    }

    #[test]
    fn chosen_timesteps_are_spread_evenly(n in 0usize..2000, most in 2usize..40) {
        let chosen = evenly(n, most);
        prop_assert_eq!(chosen.len(), n.min(most));
        prop_assert!(n == 0 || (chosen[0] == 0 && chosen[chosen.len() - 1] == n - 1));
        let steps: Vec<usize> = chosen.windows(2).map(|w| w[1] - w[0]).collect();
        prop_assert!(steps.iter().all(|&s| s > 0 && s <= steps[0] + 1 && s + 1 >= steps[0]));
    }
}

#[test]
fn numbers_have_three_digits() {
    let shown = [0.0, 1.0, -12.345, 0.0123456, 1234.4, 0.000123, 2.5e7, 99.96].map(number);
    assert_eq!(shown, ["0", "1.00", "-12.3", "0.0123", "1234", "1.23e-4", "2.50e7", "100"]);
    assert_eq!(number(f64::NAN), "-");
}

#[test]
fn the_error_of_a_quotient_has_the_same_denominator() {
    let mut data = example();
    set(&mut data, "integral", |_| 12.0);
    set(&mut data, "abs_terms", |_| 4.0);
    set(&mut data, "rounding", |_| -2.0);
    let own = cell(&data, "integral_over_abs", 1, 2);
    assert_eq!((own.stats.as_ref().unwrap().median, own.error()), (3.0, 0.5));
    let verdicts = [1.5, 1.4, f64::NAN].map(|v| own.verdict(v).unwrap());
    assert_eq!(verdicts, [Verdict::Resolved, Verdict::NotResolved, Verdict::NotResolved]);
    // The largest of the three counts; one that is not known leaves nothing to be said.
    set(&mut data, "rounding", |_| f64::NAN);
    set(&mut data, "quadrature", |_| -8.0);
    let own = cell(&data, "integral_over_abs", 1, 2);
    assert_eq!((own.error(), own.verdict(1e9)), (2.0, Some(Verdict::NotChecked)));
    // Nor does one that is known of some loops and not of others.
    set(&mut data, "rounding", |i| if i == 29 { f64::NAN } else { 1.0 });
    let median = |t| cell(&data, "integral", 1, t).of_median();
    assert_eq!((median(1), median(2)), (Some(Verdict::NotResolved), Some(Verdict::NotChecked)));
}

#[test]
fn the_table_marks_what_is_not_resolved() {
    let mut data = example();
    let clean = table(&data);
    assert!(!clean.contains(['~', '?']), "{clean}");
    let found = "On rotation loops the field circulates: |Γ| is from 1.79 ± ";
    assert!(clean.contains(" nat at k = 991, resolved at all 3 timesteps."), "{clean}");
    for text in ["rotation: 5 samples, N = 1000", "quadrat.", "\n   991     0.990", found] {
        assert!(clean.contains(text), "{text:?} is not in\n{clean}");
    }
    assert!(!clean.contains("not checked"), "{clean}");
    let mut unknown = example();
    set(&mut unknown, "quadrature", |_| f64::NAN);
    let unknown = table(&unknown);
    assert!(!unknown.contains(" circulates"), "{unknown}");
    let words = "On rotation loops nothing is established: |Γ| was not checked at all 3 timesteps. \
                 It is not checked, because quadrature was not measured.";
    assert!(unknown.contains(words), "{unknown}");
    assert_eq!(unknown.matches("  ?").count(), 5 * 6, "every statistic is marked: {unknown}");
    assert!(unknown.contains("? not checked: an error that applies"), "{unknown}");
    // The first path's first timestep alone is drowned.
    set(&mut data, "rounding", |i| if i < 5 { 10.0 } else { 1e-6 });
    let marked = table(&data);
    let rows: Vec<&str> =
        marked.lines().filter(|l| l.starts_with("   ") && !l.contains("q1") && !l.contains("k =")).collect();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0].matches('~').count(), 5, "{}", rows[0]);
    assert!(rows[1..].iter().all(|r| !r.contains('~')));
    assert!(marked.contains("~ not resolved: under 3 times its error"));
    assert!(marked.contains("resolved at 2 of 3 timesteps. Every error that applies was measured"), "{marked}");
    let words = "; it is indistinguishable from zero at this precision at k = 1 (|Γ| = 1.79 at k = 1, where that of \
                 rounding is 10.0).";
    assert!(marked.contains(words), "{marked}");
    let lines = marked.lines().take_while(|l| !l.starts_with("On "));
    assert!(lines.collect::<Vec<_>>().iter().all(|l| l.chars().count() < 100));
    // All of them drowned: nothing is established, and the sentence has the worst of them.
    set(&mut data, "rounding", |_| 10.0);
    let drowned = table(&data);
    let words = "On rotation loops |Γ| is indistinguishable from zero at this precision at all 3 timesteps. Every error that \
                 applies was measured (rounding, quadrature and arithmetic), and |Γ| is under 3 times the largest; at worst";
    assert!(drowned.contains(words), "{drowned}");
}

#[test]
fn the_table_of_a_long_run_is_short() {
    let mut data = example();
    data.timesteps = (0..100).map(|k| 10 * k + 1).collect();
    data.sigma = vec![0.5; 100];
    data.samples = 1;
    for column in &mut data.columns {
        column.values = (0..200).map(|i| 1.0 + i as f64).collect();
    }
    let text = table(&data);
    assert_eq!(text.lines().filter(|l| l.contains("0.500")).count(), 2 * 12);
    assert!(text.contains("(12 of 100 timesteps shown)") && text.contains("   991 "), "{text}");
}

#[cfg(feature = "cli")]
mod plots {
    use super::*;
    use vorticity::figures::plots;
    use vorticity::measures::find;
    use vorticity::run::Figure;

    fn figures() -> &'static [Figure] {
        find("circulation").unwrap().info().figures
    }

    fn svgs(data: &Example) -> Vec<String> {
        let plots = plots::all(&data.table().unwrap(), "MNIST <pixels>").unwrap();
        let names: Vec<String> = figures().iter().map(|f| format!("plots/{}.svg", f.column)).collect();
        assert_eq!(plots.iter().map(|p| &p.0).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        plots.into_iter().map(|p| p.1).collect()
    }

    #[test]
    fn a_plot_names_what_it_shows() {
        let data = example();
        let plots = svgs(&data);
        for (text, plot) in plots.iter().zip(figures()) {
            assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
            let label = plot.label.replace("  ", " ");
            for expected in [plot.title, &label, "timestep k (not to scale)", "rotation", "991", "MNIST &lt;pixels&gt;"]
            {
                assert!(text.contains(expected), "{} lacks {expected}", plot.column);
            }
            assert!(!text.contains("NaN") && !text.contains("hollow") && !text.contains("no positive"));
        }
        assert_ne!(plots[0], plots[1]);
        assert_eq!(plots, svgs(&data), "equal data, equal plots");
    }

    #[test]
    fn unresolved_boxes_are_said_to_be_hollow() {
        let mut data = example();
        set(&mut data, "rounding", |_| 1e3);
        assert!(svgs(&data).iter().all(|text| text.contains("hollow")));
    }

    #[test]
    fn values_without_a_place_on_a_log_axis_are_survived() {
        for value in [0.0, f64::NAN, f64::INFINITY] {
            let mut data = example();
            set(&mut data, "integral", |_| value);
            ERRORS.iter().for_each(|name| set(&mut data, name, |_| value));
            assert!(svgs(&data).iter().all(|text| text.contains("no positive values") && !text.contains("NaN")));
        }
        for value in [f64::MIN_POSITIVE, 5e-324, f64::MAX] {
            let mut data = example();
            set(&mut data, "integral", |i| if i % 2 == 0 { value } else { 1.0 });
            assert!(svgs(&data).iter().all(|text| !text.contains("NaN")), "{value}");
        }
        let mut data = example();
        set(&mut data, "integral", |_| 3.0); // all alike: a range of no width
        ERRORS.iter().for_each(|name| set(&mut data, name, |_| 0.0));
        assert!(svgs(&data).iter().all(|text| !text.contains("NaN") && !text.contains("no positive")));
    }

    #[test]
    fn runs_without_loops_are_survived() {
        let shapes: [fn(&mut Example); 3] = [
            |d| d.samples = 0,
            |d| d.paths.clear(),
            |d| {
                d.timesteps.clear();
                d.sigma.clear();
            },
        ];
        for empty in shapes {
            let mut data = example();
            data.columns.iter_mut().for_each(|c| c.values.clear());
            empty(&mut data);
            assert!(svgs(&data).iter().all(|text| text.contains("no positive values")));
            assert!(!table(&data).contains("circulates"));
        }
    }
}
