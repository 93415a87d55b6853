//! Rules of the house, read off the files: imports point backwards along the flow of src/lib.rs, wgpu stays in its room,
//! files are short and open with a card.
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` with one of these endings, with its text.
pub fn files(folder: &str, endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| endings.iter().any(|x| e == *x)) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "nothing in {folder}");
    found
}

/// The modules of src/lib.rs in order.
fn flow(lib: &str) -> Vec<String> {
    let name =
        |line: &str| line.trim().trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';').map(str::to_string);
    lib.lines().filter_map(name).collect()
}

/// The text without comments; a `//` behind a colon is an address in a string.
pub fn code(text: &str) -> String {
    let cut = |line: &str| {
        let comment = line.match_indices("//").find(|(i, _)| !line[..*i].ends_with(':'));
        comment.map_or(line, |(i, _)| &line[..i]).to_string()
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// First names of all paths that begin at the crate's root: `crate::x`, `crate::{x, y::z}`, and as many `super::` as
/// the file is deep.
fn named_from_root(code: &str, depth: usize) -> Vec<String> {
    let mut names = vec![];
    for start in ["crate::".to_string(), "super::".repeat(depth)] {
        for (at, _) in code.match_indices(&start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                None => names.push(identifier(rest)),
                Some(group) => {
                    let mut level = 0;
                    for part in group.split_inclusive([',', '{', '}']) {
                        if level == 0 {
                            names.push(identifier(part.trim_start()));
                        }
                        level += part.matches('{').count() as i32 - part.matches('}').count() as i32;
                        if level < 0 {
                            break;
                        }
                    }
                }
            }
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// What a file of module `own` imports that comes after it in the flow.
fn forward_imports(flow: &[String], own: &str, depth: usize, text: &str) -> Vec<String> {
    let place = |name: &str| flow.iter().position(|m| m == name);
    let own = place(own).unwrap_or_else(|| panic!("module '{own}' is not in src/lib.rs"));
    named_from_root(&code(text), depth).into_iter().filter(|n| place(n).is_some_and(|p| p > own)).collect()
}

/// Module and depth below the crate's root of a path relative to src/: `a.rs` and `a/mod.rs` are 1 deep, `a/b.rs` 2.
fn module(relative: &Path) -> (String, usize) {
    let parts: Vec<String> = relative.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    let folder = relative.file_name().is_some_and(|n| n == "mod.rs");
    (parts[0].trim_end_matches(".rs").to_string(), parts.len() - usize::from(folder))
}

#[test]
fn imports_point_backwards() {
    let flow = flow(&std::fs::read_to_string(root().join("src/lib.rs")).unwrap());
    assert!(flow.len() > 10 && flow[0] == "error", "{flow:?}");
    if flow.iter().any(|m| m == "cli") {
        assert_eq!(flow.last().unwrap(), "cli");
    }
    for (path, text) in files("src", &["rs"]) {
        let relative = path.strip_prefix(root().join("src")).unwrap();
        let (own, depth) = module(relative);
        if ["lib", "main"].contains(&own.as_str()) {
            continue;
        }
        let wrong = forward_imports(&flow, &own, depth, &text);
        assert!(wrong.is_empty(), "src/{} imports {wrong:?}, which come after it in src/lib.rs", relative.display());
    }
}

#[test]
fn an_arrow_the_wrong_way_is_seen() {
    let flow = flow("pub mod error;\npub mod graph;\npub mod gpu;\n#[cfg(feature = \"cli\")]\npub mod cli;\n");
    assert_eq!(flow, ["error", "graph", "gpu", "cli"]);
    let wrong = |text: &str| forward_imports(&flow, "graph", 1, text);
    assert_eq!(wrong("use crate::gpu::Gpu;"), ["gpu"]);
    assert_eq!(wrong("use crate::{error::{Error, Result}, gpu::Gpu, cli};"), ["gpu", "cli"]);
    assert_eq!(wrong("use crate::{\n    error::Error,\n    gpu,\n};\nfn f(gpu: u8) {}"), ["gpu"]);
    assert_eq!(wrong("fn f() -> crate::cli::Args { todo() }"), ["cli"]);
    assert_eq!(wrong("use super::gpu;"), ["gpu"]);
    assert_eq!(forward_imports(&flow, "graph", 2, "use super::gpu; use super::super::cli;"), ["cli"]);
    assert!(
        wrong("use crate::error::Error; // crate::gpu\n//! [`crate::gpu`]\nlet a = \"https://x\"; f(gpu::g())")
            .is_empty()
    );
    assert!(forward_imports(&flow, "gpu", 1, "use crate::graph::Graph; use crate::gpu::Gpu;").is_empty());
    assert_eq!(module(Path::new("gpu/mod.rs")), ("gpu".into(), 1));
    assert_eq!(module(Path::new("gpu/device.rs")), ("gpu".into(), 2));
    assert_eq!(module(Path::new("graph.rs")), ("graph".into(), 1));
}

#[test]
fn only_the_gpu_room_knows_wgpu() {
    let mut in_the_room = 0;
    for (path, text) in files("src", &["rs"]) {
        let inside = path.starts_with(root().join("src/gpu"));
        let mentions = code(&text).contains("wgpu");
        in_the_room += u32::from(inside && mentions);
        assert!(inside || !mentions, "{} mentions wgpu", path.display());
    }
    assert!(in_the_room > 0, "nothing was searched");
}

#[test]
fn files_are_short_and_open_with_a_card() {
    for (folder, ending) in
        [("src", "rs"), ("python/src", "rs"), ("kernels-tests", "rs"), ("examples", "rs"), ("shaders", "wgsl")]
    {
        for (path, text) in files(folder, &[ending]) {
            let lines = text.lines().count();
            assert!(lines < MOST_LINES, "{}: {lines} lines", path.display());
            let card = if ending == "rs" { "//! " } else { "// " };
            assert!(text.starts_with(card), "{} does not open with a card", path.display());
        }
    }
}

/// `scripts/slow` leaves out tests that there are, each with a reason: a name that is no test's would leave out nothing.
#[test]
fn what_is_slow_is_there_and_has_a_reason() {
    listed("scripts/slow");
}

/// `scripts/driver` runs tests that there are, and says what for.
#[test]
fn what_another_driver_is_asked_is_there_and_has_a_reason() {
    listed("scripts/driver");
}

fn listed(file: &str) {
    let list = std::fs::read_to_string(root().join(file)).unwrap();
    let lines: Vec<&str> = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(lines.len() > 10, "{lines:?}");
    for line in lines {
        let (name, reason) = line.split_once(' ').unwrap_or((line, ""));
        let (module, test) = name.split_once("::").unwrap_or_else(|| panic!("{name} is not MODULE:: or MODULE::TEST"));
        let file = root().join(format!("kernels-tests/{module}.rs"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        // A module within the module may come before the test's own name.
        let own = test.rsplit("::").next().unwrap_or_default();
        let there = if own.is_empty() { "#[test]\n".into() } else { format!("fn {own}() {{") };
        assert!(text.contains(&there), "{name} is no test");
        assert!(reason.split_whitespace().count() > 1, "{name} has no reason");
    }
}
