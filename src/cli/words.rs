//! Words of other programs, and what they are called here: one table of options and one of verbs. In: what clap did not take.
//! Out: an error that names the right word, where the verb has it. Misspelt words are left to clap, which knows the nearest.
use crate::error::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::path::Path;

/// Words that a user may try, and what may be meant: an option or an argument in capitals, and a few words about it. Those
/// that the verb has are named.
pub type Row = (&'static [&'static str], &'static [(&'static str, &'static str)]);

/// For options.
#[rustfmt::skip]
pub const OPTIONS: &[Row] = &[
    (&["--device", "--gpu", "--gpus", "--cuda", "--cpu", "--backend", "-d"],
        &[("--adapter", "its number or a part of its name, as `vorticity devices` lists them, or software")]),
    (&["--batch-size", "--batch", "--bs", "-b"],
        &[("--tile", "lanes at a time"), ("--memory", "tiles are as large as that allows")]),
    (&["--num-samples", "--n-samples", "--num-images", "--limit", "--count", "--num", "-n"],
        &[("--samples", "how many")]),
    (&["--steps", "--num-steps", "--n-steps", "--num-inference-steps"],
        &[("--steps", ""), ("--timesteps", "noise levels by their k"), ("--points", "segments of a loop")]),
    (&["--output", "--output-dir", "--out-dir", "--outdir", "--save", "--save-dir", "-o"],
        &[("--out", "what is written"), ("--write", "a new folder")]),
    (&["--dataset", "--images", "--input", "--data-dir", "--data-path", "-i"],
        &[("--data", "clean images"), ("--points", "where the field is evaluated"), ("FILE", "without a word before it")]),
    (&["--model", "--checkpoint", "--ckpt", "--network", "--net", "--model-path", "--onnx", "-m"],
        &[("MODEL", "behind the verb, without a word before it"), ("MODELS", "behind the verb, without a word before them")]),
    (&["--precision", "--fp16", "--f16", "--half", "--bf16", "--dtype", "--amp"],
        &[("--weights", "f16 holds weights in half the memory; arithmetic stays in f32")]),
    (&["--workers", "--threads", "--num-workers", "--num-threads", "--jobs", "-j"],
        &[("--shard", "a part of the samples for each of several processes; one takes every core by itself")]),
    (&["--sigma", "--sigma-max", "--sigma-min", "--noise", "--noise-level", "--noise-levels", "--std"],
        &[("--timesteps", "noise levels by their k"), ("--timestep", "the noise level by its k"), ("--sigmas", "the process, sigma by k")]),
    (&["--time", "--times", "--timestep", "-t", "-k"],
        &[("--timesteps", "noise levels by their k"), ("--timestep", "the noise level by its k")]),
    (&["--schedule", "--scheduler", "--noise-schedule", "--betas", "--sde"],
        &[("--process", "such as vp?schedule=linear, or scheduler_config.json")]),
    (&["--parameterization", "--parametrization", "--prediction-type", "--objective", "--predict"],
        &[("--prediction", "what the network puts out, such as eps")]),
    (&["--class", "--class-label", "--class-labels", "--labels", "--cond", "--prompt"],
        &[("--condition", "NAME=VALUE")]),
    (&["--cfg", "--cfg-scale", "--guidance-scale"],
        &[("--guidance", "")]),
    (&["--size", "--image-size", "--resolution", "--dim"],
        &[("--shape", "CxHxW"), ("--width", "with its unit, such as 8cm")]),
    (&["--loops", "--loop"],
        &[("--paths", "kinds of loops"), ("--exported", "the file of the loops")]),
    (&["--segments", "--num-points", "--n-points", "--midpoints"],
        &[("--points", "segments of a loop")]),
    (&["--vectors", "--num-probes", "--n-probes", "--hutchinson"],
        &[("--probes", "random vectors")]),
    (&["--tol", "--tolerance", "--rtol", "--atol", "--eps", "--epsilon"],
        &[("--tol", "of --quadrature adaptive"), ("--tolerance", "where a search ends"), ("--accuracy", "of loops")]),
    (&["--minutes", "--budget", "--time-limit", "--timeout", "--seconds"],
        &[("--minutes", ""), ("--dry-run", "how long it takes")]),
    (&["--vram", "--mem", "--gpu-memory", "--max-memory"],
        &[("--memory", "such as 4GiB")]),
    (&["--random-seed", "--random-state", "--rng", "-s"],
        &[("--seed", "")]),
    (&["--resume", "--continue", "--restart"],
        &[("--out", "the same command goes on from there")]),
    (&["--force", "--overwrite", "-f"],
        &[("--out", "a new name: nothing is written over"), ("--write", "a new folder")]),
    (&["--no-confirm", "-y"],
        &[("--yes", "")]),
    (&["--rank", "--world-size", "--num-shards", "--shards"],
        &[("--shard", "I/N")]),
    (&["--silent", "--no-progress", "-q"],
        &[("--quiet", "")]),
    (&["--run", "--runs", "--results"],
        &[("RUNS", "behind the verb, without a word before them"), ("A", "two runs behind the verb, without a word before them")]),
];

/// For verbs: verbs as they are typed.
pub const VERBS: &[Row] = &[
    (
        &["run", "measure", "start", "analyze", "analyse", "is-gradient", "verdict"],
        &[("check", "is the field a gradient?"), ("circulation", "one measure alone")],
    ),
    (
        &["test", "tests", "doctor", "self-test"],
        &[("selftest", "this machine's kernels"), ("verify", "reference results"), ("check", "a model")],
    ),
    (&["benchmark", "benchmarks", "perf", "profile", "time", "speed"], &[("bench", "what a network costs here")]),
    (&["list", "ls", "adapters", "gpus", "gpu", "list-devices"], &[("devices", "the adapters of this machine")]),
    (&["info", "show", "describe", "summary", "print", "cat"], &[("inspect", "what a model holds and what it takes")]),
    (&["convert", "onnx", "load"], &[("import", "a model directory of an ONNX file")]),
    (&["export"], &[("paths export", "loops for scores from another program"), ("sample", "--values writes numbers")]),
    (&["generate", "draw", "samples", "sampling"], &[("sample", "pictures, or numbers")]),
    (&["figure", "visualize", "visualise", "graph"], &[("plot", "a figure"), ("report", "a page")]),
    (&["html", "page", "web"], &[("report", "a page of runs")]),
    (&["diff", "versus"], &[("compare", "two runs")]),
    (&["join", "combine", "gather"], &[("merge", "the shards of a run")]),
    (
        &["score", "scores", "predict", "infer", "inference", "forward"],
        &[("evaluate", "the field at points"), ("integrate", "scores from elsewhere")],
    ),
    (&["loops", "loop", "stokes", "work", "integral"], &[("circulation", "integrals around loops")]),
    (&["jvp", "vjp", "tangents", "derivatives"], &[("evaluate", "with --directions or --cotangents")]),
    (&["symmetry", "antisymmetry", "nasym"], &[("asymmetry", "the whole Jacobian"), ("curl", "some of its entries")]),
    (&["hessian"], &[("jacobian", "all entries"), ("spectrum", "the ends of its spectrum")]),
    (&["eigenvalues", "eigen", "svd"], &[("spectrum", "eigenvalues"), ("planes", "planes that turn")]),
    (&["dimension", "flipd", "intrinsic-dimension"], &[("lid", "the local intrinsic dimension")]),
    (&["nll", "bpd", "logp", "log-likelihood", "density"], &[("likelihood", "bits per dimension")]),
    (&["new", "create", "random", "make"], &[("init", "a network with random weights")]),
    (&["compile", "shaders"], &[("kernels", "what the driver makes of them")]),
];

/// Whether an argument of a verb is called so: by its long name, or in capitals where it has a place of its own.
fn called(arg: &Arg, word: &str) -> bool {
    let values = || arg.get_value_names().unwrap_or_default();
    match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => {
            arg.is_positional() && (values().iter().any(|v| v == word) || arg.get_id().as_str() == word.to_lowercase())
        }
    }
}

/// What a row means, of what is there.
fn meant(row: &Row, there: impl Fn(&str) -> bool) -> Vec<(&'static str, &'static str)> {
    row.1.iter().copied().filter(|(right, _)| there(right)).collect()
}

/// The row of a word, whose parts may be joined by underlines, as Python joins them.
fn row<'a>(rows: &'a [Row], word: &str) -> Option<&'a Row> {
    let word = word.replace('_', "-");
    rows.iter().find(|row| row.0.contains(&word.as_str()))
}

/// The right words in a sentence.
fn told(word: &str, of: &str, right: &[(&str, &str)]) -> Error {
    let one = |(right, about): &(&str, &str)| match about.is_empty() {
        true => right.to_string(),
        false => format!("{right} ({about})"),
    };
    let all: Vec<String> = right.iter().map(one).collect();
    Error::invalid(word, format!("is no {of}, expected {}", all.join(" or ")))
}

/// What is said of an option that a verb does not have; none where the table does not know the word, or the verb has nothing of
/// the kind.
pub fn option(command: &Command, name: &str, word: &str) -> Option<Error> {
    let right = meant(row(OPTIONS, word)?, |right| command.get_arguments().any(|arg| called(arg, right)));
    (!right.is_empty()).then(|| told(word, &format!("option of {name}"), &right))
}

/// What is said of a verb that there is not.
pub fn verb(word: &str) -> Option<Error> {
    if let Some(row) = row(VERBS, word) {
        return Some(told(word, "verb", row.1));
    }
    let model = word.starts_with("field:") || Path::new(word).exists();
    model.then(|| told(word, "verb", &[("one in front of it", "vorticity check MODEL: is the field a gradient?")]))
}

/// The verb that arguments behind the program's name are for, by its words.
fn asked<'a>(mut command: &'a Command, arguments: &[String]) -> (&'a Command, String) {
    let mut name = vec![];
    for word in arguments {
        let Some(own) = command.find_subcommand(word) else { break };
        command = own;
        name.push(word.as_str());
    }
    (command, name.join(" "))
}

/// The error for arguments that clap refused, where the tables know a word that it did not take. `--output` is an option of
/// networks: who means --out by it is told where that is missing.
pub fn answer(program: &Command, arguments: &[String], refused: &clap::Error) -> Option<Error> {
    let (command, name) = asked(program, arguments);
    match (refused.kind(), refused.get(ContextKind::InvalidArg), refused.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, _, Some(ContextValue::String(word))) if name.is_empty() => verb(word),
        (ErrorKind::UnknownArgument, Some(ContextValue::String(word)), _) => option(command, &name, word),
        (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing)), _) => {
            let wanted = |right: &str| missing.iter().any(|m| m.split(' ').next() == Some(right));
            let tried = arguments.iter().filter_map(|word| word.split('=').next());
            let meant = tried.filter_map(|word| Some((word, meant(row(OPTIONS, word)?, wanted))));
            let (word, right) = meant.into_iter().find(|(_, right)| !right.is_empty())?;
            Some(told(word, "name for this", &right))
        }
        _ => None,
    }
}
