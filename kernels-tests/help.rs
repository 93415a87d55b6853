//! The help of every verb: options under the same headings in the same order, examples that clap takes and that run as written,
//! and words of other programs, each answered with a word that is there.
use crate::output::run;
use clap::Command;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use vorticity::cli::{
    command, examples,
    headings::{GROUPS, group},
    words::{self, OPTIONS, VERBS},
};

/// Every verb and what it is called, those of a verb after it; the program first, which is called nothing.
fn verbs() -> Vec<(String, Command)> {
    fn add(all: &mut Vec<(String, Command)>, name: &str, verb: &Command) {
        all.push((name.to_string(), verb.clone()));
        for own in verb.get_subcommands() {
            add(all, format!("{name} {}", own.get_name()).trim_start(), own);
        }
    }
    let mut all = vec![];
    add(&mut all, "", &command());
    all
}

#[test]
fn options_stand_under_the_same_headings_in_the_same_order() {
    let mut seen = BTreeSet::new();
    for (name, mut verb) in verbs() {
        let mut last = 0;
        for option in verb.get_arguments().filter(|a| !a.is_positional()) {
            let long = option.get_long().unwrap();
            let at = group(verb.get_name(), long)
                .unwrap_or_else(|| panic!("{name} --{long} has no heading: cli/headings.rs"));
            assert_eq!(option.get_help_heading(), Some(GROUPS[at].0), "{name} --{long}");
            assert!(at >= last, "{name} --{long} stands after a later heading");
            last = at;
            seen.extend([long.to_string(), format!("{} {long}", verb.get_name())]);
        }
        let text = verb.render_long_help().to_string();
        let headings: Vec<&str> =
            text.lines().filter_map(|l| l.strip_suffix(':')).filter(|l| GROUPS.iter().any(|g| g.0 == *l)).collect();
        let order: Vec<&str> = GROUPS.iter().map(|g| g.0).filter(|g| headings.contains(g)).collect();
        assert!(headings == order && headings.last() == Some(&"Output"), "{name}: {headings:?}");
        assert!(!text.lines().any(|l| l == "Options:"), "{name}: some options stand under no heading\n{text}");
    }
    let rows: Vec<&str> = GROUPS.iter().flat_map(|g| g.1).copied().collect();
    assert_eq!(rows.len(), rows.iter().collect::<BTreeSet<_>>().len(), "an option stands under two headings");
    let stale: Vec<_> = rows.iter().filter(|row| !seen.contains(**row)).collect();
    assert!(stale.is_empty(), "no verb has {stale:?}");
}

/// The words of a command line, as a shell has them, up to where its output goes.
fn split(line: &str) -> Vec<String> {
    let unquoted = |word: &str| word.trim_matches('\'').to_string();
    line.split_whitespace().take_while(|word| !["|", ">"].contains(word)).map(unquoted).collect()
}

/// The examples that a text ends with, a line each.
fn shown(text: &str) -> Vec<String> {
    let (_, text) = text.split_once("\nExamples:\n").expect("no examples");
    text.replace(" \\\n    ", " ").lines().map(str::trim).filter(|l| !l.starts_with('#')).map(Into::into).collect()
}

#[test]
fn every_help_ends_with_examples_that_the_parser_takes() {
    let all = verbs();
    let without: Vec<&String> = all.iter().map(|v| &v.0).filter(|name| examples::of(name).is_empty()).collect();
    assert!(without.is_empty(), "no examples of {without:?}: cli/examples.rs");
    for (name, mut verb) in all {
        let text = verb.render_long_help().to_string();
        let lines = shown(&text);
        assert!((1..=3).contains(&lines.len()) && lines.len() == examples::of(&name).len(), "{name}: {lines:?}");
        let own = |line: &String| line.starts_with(&format!("vorticity {name}"));
        assert!(lines.iter().any(own), "{name}: {lines:?}");
        for line in &lines {
            let words = split(line);
            command().try_get_matches_from(&words).unwrap_or_else(|e| panic!("{name}: {line}\n{e}"));
        }
        assert!(examples::text(&name).lines().all(|l| l.len() <= 78), "{name}: a narrow terminal breaks a line");
    }
    // An option that is misspelt would be seen.
    let wrong = split("vorticity check assets/models/mnist --data x --mins 2 --out y");
    assert!(command().try_get_matches_from(wrong).is_err());
    let rows: Vec<&str> = examples::EXAMPLES.iter().map(|row| row.0).collect();
    let stale: Vec<_> = rows.iter().filter(|row| !verbs().iter().any(|v| v.0 == **row)).collect();
    assert!(stale.is_empty() && rows.iter().collect::<BTreeSet<_>>().len() == rows.len(), "{stale:?}");
    let main = command().render_long_help().to_string();
    assert!(shown(&main)[0].starts_with("vorticity check assets/models/mnist --data"), "{main}");
}

/// Examples that other tests run, in shorter forms: they take minutes.
const LONG: [&str; 3] = [
    "vorticity check assets/models/mnist --data assets/data/mnist-test-256-idx3-ubyte.gz --out",
    "vorticity selftest",
    "vorticity bench",
];

/// In a folder that has `assets`, one after the other, as the table has them.
#[cfg(unix)]
#[test]
fn every_example_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(root.join("assets"), folder.path().join("assets")).unwrap();
    for (verb, _) in examples::EXAMPLES {
        if *verb == "integrate" {
            // What another program would write.
            let zeros = vec![0; 4 * 3 * 4 * 20 * 16];
            let scores = crate::data::npy("<f4", "(3, 1, 4, 20, 1, 4, 4)", &zeros);
            fs::write(folder.path().join("scores.npy"), scores).unwrap();
        }
        for line in shown(&format!("\nExamples:\n{}", examples::text(verb))) {
            if LONG.iter().any(|long| line.starts_with(long)) {
                continue;
            }
            let words = split(&line);
            let mut command = assert_cmd::Command::cargo_bin("vorticity").unwrap();
            let output = command.current_dir(folder.path()).args(&words[1..]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}: {:?}\n{said}", output.status.code());
            if let Some((_, file)) = line.split_once(" > ").filter(|(_, file)| !file.starts_with('~')) {
                fs::write(folder.path().join(file), &output.stdout).unwrap();
            }
            let out = words.iter().position(|w| w == "--out").map(|at| folder.path().join(&words[at + 1]));
            let dry = words.iter().any(|w| w == "--dry-run");
            assert!(out.is_none_or(|out| out.exists() != dry), "{line}");
        }
    }
}

/// What the program says of arguments that clap refuses.
fn answer(arguments: &[&str]) -> Option<String> {
    let refused = command().try_get_matches_from([&["vorticity"], arguments].concat()).unwrap_err();
    let arguments: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
    words::answer(&command(), &arguments, &refused).map(|error| {
        assert_eq!(error.exit_code(), refused.exit_code());
        error.to_string()
    })
}

#[test]
fn options_of_other_programs_are_answered_with_those_that_are_there() {
    let mut answered = BTreeSet::new();
    for (name, verb) in verbs().into_iter().filter(|v| !v.0.is_empty() && v.1.get_subcommands().next().is_none()) {
        let has = |word: &str| {
            verb.get_arguments().any(|a| match word.strip_prefix("--") {
                Some(long) => a.get_long() == Some(long),
                None if word.starts_with('-') => a.get_short() == word.chars().nth(1),
                None => a.is_positional() && a.get_id().as_str().eq_ignore_ascii_case(word),
            })
        };
        for (tried, right) in OPTIONS {
            let right: Vec<&str> = right.iter().map(|r| r.0).filter(|r| has(r)).collect();
            for word in tried.iter().filter(|word| !has(word)) {
                let path: Vec<&str> = name.split(' ').collect();
                let said = answer(&[&path[..], &[word]].concat());
                let said = match (right.is_empty(), said) {
                    (true, None) => continue,
                    (true, Some(said)) => panic!("{name} {word}: {said}"),
                    (false, said) => said.unwrap_or_else(|| panic!("{name} {word} is not answered")),
                };
                assert!(said.starts_with(&format!("{word}: is no option of {name}, expected ")), "{said}");
                assert!(right.iter().all(|r| said.contains(r)), "{name} {word}: {said}");
                answered.insert(*word);
            }
        }
    }
    let never: Vec<_> = OPTIONS.iter().flat_map(|r| r.0).filter(|word| !answered.contains(**word)).collect();
    assert!(never.is_empty(), "no verb answers {never:?}");
    for (_, right) in OPTIONS.iter().flat_map(|r| r.1.iter().map(move |right| (r.0, right.0))) {
        let there = |c: &Command| {
            c.get_arguments().any(|a| a.get_long() == right.strip_prefix("--") || !right.starts_with('-'))
        };
        assert!(verbs().iter().any(|v| there(&v.1)), "no verb has {right}");
    }
    let every: Vec<&str> = OPTIONS.iter().flat_map(|r| r.0).copied().collect();
    assert_eq!(every.len(), every.iter().collect::<BTreeSet<_>>().len(), "a word stands in two rows");

    let said = answer(&["circulation", "m", "--device", "cuda:0"]).unwrap();
    assert!(said.contains("--adapter (its number") && said.contains("`vorticity devices`"), "{said}");
    assert!(answer(&["circulation", "m", "--batch_size=8"]).unwrap().contains("--tile"));
    let said = answer(&["circulation", "m", "--data", "d", "--output", "runs/x"]).unwrap();
    assert_eq!(said, "--output: is no name for this, expected --out (what is written)");
    // Misspelt words are clap's, which knows the nearest.
    assert_eq!(answer(&["circulation", "m", "--timestep5"]), None);
    let (code, _, error) = run(&["circulation", "m", "--quadrature-checks", "0"]);
    assert!(code == Some(2) && error.contains("--quadrature-check"), "{error}");
    let (code, printed, error) = run(&["sample", "m", "--num-samples", "4"]);
    assert_eq!((code, printed.as_str()), (Some(2), ""));
    assert_eq!(error, "error: --num-samples: is no option of sample, expected --samples (how many)");
}

#[test]
fn verbs_of_other_programs_are_answered_with_those_that_are_there() {
    let names: Vec<String> = verbs().into_iter().map(|v| v.0).collect();
    for (tried, right) in VERBS {
        for word in *tried {
            let said = answer(&[word, "m"]).unwrap();
            assert!(said.starts_with(&format!("{word}: is no verb, expected ")), "{said}");
            for (right, _) in *right {
                assert!(said.contains(right) && names.iter().any(|n| n == right), "{word}: {right}");
            }
        }
    }
    let every: Vec<&str> = VERBS.iter().flat_map(|r| r.0).copied().collect();
    assert_eq!(every.len(), every.iter().collect::<BTreeSet<_>>().len(), "a word stands in two rows");
    assert!(answer(&["field:rotor"]).unwrap().contains("vorticity check MODEL"));
    assert_eq!(answer(&["circulatoin"]), None);
    let (code, _, error) = run(&["run", "m"]);
    assert_eq!(code, Some(2));
    assert_eq!(
        error,
        "error: run: is no verb, expected check (is the field a gradient?) or circulation (one measure alone)"
    );
}
