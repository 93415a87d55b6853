//! `vorticity verify CASE_DIR...`: golden cases against this machine's GPU, printed as a table per case.
//! Exit code: 0 all within tolerance, 1 something beyond it, 2 a case could not be read.
use super::device::Device;
use super::output::Output;
use super::text::table;
use crate::choice::Choices;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::ops::conv::VARIANTS;
use crate::target::KernelFamily;
use crate::verify::{Report, Row, verify_model};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Compare this machine's results with reference results of PyTorch in float64.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Case directories: config.json, model.safetensors and case.safetensors; or of ONNX files case.json, case.safetensors and
    /// the files that it names
    #[arg(required = true, value_name = "CASE_DIR")]
    pub cases: Vec<PathBuf>,
    /// The model.onnx of a case that must not hold its weights
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    /// Where it runs.
    pub device: Device,
    /// Family of kernels, cc (software adapters) or igemm (GPUs), or a variant of GPUs' convolutions for all of them, such
    /// as "igemm 128x64" (`vorticity selftest` names them) [default: the adapter's own family]
    #[arg(long, value_name = "KERNELS")]
    pub kernels: Option<String>,
    #[command(flatten)]
    /// Text, JSON or nothing.
    pub output: Output,
}

/// Compares and prints; the exit code.
pub fn run(args: &Args) -> Result<i32> {
    let gpu = args.device.open()?;
    let name = args.kernels.as_deref().unwrap_or(gpu.family().name());
    let gpu = chosen(gpu, name)?;
    args.output.say(&format!("adapter: {}\n", gpu.describe()))?;
    let (mut code, mut cases) = (0, vec![]);
    for folder in &args.cases {
        match verify_model(&gpu, folder, args.model.as_deref()) {
            Ok(report) => {
                args.output.say(&describe(&report, name))?;
                cases.push(document(&report, name));
                code = code.max(i32::from(!report.passed()));
            }
            // A case that cannot be read does not keep the others from being checked.
            Err(e @ (Error::File { .. } | Error::Invalid { .. })) => {
                eprintln!("error: {e}");
                cases.push(json!({ "case": folder.display().to_string(), "passed": false, "error": e.to_string() }));
                code = code.max(e.exit_code());
            }
            Err(e) => return Err(e),
        }
    }
    let report = || json!({ "adapter": gpu.describe(), "passed": code == 0, "cases": cases });
    args.output.document("verify", report)?;
    Ok(code)
}

/// What `--kernels` names: a family, or a variant on the kernels of GPUs.
fn chosen(gpu: Gpu, name: &str) -> Result<Gpu> {
    let Some(variant) = VARIANTS.iter().find(|v| v.name == name) else {
        let family = KernelFamily::parse(name).map_err(|_| {
            let names: Vec<&str> = VARIANTS.iter().map(|v| v.name).collect();
            Error::invalid("--kernels", format!("'{name}' is not one of cc, igemm, {}", names.join(", ")))
        })?;
        return Ok(gpu.with_family(family));
    };
    match gpu.lacks(variant.needs) {
        Some(lacks) => Err(Error::invalid("--kernels", format!("'{name}' cannot run on {}: {lacks}", gpu.name()))),
        None => Ok(gpu.with_family(KernelFamily::Gpu).with_choices(Choices::always(name))),
    }
}

/// One case as text.
pub fn describe(report: &Report, kernels: &str) -> String {
    let row = |r: &Row| {
        let verdict = match (r.tolerance, r.passed()) {
            (None, _) => "(information)",
            (_, true) => "ok",
            (_, false) => "FAILED",
        };
        let tolerance = r.tolerance.map_or(String::new(), |t| format!("{t:.1e}"));
        [r.quantity.clone(), format!("{:.2e}", r.error), tolerance, verdict.into(), r.worst.clone()]
    };
    let rows: Vec<_> = report.rows.iter().map(row).collect();
    let failed = report.rows.iter().filter(|r| !r.passed()).count();
    let verdict = match failed {
        0 => "all within tolerance".to_string(),
        n => format!("{n} of {} quantities beyond tolerance", rows.len()),
    };
    let headings = [("quantity", false), ("error", true), ("tolerance", true), ("verdict", false), ("worst at", false)];
    format!("\n{} ({}, kernels {kernels})\n{}{verdict}\n", report.case.display(), report.family, table(headings, &rows))
}

/// One case as JSON.
fn document(report: &Report, kernels: &str) -> Value {
    let row = |r: &Row| {
        json!({
            "quantity": r.quantity, "error": r.error, "tolerance": r.tolerance, "passed": r.passed(), "worst": r.worst,
        })
    };
    json!({
        "case": report.case.display().to_string(), "family": report.family, "kernels": kernels,
        "passed": report.passed(), "quantities": report.rows.iter().map(row).collect::<Vec<_>>(),
    })
}
