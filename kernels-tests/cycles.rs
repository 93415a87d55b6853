//! Rules of the house, continued: files of src/ do not import each other in circles. Read off the files, by `use` and by paths
//! that begin with `crate`, `self`, `super` or a module that the file declares; re-exports are followed to where things are.
//! A room's head (`mod.rs`) and the files below it count as one: the head has the trait or the list, the files its rows.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Circles that are let be, as they are, and why.
const HARMLESS: &[(&[&str], &str)] = &[(
    &["run/measure.rs", "run/parameters.rs", "run/part.rs", "run/rules.rs", "run/table.rs", "run/task.rs"],
    "settings, a task, a part and a table say of which measure they are, and a measure says what becomes of them: types that \
     name each other, of which none does anything with another but call what it was given",
)];

/// Source files by their path below src/, without comments and strings' ends being looked for.
type Files = BTreeMap<String, String>;

/// A path as a file writes it, and the name under which it is known there; none if it is not imported for others.
#[derive(Debug, PartialEq)]
struct Import {
    path: Vec<String>,
    seen_as: Option<String>,
}

fn words(path: &[&str]) -> Vec<String> {
    path.iter().map(|w| w.to_string()).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// All paths of a `use` tree, each with the name that it gets.
fn tree(text: &str, before: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let text = text.trim();
    match text.split_once("::").filter(|(first, _)| first.trim().chars().all(is_word)) {
        Some((first, rest)) => {
            let path = [before, &[first.trim().to_string()]].concat();
            tree(rest, &path, found);
        }
        None => match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            Some(group) => {
                let (mut level, mut from) = (0, 0);
                for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
                    match c {
                        '{' => level += 1,
                        '}' => level -= 1,
                        ',' if level == 0 => {
                            if !group[from..at].trim().is_empty() {
                                tree(&group[from..at], before, found);
                            }
                            from = (at + 1).min(group.len());
                        }
                        _ => {}
                    }
                }
            }
            None => {
                let (name, seen_as) = text.split_once(" as ").unwrap_or((text, text));
                let path = if name == "self" { before.to_vec() } else { [before, &[name.to_string()]].concat() };
                let seen_as =
                    if seen_as == "self" { before.last().cloned().unwrap_or_default() } else { seen_as.into() };
                found.push((path, seen_as));
            }
        },
    }
}

/// What a file imports, and what it names by a path.
fn imports(code: &str) -> Vec<Import> {
    let (mut found, mut rest) = (vec![], String::new());
    // Statements that begin with `use`, whatever is before them on the line.
    let mut text = code;
    while let Some(at) = find_use(text) {
        let end = text[at..].find(';').map_or(text.len(), |i| at + i);
        let line = text[..at].rfind(['\n', ';', '{', '}']).map_or(0, |i| i + 1);
        let public = text[line..at].trim_start().starts_with("pub");
        let mut paths = vec![];
        tree(&text[at + 4..end], &[], &mut paths);
        let import = |(path, name): (Vec<String>, String)| Import { path, seen_as: public.then_some(name) };
        found.extend(paths.into_iter().map(import));
        rest.push_str(&text[..line]);
        text = &text[(end + 1).min(text.len())..];
    }
    rest.push_str(text);
    let mut starts = words(&["crate", "self", "super"]);
    starts.extend(rest.lines().filter_map(|line| {
        let line = line.trim();
        let name = line[line.find("mod ").filter(|at| *at == 0 || line.starts_with("pub"))? + 4..].strip_suffix(';')?;
        name.chars().all(is_word).then(|| name.to_string())
    }));
    for start in starts {
        let wanted = format!("{start}::");
        for (at, _) in rest.match_indices(&wanted) {
            if rest[..at].chars().next_back().is_some_and(|c| is_word(c) || c == ':' || c == '$') {
                continue;
            }
            let path: Vec<String> = rest[at..]
                .split("::")
                .map(|part| part.chars().take_while(|c| is_word(*c)).collect::<String>())
                .take_while(|part| !part.is_empty())
                .collect();
            // A path ends with the first part that other characters follow.
            let mut length = 0;
            let mut left = &rest[at..];
            for part in &path {
                length += 1;
                left = &left[part.len()..];
                match left.strip_prefix("::") {
                    Some(more) => left = more,
                    None => break,
                }
            }
            found.push(Import { path: path[..length].to_vec(), seen_as: None });
        }
    }
    found
}

fn find_use(text: &str) -> Option<usize> {
    text.match_indices("use ").map(|(at, _)| at).find(|&at| !text[..at].chars().next_back().is_some_and(is_word))
}

/// The modules that lead to a file: `a/b.rs` and `a/b/mod.rs` are a, b.
fn module(file: &str) -> Vec<String> {
    let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_string).collect();
    if ["mod", "lib"].contains(&parts[parts.len() - 1].as_str()) {
        parts.pop();
    }
    parts
}

struct Sources {
    imports: BTreeMap<String, Vec<Import>>,
    files: BTreeMap<Vec<String>, String>,
}

impl Sources {
    fn of(files: &Files) -> Self {
        Self {
            imports: files.iter().map(|(file, text)| (file.clone(), imports(text))).collect(),
            files: files.keys().map(|file| (module(file), file.clone())).collect(),
        }
    }

    /// A path from the crate's root; none if it begins with what is none of ours.
    fn absolute(&self, file: &str, path: &[String]) -> Option<Vec<String>> {
        let mut own = module(file);
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([own, path[1..].to_vec()].concat()),
            "super" => {
                let up = path.iter().take_while(|p| *p == "super").count();
                own.truncate(own.len().checked_sub(up)?);
                Some([own, path[up..].to_vec()].concat())
            }
            first => {
                own.push(first.into());
                self.files.contains_key(&own).then(|| [own, path[1..].to_vec()].concat())
            }
        }
    }

    /// The file that holds what a path from the root names, through re-exports.
    fn holder(&self, path: &[String], depth: usize) -> Option<&str> {
        let known = (0..=path.len()).rev().find(|&n| self.files.contains_key(&path[..n]))?;
        let file = &self.files[&path[..known]];
        let Some(name) = path.get(known).filter(|_| depth < 8) else { return Some(file) };
        let through = self.imports[file].iter().filter(|i| i.seen_as.as_ref() == Some(name));
        let through = through.filter_map(|i| self.absolute(file, &i.path));
        let onward = |target: Vec<String>| self.holder(&[target, path[known + 1..].to_vec()].concat(), depth + 1);
        through.filter_map(onward).find(|other| other != file).or(Some(file))
    }

    /// Which files a file imports, heads of its own room and files of a room that it is the head of left out.
    fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let below = |head: &str, file: &str| head.strip_suffix("mod.rs").is_some_and(|room| file.starts_with(room));
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (file, imports) in self.imports.iter().filter(|(file, _)| *file != "lib.rs") {
            let own = imports.iter().filter_map(|i| self.holder(&self.absolute(file, &i.path)?, 0));
            let own = own.filter(|other| other != file && *other != "lib.rs");
            let own = own.filter(|other| !below(file, other) && !below(other, file));
            edges.entry(file).or_default().extend(own);
        }
        edges
    }

    /// Groups of files that all lead to each other, each in order.
    fn circles(&self) -> Vec<Vec<&str>> {
        let edges = self.edges();
        let reach = |from: &str| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(file) = open.pop() {
                for next in edges.get(file).into_iter().flatten() {
                    if seen.insert(*next) {
                        open.push(next);
                    }
                }
            }
            seen
        };
        let all: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|file| (*file, reach(file))).collect();
        let circle = |file: &&str| -> Vec<&str> {
            all[*file].iter().copied().filter(|other| all.get(other).is_some_and(|back| back.contains(*file))).collect()
        };
        let found: BTreeSet<Vec<&str>> = all.keys().map(circle).filter(|c| c.len() > 1).collect();
        found.into_iter().collect()
    }
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Files = crate::house::files("src", &["rs"])
        .into_iter()
        .map(|(path, text)| {
            let relative = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            (relative, crate::house::code(&text))
        })
        .filter(|(file, _)| file != "main.rs")
        .collect();
    let sources = Sources::of(&files);
    assert!(sources.edges().values().map(BTreeSet::len).sum::<usize>() > 500, "hardly anything was read");
    let circles = sources.circles();
    let own = |circle: &[&str]| {
        let edges = sources.edges();
        let line = |file: &&str| {
            let within: Vec<&str> = edges[*file].iter().copied().filter(|other| circle.contains(other)).collect();
            format!("  {file} -> {}\n", within.join(", "))
        };
        circle.iter().map(line).collect::<String>()
    };
    for circle in &circles {
        assert!(HARMLESS.iter().any(|(known, _)| known == circle), "a circle of imports:\n{}", own(circle));
    }
    for (known, _) in HARMLESS {
        assert!(circles.iter().any(|circle| circle == known), "no circle any more, strike it off: {known:?}");
    }
}

#[test]
fn a_circle_is_seen() {
    let circles = |files: &[(&str, &str)]| -> Vec<Vec<String>> {
        let files = files.iter().map(|(file, text)| (file.to_string(), text.to_string())).collect();
        let sources = Sources::of(&files);
        sources.circles().into_iter().map(|c| c.into_iter().map(str::to_string).collect()).collect()
    };
    let both = vec![vec!["a/b.rs".to_string(), "a/c.rs".to_string()]];
    let head = ("a/mod.rs", "mod b;\npub mod c;\npub use b::{B, x as y};");
    let lib = ("lib.rs", "pub mod a;");
    let of = |b: &str, c: &str| circles(&[lib, head, ("a/b.rs", b), ("a/c.rs", c)]);
    assert_eq!(of("use super::c::C;", "use super::b::B;"), both);
    assert_eq!(of("use super::{c::{C, D}, other::E};", "fn f() { crate::a::b::g() }"), both);
    assert_eq!(of("use crate::a::c;", "use super::B;"), both, "through a re-export");
    assert_eq!(of("use super::c::*;", "pub(super) use super::y as z;"), both, "under another name");
    assert_eq!(of("use super::c::C;", "use super::x;"), Vec::<Vec<String>>::new(), "what the head itself has");
    assert_eq!(of("use super::c::C;", "use std::fmt; fn f() { fmt::b::c() }"), Vec::<Vec<String>>::new());
    assert_eq!(of("use super::c::C;", ""), Vec::<Vec<String>>::new());
    // Three in a row, over two rooms.
    let three = circles(&[
        ("lib.rs", "pub mod a; pub mod d;"),
        ("a/mod.rs", "pub mod b;"),
        ("a/b.rs", "use crate::d::e::E;"),
        ("d/mod.rs", "pub mod e; mod f;"),
        ("d/e.rs", "use super::f::F;"),
        ("d/f.rs", "use crate::a::b::B;"),
    ]);
    assert_eq!(three, [["a/b.rs", "d/e.rs", "d/f.rs"]]);
}
