//! What each run says in a line: the range of its first statistic, or of its mean where it has one, and how much of it is
//! resolved. In: the runs. Out: a table.
use super::plot::{formula, unit};
use super::{Run, about, chapter_of};
use crate::report::table::number;
use crate::run::schema::CLEAR;
use maud::{Markup, html};

/// A statistic over the timesteps.
struct Line {
    label: String,
    unit: String,
    /// Value, its text, and whether it is resolved, with the number of the timestep; what is not finite is left out.
    points: Vec<(f64, String, bool, usize)>,
    /// False where there is no error to resolve anything against.
    marked: bool,
}

/// The table.
pub fn table(runs: &[Run]) -> Markup {
    let lines = |run: &Run| -> Vec<(String, Line)> {
        run.results.paths.iter().enumerate().filter_map(|(p, name)| Some((name.clone(), line(run, p)?))).collect()
    };
    html! { section.glance { h2 { "At a glance" } div.wide { table {
        caption {
            "Medians over the samples, or means ± standard error. Resolved: at how many timesteps the statistic is at least "
            (CLEAR) " times its largest error, or its standard error."
        }
        thead { tr {
            @for head in ["run", "measure", "path", "statistic"] { th.left scope="col" { (head) } }
            @for head in ["smallest", "largest", "resolved"] { th scope="col" { (head) } }
            th.left scope="col" { "field" }
        } }
        tbody { @for run in runs { @for (path, line) in lines(run) { tr {
            th.left scope="row" { span class={ "key s" (run.colour % 6) } {} (run.label) }
            td.left { (run.results.measure) } td.left { (path) }
            td.left { (formula(&line.label)) " " span.unit { (line.unit) } }
            td { (end(run, &line, line.points.first())) } td { (end(run, &line, line.points.last())) }
            td { @if line.marked { (line.points.iter().filter(|p| p.2).count()) " of " (run.results.places()) } @else { "–" } }
            td.left { (about::field(&run.stored.manifest["field"])) }
        } } } }
    } } } }
}

fn line(run: &Run, path: usize) -> Option<Line> {
    let results = &run.results;
    let mut line = match results.means.first() {
        Some(mean) => {
            let point = |(t, &(value, error)): (usize, &(f64, f64))| {
                (value, format!("{} ± {}", number(value), number(error)), value.abs() >= CLEAR * error, t)
            };
            let points = mean.points.iter().enumerate().map(point).collect();
            Line { label: mean.name.into(), unit: unit(mean.unit), points, marked: true }
        }
        None => {
            let shown = chapter_of(results.measure).shown.first();
            let statistic = shown.and_then(|s| results.statistic(s.0).ok()).or(results.statistics.first())?;
            let cells = (0..results.places()).map(|t| results.cell(statistic, path, t)).enumerate();
            let point = |(t, cell): (usize, crate::report::results::Cell)| {
                let median = cell.stats.as_ref()?.median;
                Some((median, number(median), cell.clear(), t))
            };
            Line {
                label: shown.map_or(statistic.about.name, |s| s.1).into(),
                unit: unit(statistic.about.unit),
                points: cells.filter_map(point).collect(),
                marked: !statistic.errors.is_empty(),
            }
        }
    };
    line.points.retain(|p| p.0.is_finite());
    line.points.sort_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
    Some(line)
}

fn end(run: &Run, line: &Line, point: Option<&(f64, String, bool, usize)>) -> String {
    let Some((_, text, clear, t)) = point else { return "–".into() };
    let mark = if line.marked && !clear { "~" } else { "" };
    let at = run.results.timesteps.get(*t).map_or(String::new(), |(k, _)| format!(" at k = {k}"));
    format!("{mark}{text}{at}")
}
