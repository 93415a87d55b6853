//! Shader sources, embedded, and the assembler that makes plain WGSL of them. It knows `#import`, `#unroll` and named
//! integer constants, and nothing else. In: a file of `shaders/` and constants. Out: WGSL text.
use crate::error::{Error, Result};
use std::collections::BTreeMap;

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        /// Every file of `shaders/`, by its path there without `.wgsl`.
        pub const SOURCES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../shaders/", $name, ".wgsl")))),*];
    };
}
sources![
    "add",
    "add_row",
    "affine",
    "ceiling_copy",
    "ceiling_gemm",
    "ceiling_multiply_add",
    "circulation",
    "conv",
    "conv_cc",
    "conv_coop",
    "depthwise",
    "depthwise_cc",
    "field_funnel",
    "field_linear",
    "field_mixture",
    "group_norm",
    "input",
    "lib/activation",
    "lib/conv",
    "lib/conv_ended",
    "lib/conv_ends_cc",
    "lib/conv_load",
    "lib/conv_store",
    "lib/cpu",
    "lib/elementwise",
    "lib/exp",
    "lib/grid",
    "lib/heads",
    "lib/image",
    "lib/lane",
    "lib/ln",
    "lib/norm",
    "lib/normal",
    "lib/part",
    "lib/path",
    "lib/philox",
    "lib/portable",
    "lib/reduce",
    "lib/second",
    "lib/silu",
    "lib/weights",
    "mix",
    "norm_coefficients",
    "norm_sums",
    "outer",
    "output",
    "path_brownian",
    "path_polyline",
    "path_projection",
    "path_rotation",
    "pointwise",
    "repack",
    "resample",
    "rms_norm",
    "rows",
    "score",
    "scores",
    "silu",
    "softmax",
    "softmax_pixels",
    "upsample",
    "winograd_in",
    "winograd_out",
    "window_max",
];

/// The WGSL of `shader`: imports once each, then the constants' values in place, loops of `#unroll` written out; lines that
/// `enable` extensions come first, as WGSL has it.
///
/// `#unroll i A B` repeats the lines up to its `#end` for i = A..B (half-open); inside, `$i` and `$(expression)` stand
/// for integers. Expressions know + - * / %, parentheses, loop variables, the given constants, and `const NAME = ..;`
/// lines of the file that are integer expressions.
pub fn assemble(shader: &str, constants: &[(&'static str, i64)]) -> Result<String> {
    assemble_with(shader, constants, &[])
}

/// `assemble`, knowing files that are not in `shaders/`: (name, text) each.
pub fn assemble_with(shader: &str, constants: &[(&'static str, i64)], own: &[(&str, &str)]) -> Result<String> {
    let mut assembler = Assembler {
        own,
        shader: shader.to_string(),
        names: constants.iter().map(|&(n, v)| (n.to_string(), v)).collect(),
        imported: vec![],
        enabled: String::new(),
        out: String::new(),
    };
    for (name, value) in constants {
        assembler.out.push_str(&format!("const {name} = {value};\n"));
    }
    assembler.file(shader)?;
    Ok(assembler.enabled + &assembler.out)
}

struct Assembler<'a> {
    own: &'a [(&'a str, &'a str)],
    shader: String,
    names: BTreeMap<String, i64>,
    imported: Vec<String>,
    enabled: String,
    out: String,
}

impl Assembler<'_> {
    fn fail<T>(&self, line: &str, message: impl ToString) -> Result<T> {
        Err(Error::invalid(format!("shader {}, line '{}'", self.shader, line.trim()), message))
    }

    fn file(&mut self, name: &str) -> Result<()> {
        if self.imported.iter().any(|n| n == name) {
            return Ok(());
        }
        self.imported.push(name.to_string());
        let found: Vec<&str> = SOURCES.iter().chain(self.own).filter(|(n, _)| *n == name).map(|f| f.1).collect();
        match found[..] {
            [text] => self.lines(&text.lines().collect::<Vec<_>>()),
            [] => self.fail(name, "no such file in shaders/, and none of that name was given to the program"),
            _ => self.fail(name, format!("{} files have this name, expected one", found.len())),
        }
    }

    fn lines(&mut self, lines: &[&str]) -> Result<()> {
        let mut i = 0;
        while i < lines.len() {
            let line = lines[i];
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["#import", path, ..] => self.file(path.trim_end_matches(".wgsl"))?,
                ["#unroll", variable, from, to, ..] => {
                    let end = self.matching_end(lines, i)?;
                    let (from, to) = (self.evaluate(from, line)?, self.evaluate(to, line)?);
                    let outer = self.names.get(variable).copied();
                    for v in from..to {
                        self.names.insert(variable.to_string(), v);
                        self.lines(&lines[i + 1..end])?;
                    }
                    match outer {
                        Some(v) => self.names.insert(variable.to_string(), v),
                        None => self.names.remove(variable),
                    };
                    i = end;
                }
                ["enable", ..] => self.enabled.push_str(&format!("{line}\n")),
                _ => {
                    let text = self.substitute(line)?;
                    if let ["const", name, "=", ..] = words[..] {
                        let value = line.split_once('=').map_or("", |p| p.1).trim();
                        if let Ok(v) = self.evaluate(value.split(';').next().unwrap_or(""), line) {
                            self.names.insert(name.to_string(), v);
                        }
                    }
                    self.out.push_str(&text);
                    self.out.push('\n');
                }
            }
            i += 1;
        }
        Ok(())
    }

    fn matching_end(&self, lines: &[&str], start: usize) -> Result<usize> {
        let mut depth = 0;
        for (i, line) in lines.iter().enumerate().skip(start) {
            match line.split_whitespace().next() {
                Some("#unroll") => depth += 1,
                Some("#end") => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(i);
            }
        }
        self.fail(lines[start], "#unroll without #end")
    }

    /// Replaces `$name` and `$(expression)` outside comments.
    fn substitute(&self, line: &str) -> Result<String> {
        if !line.contains('$') {
            return Ok(line.to_string());
        }
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
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
                rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())
            };
            out.push_str(&self.evaluate(&rest[..length], line)?.to_string());
            rest = &rest[length..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn evaluate(&self, text: &str, line: &str) -> Result<i64> {
        let mut tokens: Vec<String> = Vec::new();
        for c in text.chars().filter(|c| !c.is_whitespace()) {
            match tokens.last_mut() {
                Some(last) if c.is_ascii_alphanumeric() && last.ends_with(|l: char| l.is_ascii_alphanumeric()) => {
                    last.push(c)
                }
                _ => tokens.push(c.to_string()),
            }
        }
        let mut at = 0;
        match self.sum(&tokens, &mut at) {
            Some(v) if at == tokens.len() => Ok(v),
            _ => self.fail(line, format!("'{text}' is not an integer expression of known names")),
        }
    }

    fn sum(&self, tokens: &[String], at: &mut usize) -> Option<i64> {
        let mut value = self.product(tokens, at)?;
        while let Some(op @ ("+" | "-")) = tokens.get(*at).map(String::as_str) {
            *at += 1;
            let right = self.product(tokens, at)?;
            value = if op == "+" { value.checked_add(right)? } else { value.checked_sub(right)? };
        }
        Some(value)
    }

    fn product(&self, tokens: &[String], at: &mut usize) -> Option<i64> {
        let mut value = self.atom(tokens, at)?;
        while let Some(op @ ("*" | "/" | "%")) = tokens.get(*at).map(String::as_str) {
            *at += 1;
            let right = self.atom(tokens, at)?;
            value = match op {
                "*" => value.checked_mul(right)?,
                "/" => value.checked_div(right)?,
                _ => value.checked_rem(right)?,
            };
        }
        Some(value)
    }

    fn atom(&self, tokens: &[String], at: &mut usize) -> Option<i64> {
        let token = tokens.get(*at)?;
        *at += 1;
        if token == "(" {
            let value = self.sum(tokens, at)?;
            *at += 1;
            return (tokens.get(*at - 1)? == ")").then_some(value);
        }
        token.parse().ok().or_else(|| self.names.get(token).copied())
    }
}
