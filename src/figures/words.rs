//! Formulas and units as they are written. In: those of columns and measures, in plain letters. Out: parts on and below the line.

/// A formula in parts: what stands on the line, and the index after it. Only letters that stand alone have an index (J_ab).
pub fn indices(text: &str) -> Vec<(&str, &str)> {
    let mut parts = vec![];
    let (mut rest, mut from) = (text, 0);
    while let Some(at) = rest[from..].find('_').map(|i| i + from) {
        let mut before = rest[..at].chars().rev();
        let alone = before.next().is_some_and(char::is_alphabetic) && !before.next().is_some_and(char::is_alphanumeric);
        let index = &rest[at + 1..];
        let length = index.find(|c: char| !c.is_alphanumeric()).unwrap_or(index.len());
        if alone && length > 0 {
            parts.push((&rest[..at], &index[..length]));
            (rest, from) = (&index[length..], 0);
        } else {
            from = at + 1;
        }
    }
    parts.push((rest, ""));
    parts
}

/// The same as parts of a line of words.
pub fn parts(text: &str) -> Vec<(String, bool)> {
    // Several spaces are one in SVG.
    let each = |(line, index): (&str, &str)| [(line.replace("  ", " "), false), (index.to_string(), true)];
    indices(text).into_iter().flat_map(each).filter(|part| !part.0.is_empty()).collect()
}

/// A unit as it is written: nat/x² for nat/x^2, nothing for pure numbers.
pub fn unit(unit: &str) -> String {
    if unit == "1" { String::new() } else { unit.replace("^2", "²").replace("^4", "⁴") }
}
