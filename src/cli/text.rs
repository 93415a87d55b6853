//! Text of the verbs: aligned tables, byte counts, and printing that survives a closed pipe.
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};

/// Writes to standard output. A reader that went away (`| head`) is no error.
pub fn show(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::file("standard output", e)),
        _ => Ok(()),
    }
}

/// The arguments, for logs. What is no Unicode text, as a path may be, has its bytes as `\xFF`.
pub fn command_line(arguments: &[OsString]) -> Vec<String> {
    let shown = |argument: &OsString| {
        argument.clone().into_string().unwrap_or_else(|raw| {
            let quoted = format!("{raw:?}");
            quoted[1..quoted.len() - 1].to_string()
        })
    };
    arguments.iter().map(shown).collect()
}

/// Rows under their headings in columns as wide as needed, two spaces apart; columns marked true are aligned right.
pub fn table<const N: usize>(headings: [(&str, bool); N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|r| r[column].chars().count());
        cells.chain([headings[column].0.chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let mut out = String::new();
        for ((cell, width), (_, right)) in cells.into_iter().zip(widths).zip(headings) {
            let padded = if right { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            out.push_str(&padded);
        }
        format!("{}\n", out.trim_end())
    };
    let mut out = line(headings.map(|h| h.0));
    for row in rows {
        out.push_str(&line(row.each_ref().map(String::as_str)));
    }
    out
}

/// A count with a thousands separator: 1234567 as 1,234,567.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Seconds in the two largest units that they have, rounded.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64; // saturates
    let units = [("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)];
    match units.iter().find(|u| whole >= u.1) {
        Some(&(large, unit, small, part)) => format!("{} {large} {} {small}", whole / unit, whole % unit / part),
        None => format!("{seconds:.1} s"),
    }
}
