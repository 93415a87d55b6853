//! Tables of the page: medians and quartiles over the samples, their errors beside them, what is not resolved marked.
//! In: `Results` of one measure. Out: HTML tables with captions; all numbers as in the tables on the terminal.
use super::Run;
use super::words::formula;
use crate::figures::words::unit;
use crate::run::Verdict;
use crate::summary::results::{Cell, Mean, Results, Statistic};
use crate::summary::{evenly, number};
use maud::{Markup, html};

/// Most timesteps of a table that is open.
const ROWS: usize = 12;

/// The chosen statistics at up to twelve timesteps of one path, runs side by side.
pub fn overview(runs: &[&Run], path: &str, ks: &[usize], shown: &[(&str, &str)]) -> Markup {
    // Of several runs the first statistic only: the rest is below, run by run.
    let shown = if runs.len() > 1 { &shown[..shown.len().min(1)] } else { shown };
    let columns: Vec<(&Run, &Statistic, &str)> = runs
        .iter()
        .flat_map(|run| {
            shown.iter().filter_map(|(name, label)| Some((*run, run.results.statistic(name).ok()?, *label)))
        })
        .collect();
    let chosen = evenly(ks.len(), ROWS);
    html! {
        div.wide { table {
            caption {
                @if !path.is_empty() { b { (path) } ": " }
                "Medians over the samples, [quartiles], and errors"
                @if chosen.len() < ks.len() { " (" (chosen.len()) " of " (ks.len()) " timesteps)" }
            }
            thead {
                tr {
                    th rowspan="2" scope="col" { "k" }
                    th rowspan="2" scope="col" { "σ" }
                    @for (run, statistic, label) in &columns {
                        th.group colspan=(2 + statistic.errors.len()) scope="colgroup" title=(statistic.about.formula) {
                            @if runs.len() > 1 { span class={ "key s" (run.colour % 6) } {} (run.label) ": " }
                            (formula(label)) " " span.unit { (unit(statistic.about.unit)) }
                        }
                    }
                }
                tr { @for (_, statistic, _) in &columns { th.group scope="col" { "median" } th scope="col" { "quartiles" } (error_heads(statistic)) } }
            }
            tbody { @for &k in chosen.iter().map(|i| &ks[*i]) { tr {
                th scope="row" { (k) }
                td { (runs.iter().find_map(|r| r.sigma(k)).map_or("–".into(), number)) }
                @for (run, statistic, _) in &columns {
                    @match run.place(path, k) {
                        Some(place) => (cells(&statistic.cell(place))),
                        None => { td.group {} td {} @for _ in &statistic.errors { td {} } }
                    }
                }
            } } }
        } }
    }
}

/// Every statistic of a run at every path and timestep.
pub fn everything(run: &Run) -> Markup {
    let results = &run.results;
    html! { @for statistic in &results.statistics { (whole(results, statistic)) } }
}

fn whole(results: &Results, statistic: &Statistic) -> Markup {
    let about = statistic.about;
    let paths = !(results.paths.len() == 1 && results.paths[0].is_empty());
    html! {
        div.wide { table {
            caption { code { (about.name) } " = " (about.formula) " " span.unit { (unit(about.unit)) } ": " (about.meaning) }
            thead { tr {
                @if paths { th scope="col" { "path" } }
                @if !results.timesteps.is_empty() { th scope="col" { "k" } th scope="col" { "σ" } }
                th.group scope="col" { "median" } th scope="col" { "quartiles" } (error_heads(statistic))
                th scope="col" { "mean" } th scope="col" { "least" } th scope="col" { "largest" } th scope="col" { "values" }
            } }
            tbody { @for path in 0..results.paths.len() { @for place in 0..results.places() {
                @let cell = results.cell(statistic, path, place);
                tr {
                    @if paths { th scope="row" { (results.paths[path]) } }
                    @if let Some((k, sigma)) = results.timesteps.get(place) { th scope="row" { (k) } td { (number(*sigma)) } }
                    (cells(&cell))
                    @match &cell.stats {
                        Some(s) => {
                            td { (number(s.mean)) } td { (number(s.min)) } td { (number(s.max)) }
                            td { (s.count) @if s.skipped > 0 { " of " (s.count + s.skipped) } }
                        }
                        None => { td { "–" } td { "–" } td { "–" } td { "none finite" } }
                    }
                }
            } } }
        } }
    }
}

fn error_heads(statistic: &Statistic) -> Markup {
    html! { @for (name, _) in &statistic.errors { th.error scope="col" { (name) } } }
}

/// Median, quartiles and errors.
fn cells(cell: &Cell) -> Markup {
    let shown = |v: f64| cell.verdict(v).map_or("", Verdict::mark).to_string() + &number(v);
    let words = cell.of_median().map_or("", Verdict::word);
    html! {
        @match &cell.stats {
            Some(s) => {
                td class=(if cell.clear() { "group" } else { "group drowned" }) title=(words) { (shown(s.median)) }
                td class=(if cell.clear() { "" } else { "drowned" }) { "[" (shown(s.q1)) ", " (shown(s.q3)) "]" }
            }
            None => { td.group.drowned { "–" } td.drowned { "no finite value" } }
        }
        @for error in &cell.errors { td.error { (number(*error)) } }
    }
}

/// Means over the samples with their standard errors, by timestep, runs side by side.
pub fn means(runs: &[&Run], ks: &[usize]) -> Markup {
    let columns: Vec<_> = runs.iter().flat_map(|r| r.results.means.iter().map(move |m| (*r, m))).collect();
    let chosen = evenly(ks.len(), ROWS);
    html! { @if !columns.is_empty() { div.wide { table {
        caption {
            "Means over the samples ± standard error"
            @if chosen.len() < ks.len() { " (" (chosen.len()) " of " (ks.len()) " timesteps)" }
        }
        thead { tr {
            @if !ks.is_empty() { th scope="col" { "k" } }
            @for (run, mean) in &columns {
                th.group scope="col" title=(mean.formula) {
                    span class={ "key s" (run.colour % 6) } {} (run.label) ": " (mean.name) " " span.unit { (unit(mean.unit)) }
                }
            }
        } }
        tbody {
            @if ks.is_empty() { tr { @for (_, mean) in &columns { (point(mean, Some(0))) } } }
            @for &k in chosen.iter().map(|i| &ks[*i]) { tr {
                th scope="row" { (k) }
                @for (run, mean) in &columns { (point(mean, run.timestep(k))) }
            } }
        }
    } } } }
}

/// A mean with its standard error, marked as single statistics are.
fn point(mean: &Mean, place: Option<usize>) -> Markup {
    html! { @match place.filter(|p| *p < mean.points.len()) {
        Some(place) => {
            @let ((value, error), verdict) = (mean.points[place], mean.verdict(place));
            td class=(if verdict == Verdict::Resolved { "group" } else { "group drowned" }) title=(verdict.word()) {
                (verdict.mark()) (number(value)) " ± " (number(error))
            }
        }
        None => td.group {}
    } }
}
