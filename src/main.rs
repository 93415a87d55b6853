//! Command line to library call to text and exit code; no numerics here.
use clap::{CommandFactory, Parser, Subcommand};
use vorticity::cli;
use vorticity::error::Result;

/// Measures how far a diffusion model's learned field is from being a gradient.
///
/// MODEL is a model directory (config.json + model.safetensors) or a closed form such as field:gaussian.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = cli::help())]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Circulation(cli::circulation::Args),
    Curl(cli::curl::Args),
    Asymmetry(cli::asymmetry::Args),
    Stein(cli::stein::Args),
    Jacobian(cli::jacobian::Args),
    Likelihood(cli::likelihood::Args),
    Evaluate(cli::evaluate::Args),
    Merge(cli::merge::Args),
    Verify(cli::verify::Args),
    Inspect(cli::inspect::Args),
    Init(cli::init::Args),
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

fn run() -> Result<i32> {
    match Cli::parse().verb {
        Verb::Circulation(args) => cli::circulation::run(&args),
        Verb::Curl(args) => cli::curl::run(&args),
        Verb::Asymmetry(args) => cli::asymmetry::run(&args),
        Verb::Stein(args) => cli::stein::run(&args),
        Verb::Jacobian(args) => cli::jacobian::run(&args),
        Verb::Likelihood(args) => cli::likelihood::run(&args),
        Verb::Evaluate(args) => cli::evaluate::run(&args),
        Verb::Merge(args) => cli::merge::run(&args),
        Verb::Verify(args) => cli::verify::run(&args),
        Verb::Inspect(args) => cli::inspect::run(&args),
        Verb::Init(args) => cli::init::run(&args),
        Verb::Devices(args) => cli::devices::run(&args),
        Verb::Selftest(args) => cli::selftest::run(&args),
        Verb::Sample(args) => cli::sample::run(&args),
        Verb::Paths(args) => cli::paths::run(&args),
        Verb::Report(args) => cli::report::run(&args),
        Verb::Compare(args) => cli::compare::run(&args),
        Verb::Bench(args) => cli::bench::run(&args),
        Verb::Completions(args) => cli::completions::run(&args, Cli::command()),
        Verb::Man(args) => cli::man::run(&args, Cli::command()),
    }
}

fn main() {
    let code = run().unwrap_or_else(|e| {
        eprintln!("error: {e}");
        e.exit_code()
    });
    std::process::exit(code);
}
