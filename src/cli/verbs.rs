//! The command line whole: which verbs there are, and which of them is meant. In: the arguments, the program's name first. Out:
//! text, files, and the exit code. No numerics here.
use super::text::command_line;
use super::{
    bench, check, compare, completions, devices, evaluate, examples, headings, import, init, inspect, integrate,
    kernels, man, measure, merge, paths, plot, report, sample, selftest, verify, words,
};
use crate::error::Result;
use crate::measures::{self, MEASURES};
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;

/// Measures how far a diffusion model's learned field is from being a gradient.
///
/// MODEL is a model directory (config.json + model.safetensors), an ONNX file, or a closed form such as field:gaussian.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = super::help(), subcommand_required = true, arg_required_else_help = true)]
struct Cli;

// The verbs besides those that measure; as a doc comment this would be the program's help.
#[derive(Subcommand)]
enum Verb {
    Check(Box<check::Args>),
    Integrate(integrate::Args),
    Evaluate(evaluate::Args),
    Merge(merge::Args),
    Verify(verify::Args),
    Inspect(inspect::Args),
    Init(init::Args),
    Import(import::Args),
    Bench(bench::Args),
    Devices(devices::Args),
    Kernels(kernels::Args),
    Selftest(selftest::Args),
    Sample(sample::Args),
    Completions(completions::Args),
    Man(man::Args),
    Paths(paths::Args),
    Report(report::Args),
    Plot(plot::Args),
    Compare(compare::Args),
}

/// The whole command line: a verb for every measure, then the others; without the examples of its help.
fn plain() -> Command {
    let measuring = MEASURES.iter().map(|measure| measure::command(*measure));
    let verbs = Verb::augment_subcommands(Command::new("verbs").subcommands(measuring));
    headings::program(Cli::command()).subcommands(verbs.get_subcommands().map(headings::grouped))
}

/// The whole command line.
pub fn command() -> Command {
    examples::shown(plain(), "")
}

fn run(arguments: &[OsString]) -> Result<i32> {
    if let Some(error) = integrate::renamed(arguments.get(1..).unwrap_or_default()) {
        return Err(error);
    }
    let (command, log) = (command(), command_line(arguments));
    let matches = match command.clone().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(answer) => {
            if let Some(error) = words::answer(&command, log.get(1..).unwrap_or_default(), &answer) {
                return Err(error);
            }
            let _ = answer.print(); // help, the version, or what is wrong; a reader that went away is no error
            return Ok(answer.exit_code());
        }
    };
    if let Some((name, own)) = matches.subcommand()
        && let Some(measure) = measures::find(name)
    {
        return measure::run(measure, own, log);
    }
    match Verb::from_arg_matches(&matches).unwrap_or_else(|e| e.exit()) {
        Verb::Check(args) => check::run(&args, log),
        Verb::Integrate(args) => integrate::run(&args, log),
        Verb::Evaluate(args) => evaluate::run(&args),
        Verb::Merge(args) => merge::run(&args, log),
        Verb::Verify(args) => verify::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Init(args) => init::run(&args),
        Verb::Import(args) => import::run(&args),
        Verb::Devices(args) => devices::run(&args),
        Verb::Kernels(args) => kernels::run(&args),
        Verb::Selftest(args) => selftest::run(&args),
        Verb::Sample(args) => sample::run(&args),
        Verb::Paths(args) => paths::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Plot(args) => plot::run(&args),
        Verb::Compare(args) => compare::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Completions(args) => completions::run(&args, command),
        Verb::Man(args) => man::run(&args, plain()),
    }
}

/// From here on large blocks go back to the system when they are freed. The GNU library's allocator keeps those of up to 32 MiB once
/// it has seen some: the packed weights of a plan that was given up would stay until the end. Smaller blocks stay, which a software
/// driver takes and frees once per workgroup: mapping them anew took as long as the arithmetic.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // Safety: it sets two numbers of the allocator, which has a lock for that.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 2 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
    }
}

/// Does what the arguments say, the first of which is the program's name, and says what went wrong; the exit code.
pub fn main(arguments: &[OsString]) -> i32 {
    give_back();
    run(arguments).unwrap_or_else(|e| {
        eprintln!("error: {e}");
        e.exit_code()
    })
}
