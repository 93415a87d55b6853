//! Which input of a file is what. In: a file, and what somebody says of it. Out: the names of x, the label and the output, and
//! what is left, which are conditions. What nobody says is guessed where one answer fits, and the guess says why; else it is asked for.
use super::file::{File, Port};
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// What somebody says of a file's inputs and outputs.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The input that derivatives are taken by.
    pub x: Option<String>,
    /// The input that is told the label.
    pub label: Option<String>,
    /// The output that is meant.
    pub output: Option<String>,
    /// Inputs that are conditions.
    pub conditions: BTreeSet<String>,
}

/// What an input or output was taken for without anybody saying so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// x, label or output.
    pub what: &'static str,
    /// Why.
    pub why: String,
}

/// The inputs of a file, told apart.
#[derive(Clone, Debug)]
pub struct Found {
    /// The input that derivatives are taken by.
    pub x: Port,
    /// The input that is told the label; a network may have none.
    pub label: Option<Port>,
    /// The output that is meant.
    pub output: Port,
    /// Every other input: a condition.
    pub conditions: Vec<Port>,
    /// What nobody said.
    pub guesses: Vec<Guess>,
}

/// Names that say of an input of one number that it is the label.
const LABELS: [&str; 5] = ["time", "sigma", "noise", "step", "label"];

/// Tells the inputs of a file apart.
///
/// # Errors
/// A name that the file does not have; what has several answers, or none.
pub fn found(file: &File, named: &Named) -> Result<Found> {
    let mut guesses = vec![];
    for name in &named.conditions {
        port(&file.inputs, "condition", name)?;
    }
    let said = |name: &Option<String>, what| name.as_ref().map(|name| port(&file.inputs, what, name)).transpose();
    let label = said(&named.label, "label")?;
    let free = |p: &&Port| !named.conditions.contains(&p.name) && named.label.as_ref() != Some(&p.name);
    let x = match said(&named.x, "x")? {
        Some(x) => x,
        None => guessed_x(file, &file.inputs.iter().filter(free).collect::<Vec<_>>(), &mut guesses)?,
    };
    let rest: Vec<&Port> = file.inputs.iter().filter(free).filter(|p| p.name != x.name).collect();
    let label = match label {
        Some(label) => Some(label),
        None => guessed_label(&rest, &mut guesses)?,
    };
    let output = match &named.output {
        Some(name) => port(&file.outputs, "output", name)?,
        None => guessed_output(file, &x, &mut guesses)?,
    };
    let conditions =
        file.inputs.iter().filter(|p| p.name != x.name && label.as_ref().is_none_or(|l| l.name != p.name)).cloned();
    Ok(Found { conditions: conditions.collect(), x, label, output, guesses })
}

impl Port {
    /// Type and shape, as messages have them.
    pub fn describe(&self) -> String {
        let element = self.element.map_or("numbers", |e| e.name());
        let size = |s: &std::result::Result<usize, String>| match s {
            Ok(n) => n.to_string(),
            Err(name) if name.is_empty() => "?".into(),
            Err(name) => name.clone(),
        };
        match &self.shape {
            Some(shape) => format!("{element} [{}]", shape.iter().map(size).collect::<Vec<_>>().join(", ")),
            None => element.into(),
        }
    }

    /// Whether it takes one number: every axis is 1, but for a batch that is open.
    pub fn is_single(&self) -> bool {
        let one = |(i, size): (usize, &std::result::Result<usize, String>)| match size {
            Ok(n) => *n == 1,
            Err(_) => i == 0,
        };
        self.shape.as_ref().is_some_and(|shape| shape.iter().enumerate().all(one))
    }

    /// Whether two shapes may be the same beyond the axes of batch and channels.
    fn is_like(&self, other: &Port) -> bool {
        let (Some(a), Some(b)) = (&self.shape, &other.shape) else { return false };
        let fits = |(a, b): (&std::result::Result<usize, String>, &std::result::Result<usize, String>)| match (a, b) {
            (Ok(a), Ok(b)) => a == b,
            _ => true,
        };
        a.len() == b.len() && a.iter().zip(b).skip(2).all(fits)
    }
}

fn port(ports: &[Port], what: &str, name: &str) -> Result<Port> {
    ports.iter().find(|p| p.name == name).cloned().ok_or_else(|| {
        let place = format!("{what} '{name}'");
        Error::invalid(place, format!("is not there; the file has {}", listed(ports.iter())))
    })
}

/// Names with types and shapes.
fn listed<'a>(ports: impl Iterator<Item = &'a Port>) -> String {
    ports.map(|p| format!("'{}' {}", p.name, p.describe())).collect::<Vec<_>>().join(", ")
}

fn guessed_x(file: &File, free: &[&Port], guesses: &mut Vec<Guess>) -> Result<Port> {
    let many: Vec<&Port> =
        free.iter().copied().filter(|p| p.element.is_none_or(|e| e.is_float()) && !p.is_single()).collect();
    let like: Vec<&Port> = many.iter().copied().filter(|p| file.outputs.iter().any(|o| p.is_like(o))).collect();
    let (x, why) = match (&many[..], &like[..]) {
        ([x], _) => (*x, "the only input of several real numbers"),
        (_, [x]) => (*x, "the only input of the output's shape"),
        _ => {
            let message =
                format!("is not said, and it is not plain which it is: the file has {}", listed(file.inputs.iter()));
            return Err(Error::invalid("x", format!("{message}: say x = \"NAME\" in the file's .toml, or --x NAME")));
        }
    };
    guesses.push(Guess { what: "x", why: why.into() });
    Ok(x.clone())
}

fn guessed_label(rest: &[&Port], guesses: &mut Vec<Guess>) -> Result<Option<Port>> {
    let singles: Vec<&Port> = rest.iter().copied().filter(|p| p.is_single()).collect();
    let by_name: Vec<&Port> = singles
        .iter()
        .copied()
        .filter(|p| p.name == "t" || LABELS.iter().any(|word| p.name.to_lowercase().contains(word)))
        .collect();
    let (label, why) = match (&singles[..], &by_name[..]) {
        ([], _) => return Ok(None),
        ([label], _) => (*label, "the only other input of one number"),
        (_, [label]) => (*label, "by its name"),
        _ => {
            let message = format!("is not said, and it is not plain which it is of {}", listed(singles.into_iter()));
            let ask = "say label = \"NAME\" in the file's .toml, or --label NAME";
            return Err(Error::invalid("label", format!("{message}: {ask}")));
        }
    };
    guesses.push(Guess { what: "label", why: why.into() });
    Ok(Some(label.clone()))
}

fn guessed_output(file: &File, x: &Port, guesses: &mut Vec<Guess>) -> Result<Port> {
    if let [output] = &file.outputs[..] {
        return Ok(output.clone());
    }
    let like: Vec<&Port> = file.outputs.iter().filter(|o| o.is_like(x)).collect();
    let [output] = like[..] else {
        let message = format!("is not said, and it is not plain which it is of {}", listed(file.outputs.iter()));
        return Err(Error::invalid(
            "output",
            format!("{message}: say output = \"NAME\" in the file's .toml, or --output NAME"),
        ));
    };
    guesses.push(Guess { what: "output", why: "the only one of x's shape".into() });
    Ok(output.clone())
}
