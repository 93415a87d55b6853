//! Command line to library call to text and exit code; no numerics here.
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use vorticity::cli;
use vorticity::error::Result;
use vorticity::measures::{self, MEASURES};

/// Measures how far a diffusion model's learned field is from being a gradient.
///
/// MODEL is a model directory (config.json + model.safetensors), an ONNX file, or a closed form such as field:gaussian.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = cli::help(), subcommand_required = true, arg_required_else_help = true)]
struct Cli;

// The verbs besides those that measure; as a doc comment this would be the program's help.
#[derive(Subcommand)]
enum Verb {
    Integrate(cli::integrate::Args),
    Evaluate(cli::evaluate::Args),
    Merge(cli::merge::Args),
    Verify(cli::verify::Args),
    Inspect(cli::inspect::Args),
    Init(cli::init::Args),
    Import(cli::import::Args),
    Bench(cli::bench::Args),
    Devices(cli::devices::Args),
    Selftest(cli::selftest::Args),
    Sample(cli::sample::Args),
    Completions(cli::completions::Args),
    Man(cli::man::Args),
    Paths(cli::paths::Args),
    Report(cli::report::Args),
    Compare(cli::compare::Args),
}

/// The whole command line: a verb for every measure, then the others.
fn command() -> Command {
    let measuring = MEASURES.iter().map(|measure| cli::measure::command(*measure));
    Verb::augment_subcommands(Cli::command().subcommands(measuring))
}

fn run() -> Result<i32> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(error) = cli::integrate::renamed(&arguments) {
        return Err(error);
    }
    let matches = command().get_matches();
    if let Some((name, own)) = matches.subcommand()
        && let Some(measure) = measures::find(name)
    {
        return cli::measure::run(measure, own);
    }
    match Verb::from_arg_matches(&matches).unwrap_or_else(|e| e.exit()) {
        Verb::Integrate(args) => cli::integrate::run(&args),
        Verb::Evaluate(args) => cli::evaluate::run(&args),
        Verb::Merge(args) => cli::merge::run(&args),
        Verb::Verify(args) => cli::verify::run(&args),
        Verb::Inspect(args) => cli::inspect::run(&args),
        Verb::Init(args) => cli::init::run(&args),
        Verb::Import(args) => cli::import::run(&args),
        Verb::Devices(args) => cli::devices::run(&args),
        Verb::Selftest(args) => cli::selftest::run(&args),
        Verb::Sample(args) => cli::sample::run(&args),
        Verb::Paths(args) => cli::paths::run(&args),
        Verb::Report(args) => cli::report::run(&args),
        Verb::Compare(args) => cli::compare::run(&args),
        Verb::Bench(args) => cli::bench::run(&args),
        Verb::Completions(args) => cli::completions::run(&args, command()),
        Verb::Man(args) => cli::man::run(&args, command()),
    }
}

/// From here on large blocks go back to the system when they are freed. The GNU library's allocator keeps those of up to 32 MiB once
/// it has seen some: the packed weights of a plan that was given up would stay until the end.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // Safety: called once, before any other thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

fn main() {
    give_back();
    let code = run().unwrap_or_else(|e| {
        eprintln!("error: {e}");
        e.exit_code()
    });
    std::process::exit(code);
}
