//! Where the page's numbers come from: field, data and machine of each run, its manifest, and the command that repeats it.
//! In: what the run directories say. Out: markup; whatever is missing is said to be unknown.
use super::Run;
use crate::summary::number;
use maud::{Markup, html};
use serde_json::Value;

/// One run: facts, command, manifest.
pub fn run(run: &Run) -> Markup {
    let manifest = &run.stored.manifest;
    let known = |key: &str| plain(&manifest[key]).unwrap_or_else(|| "unknown".into());
    let options = manifest["options"].as_object().into_iter().flatten();
    // Earlier versions had `arcs`, of the projection path.
    let own = [
        "arcs",
        "quadrature",
        "tolerance",
        "quadrature_checked_samples",
        "quadrature_compared_every",
        "verified_points",
    ];
    let own = own.iter().filter_map(|key| Some((key.to_string(), plain(&manifest[*key])?)));
    let paths = manifest["path_parameters"].as_object().into_iter().flatten();
    let of_path = |(path, own): (&String, &Value)| -> Vec<(String, String)> {
        let own = own.as_object().into_iter().flatten();
        own.filter_map(|(key, value)| Some((format!("{path} {key}"), plain(value)?))).collect()
    };
    let options: Vec<(String, String)> = options
        .filter_map(|(key, value)| Some((key.clone(), plain(value)?)))
        .chain(paths.flat_map(of_path))
        .chain(own)
        .collect();
    html! {
        article.run {
            h3 { span class={ "key s" (run.colour % 6) } {} (run.label) " " span.unit { (run.results.measure.name()) } }
            dl {
                dt { "field" } dd { (field(&manifest["field"])) }
                dt { "data" } dd { (data(manifest)) ", " (run.results.samples) " samples" }
                dt { "noise levels" } dd { (run.results.timesteps.len()) @if let Some(points) = run.stored.table.facts["points"].as_u64() { ", " (points) " points a loop" } }
                dt { "seed" } dd { (known("seed")) }
                @if !options.is_empty() { dt { "options" } dd { (options.iter().map(|(k, v)| format!("{} {v}", k.replace('_', " "))).collect::<Vec<_>>().join(", ")) } }
                dt { "adapter" } dd { (known("adapter")) ", kernels " (known("kernels")) }
                dt { "program" } dd { (known("program")) }
                @if let Some(seconds) = run.stored.log["seconds"].as_f64() { dt { "took" } dd { (format!("{seconds:.0}")) " s" } }
            }
            @if !run.stored.unknown.is_empty() {
                p.note { "Columns that this version does not know, left out: " (run.stored.unknown.join(", ")) "." }
            }
            h4 { "To repeat it" }
            @match command(&run.stored.log) {
                Some(command) => pre { code { (command) } },
                None => p.note { "The run has no log of its command; the manifest has its options." },
            }
            details {
                summary { "manifest.json" }
                pre { code { (format!("{manifest:#}")) } }
            }
        }
    }
}

/// The field in a few words.
pub fn field(field: &Value) -> String {
    let text = |value: &Value| plain(value).unwrap_or_else(|| "unnamed".into());
    match field["kind"].as_str() {
        Some("network") => {
            let parameters = field["parameters"].as_u64().map_or("an unknown number of".into(), count);
            let latents = field["autoencoder"]["config"]["family"].as_str();
            let latents = latents.map_or(String::new(), |family| format!(", on latents of {family}"));
            format!("{}, {parameters} parameters{latents}", text(&field["config"]["family"]))
        }
        Some("closure") => format!("{} (a closure, {})", text(&field["name"]), text(&field["shape"])),
        Some("scores") => match plain(&field["file"]) {
            Some(file) => format!("scores of {file}, evaluated elsewhere"),
            None => "scores evaluated elsewhere".into(),
        },
        Some(kind) => {
            let omega = plain(&field["omega"]).filter(|o| o != "0.0").map_or(String::new(), |o| format!(", ω = {o}"));
            format!("{} ({kind}, {}{omega})", text(&field["name"]), text(&field["shape"]))
        }
        None => "unknown".into(),
    }
}

/// 1.08 M for 1084897.
fn count(n: u64) -> String {
    match n {
        0..1_000_000 => n.to_string(),
        _ => format!("{} M", number(n as f64 / 1e6)),
    }
}

fn data(manifest: &Value) -> String {
    let data = &manifest["data"];
    let exported = &manifest["exported"];
    let of_run = &exported["run"]["data"];
    let name = [&data["file"], &data["drawn"], &exported["file"], &of_run["file"], &of_run["drawn"]]
        .into_iter()
        .find_map(plain)
        .unwrap_or_else(|| "unknown".into());
    let shape = plain(&data["shape"]).map_or(String::new(), |s| format!(" ({s})"));
    name + &shape
}

/// A string or a number; nothing for null, lists and objects.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The command of a log as a shell takes it. Of absolute paths, also behind `file=`, the last part is kept: where files lay is
/// nobody's business.
pub fn command(log: &Value) -> Option<String> {
    let words: Vec<&str> = log["command"].as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    let short = |(i, word): (usize, &&str)| -> String {
        let (option, value) = match (word.split_once("file="), word.split_once('=')) {
            (Some((spec, value)), _) if spec.ends_with(['?', '&']) => (format!("{spec}file="), value),
            (_, Some((option, value))) if option.starts_with("--") => (format!("{option}="), value),
            _ => (String::new(), *word),
        };
        let absolute = value.starts_with('/') || value.get(1..3).is_some_and(|s| s == ":\\" || s == ":/");
        let last = value.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(value);
        quoted(&(option + if absolute || i == 0 { last } else { value }))
    };
    Some(words.iter().enumerate().map(short).collect::<Vec<_>>().join(" ")).filter(|c| !c.is_empty())
}

/// In single quotes unless every character is plain.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
