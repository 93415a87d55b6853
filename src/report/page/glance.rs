//! What each run says in a line: the range of its first statistic, or of its mean where it has one, and how much of it is
//! resolved. In: the runs. Out: a table.
use super::plot::{formula, unit};
use super::{Run, about};
use crate::run::{CLEAR, Verdict};
use crate::summary::number;
use maud::{Markup, html};

/// A statistic over the timesteps.
struct Line {
    label: String,
    unit: String,
    /// What is not finite is left out.
    points: Vec<Point>,
}

struct Point {
    value: f64,
    text: String,
    /// None where no errors apply.
    verdict: Option<Verdict>,
    /// Number of the timestep.
    place: usize,
}

/// The table.
pub fn table(runs: &[Run]) -> Markup {
    let lines = |run: &Run| -> Vec<(String, Line)> {
        run.results.paths.iter().enumerate().filter_map(|(p, name)| Some((name.clone(), line(run, p)?))).collect()
    };
    html! { section.glance { h2 { "At a glance" } div.wide { table {
        caption {
            "Medians over the samples, or means ± standard error. Resolved: at how many timesteps the statistic is at least "
            (CLEAR) " times its largest error, and every error that applies was measured; not resolved: measured, but less; not checked: "
            "an error that applies was not measured."
        }
        thead { tr {
            @for head in ["run", "measure", "path", "statistic"] { th.left scope="col" { (head) } }
            @for head in ["smallest", "largest"] { th scope="col" { (head) } }
            @for verdict in Verdict::ALL { th scope="col" { (verdict.word()) } }
            th.left scope="col" { "field" }
        } }
        tbody { @for run in runs { @for (path, line) in lines(run) { tr {
            th.left scope="row" { span class={ "key s" (run.colour % 6) } {} (run.label) }
            td.left { (run.results.measure.name()) } td.left { (path) }
            td.left { (formula(&line.label)) " " span.unit { (line.unit) } }
            td { (end(run, line.points.first())) } td { (end(run, line.points.last())) }
            @for verdict in Verdict::ALL { td { (count(run, &line, verdict)) } }
            td.left { (about::field(&run.stored.manifest["field"])) }
        } } } }
    } } } }
}

fn line(run: &Run, path: usize) -> Option<Line> {
    let results = &run.results;
    let mut line = match results.means.first() {
        Some(mean) => {
            let point = |(place, &(value, error)): (usize, &(f64, f64))| {
                let text = format!("{} ± {}", number(value), number(error));
                Point { value, text, verdict: Some(mean.verdict(place)), place }
            };
            let points = mean.points.iter().enumerate().map(point).collect();
            Line { label: mean.name.into(), unit: unit(mean.unit), points }
        }
        None => {
            let shown = results.measure.info().shown.first();
            let statistic = shown.and_then(|s| results.statistic(s.0).ok()).or(results.statistics.first())?;
            let cells = (0..results.places()).map(|t| results.cell(statistic, path, t)).enumerate();
            let point = |(place, cell): (usize, crate::summary::Cell)| {
                let value = cell.stats.as_ref()?.median;
                Some(Point { value, text: number(value), verdict: cell.of_median(), place })
            };
            Line {
                label: shown.map_or(statistic.about.name, |s| s.1).into(),
                unit: unit(statistic.about.unit),
                points: cells.filter_map(point).collect(),
            }
        }
    };
    line.points.retain(|p| p.value.is_finite());
    line.points.sort_by(|a, b| a.value.abs().total_cmp(&b.value.abs()));
    Some(line)
}

fn end(run: &Run, point: Option<&Point>) -> String {
    let Some(Point { text, verdict, place, .. }) = point else { return "–".into() };
    let at = run.results.timesteps.get(*place).map_or(String::new(), |(k, _)| format!(" at k = {k}"));
    format!("{}{text}{at}", verdict.map_or("", Verdict::mark))
}

/// At how many places the verdict is this one; a dash where no errors apply.
fn count(run: &Run, line: &Line, verdict: Verdict) -> String {
    if line.points.iter().all(|p| p.verdict.is_none()) {
        return "–".into();
    }
    let n = line.points.iter().filter(|p| p.verdict == Some(verdict)).count();
    format!("{n} of {}", run.results.places())
}
