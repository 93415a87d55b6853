//! Under which headings the options of all verbs stand: one table. In: a verb's command. Out: the same one with its options in
//! the table's groups, the groups in the table's order.
use clap::{Arg, ArgAction, Command};

/// A heading, and the names of what stands under it: an option's, or `verb option` where that verb means something else by it.
type Group = (&'static str, &'static [&'static str]);

/// Headings in the order in which every help has them.
#[rustfmt::skip]
pub const GROUPS: [Group; 5] = [
    ("What is measured", &[
        "data", "samples", "timesteps", "timestep", "paths", "components", "planes", "ends", "reference", "levels",
        "continuous", "score-scale", "seed", "shard", "minutes", "brownian", "plan", "evaluate points", "directions",
        "tangents", "cotangents", "exported", "model", "what", "compare", "columns", "column", "path", "arcs",
        "polyline",
    ]),
    ("Model", &[
        "shape", "process", "alphas", "sigmas", "condition", "guidance", "null", "x", "label", "output", "channels",
        "prediction", "data-range", "config", "init seed",
    ]),
    ("Accuracy", &[
        "points", "quadrature", "tol", "quadrature-check", "verify-fraction", "method", "sides", "step", "richardson",
        "verify", "estimator", "probes", "block", "steps", "tolerance", "gauss-scores", "float64-scores", "differences",
        "accuracy", "rounds", "resamples", "compare seed",
    ]),
    ("Hardware", &[
        "adapter", "memory", "binding", "limits", "attention", "checked", "tune", "tile", "kernels", "weights",
        "variant", "shader",
    ]),
    ("Output", &[
        "sample samples", "sample seed", "out", "values", "strip", "csv", "write", "inspect plan", "kind", "pooled",
        "width", "height", "format", "dpi", "no-title", "title", "names", "report samples", "allow-spills",
        "dry-run", "yes", "json", "quiet", "help", "version",
    ]),
];

/// The number of a verb's option among the headings, if the table has it.
pub fn group(verb: &str, option: &str) -> Option<usize> {
    let own = format!("{verb} {option}");
    let find = |name: &str| GROUPS.iter().position(|(_, names)| names.contains(&name));
    find(&own).or_else(|| find(option))
}

/// The same option under its heading; what stands in a place of its own has none.
fn headed(verb: &str, option: Arg) -> Arg {
    match option.get_long().and_then(|name| group(verb, name)) {
        Some(at) => option.help_heading(GROUPS[at].0),
        None => option,
    }
}

/// The option that every verb has.
fn help() -> Arg {
    let said = "Print help; -h prints it in short";
    headed("", Arg::new("help").short('h').long("help").action(ArgAction::Help).help(said))
}

/// The program, whose own options are `--help` and `--version`.
pub(super) fn program(command: Command) -> Command {
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version).help("Print version");
    command.disable_help_flag(true).disable_version_flag(true).arg(help()).arg(headed("", version))
}

/// The same verb, made anew with its options in groups: help shows headings in the order in which options were added.
pub(super) fn grouped(verb: &Command) -> Command {
    let name = verb.get_name();
    let mut options: Vec<Arg> =
        verb.get_arguments().cloned().map(|option| headed(name, option)).chain([help()]).collect();
    options.sort_by_key(|option| option.get_long().map(|long| group(name, long)));
    let mut made = Command::new(name.to_string())
        .disable_help_flag(true)
        .args(options)
        .groups(verb.get_groups().cloned())
        .subcommands(verb.get_subcommands().map(grouped))
        .subcommand_required(verb.is_subcommand_required_set())
        .arg_required_else_help(verb.is_arg_required_else_help_set());
    if let Some(about) = verb.get_about() {
        made = made.about(about.clone());
    }
    if let Some(about) = verb.get_long_about() {
        made = made.long_about(about.clone());
    }
    if let Some(text) = verb.get_after_help() {
        made = made.after_help(text.clone());
    }
    made
}
