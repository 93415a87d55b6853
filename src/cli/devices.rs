//! `vorticity devices`: every adapter of this machine, and whether vorticity can run on it.
//! Out: text or JSON on standard output; exit code 0 if at least one adapter is usable, else 3.
use super::output::Output;
use super::text::count;
use crate::error::{Error, Result};
use crate::gpu::{AdapterSummary, adapters};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// List the GPU adapters of this machine, with limits and features.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// Prints the adapters; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let all = adapters();
    args.output.say(&describe(&all))?;
    args.output.document("devices", || document(&all))?;
    if all.iter().any(|a| a.unusable.is_none()) {
        return Ok(0);
    }
    let found = match all.len() {
        0 => "none was found".to_string(),
        n => format!("none of the {n} found can be used"),
    };
    Err(Error::NoAdapter(format!(
        "{found}. Vulkan (Linux, Windows), Metal or DX12 is needed: install the GPU vendor's driver, or a software \
         adapter such as lavapipe (Debian and Ubuntu: package mesa-vulkan-drivers)"
    )))
}

/// The list as text.
pub fn describe(all: &[AdapterSummary]) -> String {
    let mut out = String::new();
    for (i, a) in all.iter().enumerate() {
        let usable = a.unusable.as_ref().map_or("usable".into(), |why| format!("not usable: {why}"));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{i}: {}\n   {}, {}, driver {}, {usable}", a.name, a.kind, a.backend, a.driver);
        for (name, value) in &a.limits {
            let _ = writeln!(out, "   {name:<32} {:>20}", count(*value));
        }
        let features = if a.features.is_empty() { "none of those looked for".into() } else { a.features.join(", ") };
        let _ = writeln!(out, "   features: {features}");
    }
    out
}

/// The list as JSON.
pub fn document(all: &[AdapterSummary]) -> Value {
    let adapter = |(i, a): (usize, &AdapterSummary)| {
        let limits: Map<String, Value> =
            a.limits.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        json!({
            "index": i, "name": a.name, "kind": a.kind, "backend": a.backend, "driver": a.driver,
            "usable": a.unusable.is_none(), "unusable": a.unusable, "limits": limits, "features": a.features,
        })
    };
    json!({ "adapters": all.iter().enumerate().map(adapter).collect::<Vec<_>>() })
}
