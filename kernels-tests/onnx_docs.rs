//! docs/ONNX.md has exactly the types and operators that the code has.
use vorticity::onnx::{ELEMENTS, OPERATORS, OPSETS, REFUSED, refusal};

const PAGE: &str = include_str!("../docs/ONNX.md");

/// The rows below this head.
fn table(head: &str) -> Vec<&'static str> {
    let mut lines = PAGE.lines().skip_while(|line| *line != head);
    assert_eq!(lines.next(), Some(head));
    lines.skip(1).take_while(|line| line.starts_with('|')).collect()
}

fn expect(head: &str, expected: Vec<String>) {
    assert!(table(head) == expected, "docs/ONNX.md, below {head}: expected\n{}", expected.join("\n"));
}

#[test]
fn the_page_has_exactly_these_operators() {
    let mut all: Vec<_> = OPERATORS.iter().flat_map(|table| table.iter()).collect();
    all.sort_by_key(|o| o.name);
    let row = |o: &&vorticity::onnx::Operator| {
        let attributes: Vec<String> = o.attributes.iter().map(|a| format!("`{a}`")).collect();
        format!("| `{}` | {} | {} |", o.name, attributes.join(", "), refusal(o.name).unwrap_or("works"))
    };
    let rows: Vec<String> = all.iter().map(row).collect();
    let works = rows.iter().filter(|row| row.ends_with("| works |")).count();
    assert!(works > 90, "{works} operators of x");
    expect("| operator | attributes | of something that depends on x |", rows);
}

#[test]
fn the_page_has_exactly_these_refusals() {
    let rows = REFUSED.iter().map(|(name, why)| format!("| `{name}` | {why} |")).collect();
    expect("| operator | why |", rows);
}

#[test]
fn the_page_has_exactly_these_types_and_versions() {
    let row = |(_, name, element, _): &(i32, &str, Option<vorticity::onnx::Element>, u64)| {
        format!("| {name} | {} |", if element.is_some() { "read" } else { "refused" })
    };
    expect("| type | as a constant or input |", ELEMENTS.iter().map(row).collect());
    let versions = format!("| opsets | {} to {} of the default domain |", OPSETS.start(), OPSETS.end());
    assert!(PAGE.contains(&versions), "docs/ONNX.md: expected {versions}");
}
