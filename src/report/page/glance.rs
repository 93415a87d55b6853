//! What each run says in a line: the range of its headline, how much of it is resolved, and what of it a gradient does not have, as the
//! verdict of a check says it; and its verdict in two sentences. In: the runs. Out: a table.
use super::words::formula;
use super::{Run, about};
use crate::figures::words::unit;
use crate::report::findings::findings;
use crate::run::{CLEAR, Verdict};
use crate::summary::verdict::{Point, Told};
use maud::{Markup, html};

/// The table.
pub fn table(runs: &[Run]) -> Markup {
    let told: Vec<(&Run, Told)> = runs.iter().filter_map(|run| Some((run, Told::of(&run.results).ok()?))).collect();
    // Of measures that a check has; planes beyond the fastest have none of their own.
    let found: Vec<Vec<String>> = told.iter().map(|(run, _)| shorts(run)).collect();
    let any = found.iter().any(|f| !f.is_empty());
    html! { section.glance { h2 { "At a glance" } div.wide { table {
        caption {
            "Medians over the samples, or means, ± the largest error. Resolved: at how many timesteps the statistic is at least "
            (CLEAR) " times its largest error, and every error that applies was measured; not resolved: measured, but less; not checked: "
            "an error that applies was not measured. "
            @if any { "What a gradient does not have is said as the verdict of a check says it: the share of a loop's work that does not "
                "cancel (|Γ|/S), the antisymmetric share of the Jacobian (|A|/|J|), how fast the fastest plane turns (σ²ω, 1 for pure noise)." }
        }
        thead { tr {
            @for head in ["run", "measure", "path", "statistic"] { th.left scope="col" { (head) } }
            @if any { th.left scope="col" { "what a gradient does not have" } }
            @for head in ["smallest", "largest"] { th scope="col" { (head) } }
            @for verdict in Verdict::ALL { th scope="col" { (verdict.word()) } }
            th.left scope="col" { "field" }
        } }
        tbody { @for ((run, told), found) in told.iter().zip(&found) { @for (p, path) in run.results.paths.iter().enumerate() {
            @let points = points(told, p);
            tr {
            th.left scope="row" { span class={ "key s" (run.colour % 6) } {} (run.label) }
            td.left { (run.results.measure.name()) } td.left { (path) }
            td.left { (formula(told.label)) " " span.unit { (unit(told.unit)) } }
            @if any { td.left.found { (found.get(p).map_or("–", String::as_str)) } }
            td { (end(run, points.first())) } td { (end(run, points.last())) }
            @for verdict in Verdict::ALL { td { (count(run, &points, verdict)) } }
            td.left { (about::field(&run.stored.manifest["field"])) }
        } } } }
    } }
    @for (run, told) in &told { p { span class={ "key s" (run.colour % 6) } {} (run.label) ": " (told.sentences().join(" ")) } }
    } }
}

/// What a gradient does not have, by path.
fn shorts(run: &Run) -> Vec<String> {
    findings(&run.results).map_or(vec![], |all| all.into_iter().map(|f| f.short).collect())
}

/// The headline on one path, smallest first; what is not finite is left out.
fn points<'a>(told: &'a Told, path: usize) -> Vec<&'a Point> {
    let mut points: Vec<&Point> = told.points.iter().filter(|p| p.path == path && p.value.is_finite()).collect();
    points.sort_by(|a, b| a.value.abs().total_cmp(&b.value.abs()));
    points
}

fn end(run: &Run, point: Option<&&Point>) -> String {
    let Some(point) = point else { return "–".into() };
    let at = run.results.timesteps.get(point.place).map_or(String::new(), |(k, _)| format!("at k = {k}"));
    // Lines break between the value and its place, not within either.
    let whole = |text: String| text.replace(' ', "\u{a0}");
    format!("{}{} {}", point.verdict.mark(), whole(point.text()), whole(at)).trim_end().to_string()
}

/// At how many places the verdict is this one.
fn count(run: &Run, points: &[&Point], verdict: Verdict) -> String {
    format!("{} of {}", points.iter().filter(|p| p.verdict == verdict).count(), run.results.places())
}
