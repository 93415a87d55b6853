//! `vorticity selftest`: the adapter's kernels against the f64 twin, one line each, and which of them are to be trusted.
//! Exit code: 0 all within tolerance, 1 something beyond it.
use super::device::Device;
use super::output::Output;
use super::text::table;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::selftest::{self, Check};
use crate::target::KernelFamily;
use serde_json::{Map, Value, json};

/// Check every kernel on this adapter against double precision.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    /// Where it runs.
    pub device: Device,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// Runs the checks and prints them; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let gpu = args.device.open()?;
    args.output.say(&format!("adapter: {}\n\n", gpu.describe()))?;
    let checks = selftest::run(&gpu)?;
    args.output.say(&describe(&gpu, &checks))?;
    args.output.document("selftest", || document(&gpu, &checks))?;
    Ok(i32::from(!checks.iter().all(Check::passed)))
}

/// The table and the verdict.
pub fn describe(gpu: &Gpu, checks: &[Check]) -> String {
    let row = |c: &Check| {
        let verdict = if c.passed() { "ok" } else { "FAILED" };
        let kernels = c.variant.or(c.family.map(KernelFamily::name)).unwrap_or("any");
        [c.what.clone(), kernels.into(), c.case.clone(), format!("{:.1e}", c.error), verdict.into()]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    let headings = [("op", false), ("kernels", false), ("case", false), ("max error", true), ("verdict", false)];
    let mut text = table(headings, &rows);
    for family in selftest::families(gpu) {
        let (name, used) = (family.name(), if gpu.family() == family { " (this adapter's own)" } else { "" });
        text += &format!("\nkernels {name}{used}: {} on this adapter", said(trusted(checks, family)));
    }
    let (can, cannot) = selftest::variants(gpu);
    for variant in can {
        text += &format!("\nvariant {}: {} on this adapter", variant.name, said(right(checks, variant.name)));
    }
    for (name, lacks) in cannot {
        text += &format!("\nvariant {name}: not on this adapter: {lacks}");
    }
    let failed = checks.iter().filter(|c| !c.passed()).count();
    text + &format!("\n{failed} of {} checks failed\n", checks.len())
}

fn said(trusted: bool) -> &'static str {
    if trusted { "to be trusted" } else { "NOT to be trusted" }
}

/// Whether all checks of a variant have passed.
fn right(checks: &[Check], variant: &str) -> bool {
    checks.iter().filter(|c| c.variant == Some(variant)).all(Check::passed)
}

/// Whether everything that a family of kernels needs has passed: its own ops and what all families share.
fn trusted(checks: &[Check], family: KernelFamily) -> bool {
    let own = |c: &&Check| c.variant.is_none() && c.family.is_none_or(|f| f == family);
    checks.iter().filter(own).all(Check::passed)
}

/// The same as JSON.
fn document(gpu: &Gpu, checks: &[Check]) -> Value {
    let check = |c: &Check| {
        json!({
            "op": c.what, "kernels": c.family.map(KernelFamily::name), "variant": c.variant, "case": c.case, "error": c.error,
            "tolerance": c.tolerance, "passed": c.passed(),
        })
    };
    let verdicts: Map<String, Value> =
        selftest::families(gpu).into_iter().map(|f| (f.name().into(), trusted(checks, f).into())).collect();
    let (can, cannot) = selftest::variants(gpu);
    let can = can.into_iter().map(|v| (v.name.to_string(), json!({ "trusted": right(checks, v.name), "lacks": null })));
    let cannot = cannot.into_iter().map(|(name, lacks)| (name.to_string(), json!({ "trusted": null, "lacks": lacks })));
    let variants: Map<String, Value> = can.chain(cannot).collect();
    json!({
        "variants": variants, "adapter": gpu.describe(), "kernels": gpu.family().name(), "trusted": verdicts,
        "passed": checks.iter().all(Check::passed), "checks": checks.iter().map(check).collect::<Vec<_>>(),
    })
}
