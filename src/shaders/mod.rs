//! Shader sources, embedded, and the assembler that makes plain WGSL of them. It knows `#import`, `#if`, `#unroll` and
//! named integer constants, and nothing else. In: a file of `shaders/` and constants. Out: WGSL text.
mod expression;

use self::expression::{evaluate, in_word};
use crate::error::{Error, Result};
use crate::{ops, paths};
use std::collections::BTreeMap;
use std::ops::Range;

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        /// What is no op's and no path's kernel.
        const OTHERS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../shaders/", $name, ".wgsl")))),*];
    };
}
sources![
    "across",
    "ceiling_copy",
    "ceiling_gemm",
    "ceiling_multiply_add",
    "circulation",
    "field_funnel",
    "field_linear",
    "field_mixture",
    "lib/activation",
    "lib/attention_immediates",
    "lib/conv",
    "lib/conv_end_immediates",
    "lib/conv_ended",
    "lib/conv_ends_cc",
    "lib/conv_immediates",
    "lib/conv_load",
    "lib/conv_store",
    "lib/cpu",
    "lib/curves",
    "lib/elementwise",
    "lib/elementwise_immediates",
    "lib/elementwise_tiles",
    "lib/exp",
    "lib/grid",
    "lib/heads",
    "lib/image",
    "lib/lane",
    "lib/ln",
    "lib/norm",
    "lib/normal",
    "lib/pairs",
    "lib/pairs_back",
    "lib/part",
    "lib/path",
    "lib/philox",
    "lib/portable",
    "lib/reduce",
    "lib/second",
    "lib/silu",
    "lib/team",
    "lib/there",
    "lib/weights",
    "relane",
    "score",
    "times",
];

const LISTS: [&[(&str, &str)]; 3] = [ops::KERNELS, paths::KERNELS, OTHERS];

const ALL: [(&str, &str); LISTS[0].len() + LISTS[1].len() + LISTS[2].len()] = {
    let mut all = [("", ""); LISTS[0].len() + LISTS[1].len() + LISTS[2].len()];
    let (mut place, mut list) = (0, 0);
    while list < LISTS.len() {
        let mut i = 0;
        while i < LISTS[list].len() {
            all[place] = LISTS[list][i];
            (place, i) = (place + 1, i + 1);
        }
        list += 1;
    }
    all
};

/// Every file of `shaders/`, by its path there without `.wgsl`: the ops' kernels, the paths', then the others.
pub const SOURCES: &[(&str, &str)] = &ALL;

/// The WGSL of `shader`: imports once each, then the constants' values in place, lines of `#if` taken or left, loops of
/// `#unroll` written out; lines that `enable` extensions come first, as WGSL has it.
///
/// `#if EXPRESSION`, perhaps `#else`, `#endif` keep the lines for which the expression is true, which is any number but 0.
/// `#unroll i A B` repeats the lines up to its `#end` for i = A..B (half-open); inside, `$i` and `$(expression)` stand
/// for integers. Expressions know `+ - * / %`, `== <`, `! &&`, parentheses, loop variables, the given constants, and
/// `const NAME = ..;` lines of the file that are integer expressions.
pub fn assemble(shader: &str, constants: &[(&'static str, i64)]) -> Result<String> {
    assemble_with(shader, constants, &[])
}

/// `assemble`, knowing files that are not in `shaders/`: (name, text) each.
pub fn assemble_with(shader: &str, constants: &[(&'static str, i64)], own: &[(&str, &str)]) -> Result<String> {
    let mut assembler = Assembler {
        own,
        shader,
        names: constants.iter().map(|&(n, v)| (n.to_string(), v)).collect(),
        imported: vec![],
        enabled: String::new(),
        out: String::new(),
    };
    for (name, value) in constants {
        assembler.out.push_str(&format!("const {name} = {value};\n"));
    }
    assembler.file(shader, Line { file: shader, number: 0, text: "" })?;
    Ok(assembler.enabled + &assembler.out)
}

/// The same text with its `var<immediate>` in a uniform buffer of that binding of group 0, for adapters on which it does not fit into
/// immediates, or that have none.
pub fn in_uniform_buffer(text: &str, binding: u32) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len() + 32), text);
    while let Some(at) = rest.find("immediate") {
        let (before, after) = (rest[..at].trim_end(), rest[at + "immediate".len()..].trim_start());
        let var = before.strip_suffix('<').and_then(|b| b.trim_end().strip_suffix("var"));
        match (var, after.strip_prefix('>')) {
            (Some(var), Some(after)) => {
                out.push_str(&format!("{var}@group(0) @binding({binding}) var<uniform>"));
                rest = after;
            }
            _ => {
                out.push_str(&rest[..at + "immediate".len()]);
                rest = &rest[at + "immediate".len()..];
            }
        }
    }
    out + rest
}

/// A line and where it stands; number 0 is before the first.
#[derive(Clone, Copy)]
struct Line<'a> {
    file: &'a str,
    number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    /// The first word: a directive, or what a statement begins with.
    fn first(self) -> &'a str {
        self.text.split_whitespace().next().unwrap_or("")
    }
}

struct Assembler<'a> {
    own: &'a [(&'a str, &'a str)],
    shader: &'a str,
    names: BTreeMap<String, i64>,
    imported: Vec<String>,
    enabled: String,
    out: String,
}

impl<'a> Assembler<'a> {
    fn fail<T>(&self, line: Line, message: impl ToString) -> Result<T> {
        let file = if line.file == self.shader { String::new() } else { format!(", file {}", line.file) };
        let at =
            if line.number == 0 { String::new() } else { format!(", line {} '{}'", line.number, line.text.trim()) };
        Err(Error::invalid(format!("shader {}{file}{at}", self.shader), message))
    }

    /// Appends the file, unless that was done; `from` names it.
    fn file(&mut self, name: &'a str, from: Line<'a>) -> Result<()> {
        if self.imported.iter().any(|n| n == name) {
            return Ok(());
        }
        self.imported.push(name.to_string());
        let own: &'a [(&'a str, &'a str)] = self.own;
        let found: Vec<&'a str> = SOURCES.iter().chain(own).filter(|(n, _)| *n == name).map(|f| f.1).collect();
        match found[..] {
            [text] => {
                let line = |(i, text)| Line { file: name, number: i + 1, text };
                self.lines(&text.lines().enumerate().map(line).collect::<Vec<_>>())
            }
            [] => self.fail(from, format!("no '{name}' in shaders/, and none was given to the program")),
            _ => self.fail(from, format!("{} files have this name, '{name}', expected one", found.len())),
        }
    }

    fn lines(&mut self, lines: &[Line<'a>]) -> Result<()> {
        let mut i = 0;
        while i < lines.len() {
            let line = lines[i];
            let words: Vec<&'a str> = line.text.split_whitespace().collect();
            match words[..] {
                ["#import", path, ..] => self.file(path.trim_end_matches(".wgsl"), line)?,
                ["#if", ..] => {
                    let (otherwise, end) = self.ends(lines, i)?;
                    let condition = line.text.trim_start()["#if".len()..].split("//").next().unwrap_or("");
                    let taken = match (self.evaluate(condition, line)?, otherwise) {
                        (0, None) => end..end,
                        (0, Some(otherwise)) => otherwise + 1..end,
                        _ => i + 1..otherwise.unwrap_or(end),
                    };
                    self.lines(&lines[taken])?;
                    i = end;
                }
                ["#unroll", variable, from, to, ..] => {
                    let (_, end) = self.ends(lines, i)?;
                    self.unroll(variable, self.evaluate(from, line)?..self.evaluate(to, line)?, &lines[i + 1..end])?;
                    i = end;
                }
                [word, ..] if word.starts_with('#') => {
                    let known = "#import FILE, #if EXPRESSION, #unroll NAME FROM TO";
                    return self
                        .fail(line, format!("expected {known}, or the #else, #endif or #end of one that is open"));
                }
                ["enable", ..] => self.enabled.push_str(&format!("{}\n", line.text)),
                _ => self.plain(line, &words)?,
            }
            i += 1;
        }
        Ok(())
    }

    fn unroll(&mut self, variable: &str, over: Range<i64>, lines: &[Line<'a>]) -> Result<()> {
        let outer = self.names.get(variable).copied();
        for v in over {
            self.names.insert(variable.to_string(), v);
            self.lines(lines)?;
        }
        match outer {
            Some(v) => self.names.insert(variable.to_string(), v),
            None => self.names.remove(variable),
        };
        Ok(())
    }

    /// A line of WGSL.
    fn plain(&mut self, line: Line, words: &[&str]) -> Result<()> {
        let text = self.substitute(line)?;
        if let ["const", name, "=", ..] = words {
            let value = line.text.split_once('=').map_or("", |p| p.1);
            if let Some(v) = evaluate(value.split(';').next().unwrap_or(""), &self.names) {
                self.names.insert(name.to_string(), v);
            }
        }
        self.out.push_str(&text);
        self.out.push('\n');
        Ok(())
    }

    /// Where the block that begins at `start` has its `#else`, if it has one, and its end.
    fn ends(&self, lines: &[Line], start: usize) -> Result<(Option<usize>, usize)> {
        let mut open: Vec<(&str, Option<usize>)> = vec![]; // directive, place of its #else
        for (i, &line) in lines.iter().enumerate().skip(start) {
            match (line.first(), open.last_mut()) {
                (word @ ("#if" | "#unroll"), _) => open.push((word, None)),
                ("#else", Some(("#if", otherwise @ None))) => *otherwise = Some(i),
                ("#endif", Some(&mut ("#if", otherwise))) | ("#end", Some(&mut ("#unroll", otherwise))) => {
                    open.pop();
                    if open.is_empty() {
                        return Ok((otherwise, i));
                    }
                }
                ("#else" | "#endif" | "#end", Some((word, _))) => {
                    return self.fail(line, format!("an {word} is open, which has no use for it here"));
                }
                _ => {}
            }
        }
        let end = if lines[start].first() == "#if" { "#endif" } else { "#end" };
        self.fail(lines[start], format!("its {end} is missing"))
    }

    /// Replaces `$name` and `$(expression)`.
    fn substitute(&self, line: Line) -> Result<String> {
        let mut out = String::with_capacity(line.text.len());
        let mut rest = line.text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let length = if rest.starts_with('(') {
                let mut depth = 0;
                let close = rest.char_indices().find(|&(_, c)| {
                    depth += i32::from(c == '(') - i32::from(c == ')');
                    depth == 0
                });
                match close {
                    Some((i, _)) => i + 1,
                    None => return self.fail(line, "unbalanced $("),
                }
            } else {
                rest.find(|c| !in_word(c)).unwrap_or(rest.len())
            };
            out.push_str(&self.evaluate(&rest[..length], line)?.to_string());
            rest = &rest[length..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn evaluate(&self, text: &str, line: Line) -> Result<i64> {
        match evaluate(text, &self.names) {
            Some(value) => Ok(value),
            None => self.fail(line, format!("'{}' is not an integer expression of known names", text.trim())),
        }
    }
}
