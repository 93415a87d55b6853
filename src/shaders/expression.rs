//! Integer expressions of the assembler: `+ - * / %`, parentheses, `== <`, `! &&`, numbers and names. In: text and what
//! names stand for. Out: an integer; comparisons and logic give 1 or 0, and every number but 0 is true.
use std::collections::BTreeMap;

/// The value, or none if the text is no expression of known names, divides by zero or leaves 64 bits.
pub(super) fn evaluate(text: &str, names: &BTreeMap<String, i64>) -> Option<i64> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, at: 0, names };
    let value = reader.all()?;
    (reader.at == tokens.len()).then_some(value)
}

/// Characters of names and numbers.
pub(super) fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn tokens(text: &str) -> Option<Vec<&str>> {
    let mut found = vec![];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            c if in_word(c) => rest.find(|c| !in_word(c)).unwrap_or(rest.len()),
            '=' | '&' if rest[1..].starts_with(first) => 2,
            '+' | '-' | '*' | '/' | '%' | '(' | ')' | '<' | '!' => 1,
            _ => return None,
        };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    Some(found)
}

/// Reads by descent, what binds loosest first.
struct Reader<'a> {
    tokens: &'a [&'a str],
    at: usize,
    names: &'a BTreeMap<String, i64>,
}

impl Reader<'_> {
    /// Steps over the next token if it is one of these.
    fn next_of<'t>(&mut self, wanted: &[&'t str]) -> Option<&'t str> {
        let found = wanted.iter().find(|w| self.tokens.get(self.at) == Some(w))?;
        self.at += 1;
        Some(found)
    }

    fn all(&mut self) -> Option<i64> {
        let mut value = self.comparison()?;
        while self.next_of(&["&&"]).is_some() {
            let right = self.comparison()?;
            value = i64::from(value != 0 && right != 0);
        }
        Some(value)
    }

    fn comparison(&mut self) -> Option<i64> {
        let left = self.sum()?;
        Some(match self.next_of(&["==", "<"]) {
            Some("==") => i64::from(left == self.sum()?),
            Some(_) => i64::from(left < self.sum()?),
            None => left,
        })
    }

    fn sum(&mut self) -> Option<i64> {
        let mut value = self.product()?;
        while let Some(op) = self.next_of(&["+", "-"]) {
            let right = self.product()?;
            value = if op == "+" { value.checked_add(right)? } else { value.checked_sub(right)? };
        }
        Some(value)
    }

    fn product(&mut self) -> Option<i64> {
        let mut value = self.atom()?;
        while let Some(op) = self.next_of(&["*", "/", "%"]) {
            let right = self.atom()?;
            value = match op {
                "*" => value.checked_mul(right)?,
                "/" => value.checked_div(right)?,
                _ => value.checked_rem(right)?,
            };
        }
        Some(value)
    }

    fn atom(&mut self) -> Option<i64> {
        match self.next_of(&["(", "!"]) {
            Some("!") => Some(i64::from(self.atom()? == 0)),
            Some(_) => {
                let value = self.all()?;
                self.next_of(&[")"])?;
                Some(value)
            }
            None => {
                let token = *self.tokens.get(self.at)?;
                self.at += 1;
                token.parse().ok().or_else(|| self.names.get(token).copied())
            }
        }
    }
}
