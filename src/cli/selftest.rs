//! `vorticity selftest`: the adapter's kernels against the f64 twin, one line each, and which of them are to be trusted.
//! Exit code: 0 all within tolerance, 1 something beyond it.
use super::text::{show, table};
use crate::error::Result;
use crate::gpu::{AdapterChoice, Gpu};
use crate::selftest::{self, Check};

/// Check every kernel on this adapter against double precision.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Adapter: its number in `vorticity devices`, `software`, or part of its name
    #[arg(long, value_name = "ADAPTER")]
    pub adapter: Option<String>,
}

/// Runs the checks and prints them; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let gpu = Gpu::open(&args.adapter.as_deref().map(AdapterChoice::parse).unwrap_or_default())?;
    show(&format!("adapter: {}\n\n", gpu.describe()))?;
    let checks = selftest::run(&gpu, &mut |_| {})?;
    show(&describe(&gpu, &checks))?;
    Ok(i32::from(!checks.iter().all(Check::passed)))
}

/// The table and the verdict.
pub fn describe(gpu: &Gpu, checks: &[Check]) -> String {
    let row = |c: &Check| {
        let verdict = if c.passed() { "ok" } else { "FAILED" };
        let kernels = c.family.map_or("any", |f| f.name());
        [c.what.clone(), kernels.into(), c.case.clone(), format!("{:.1e}", c.error), verdict.into()]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    let headings = [("op", false), ("kernels", false), ("case", false), ("max error", true), ("verdict", false)];
    let mut text = table(headings, &rows);
    let shared = checks.iter().filter(|c| c.family.is_none()).all(Check::passed);
    let trusted = |family| shared && checks.iter().filter(|c| c.family == Some(family)).all(Check::passed);
    for family in selftest::families(gpu) {
        let (name, used) = (family.name(), if gpu.family() == family { " (this adapter's own)" } else { "" });
        let verdict = if trusted(family) { "to be trusted" } else { "NOT to be trusted" };
        text += &format!("\nkernels {name}{used}: {verdict} on this adapter");
    }
    let failed = checks.iter().filter(|c| !c.passed()).count();
    text + &format!("\n{failed} of {} checks failed\n", checks.len())
}
