//! The one table of measures: every name that a row uses is a column of it, and docs/FORMATS.md has exactly what it says.
use vorticity::measures::{MEASURES, find};
use vorticity::run::{Measure, Taken, VERDICT};

const FORMATS: &str = include_str!("../docs/FORMATS.md");

/// The rows of every table with this head, in the order of the file.
fn tables<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let mut found = vec![];
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == head {
            found.push(lines.by_ref().skip(1).take_while(|line| line.starts_with('|')).collect());
        }
    }
    found
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
}

/// As docs/FORMATS.md has the columns of a measure.
fn columns(measure: &dyn Measure) -> Vec<String> {
    let cells = |c: &vorticity::run::About, meaning: &str| {
        row(&[format!("`{}`", c.name), c.formula.into(), c.unit.into(), meaning.into()])
    };
    let own = measure.columns();
    let verdict = cells(&VERDICT, &format!("on `{}`", measure.info().headline));
    own.iter().map(|c| cells(c, c.meaning)).chain([verdict]).collect()
}

#[test]
fn the_formats_have_exactly_these_columns() {
    let found = tables(FORMATS, "| column | formula | unit | meaning |");
    assert_eq!(found.len(), MEASURES.len());
    for (own, found) in MEASURES.iter().zip(found) {
        let expected = columns(*own);
        assert!(expected == found, "docs/FORMATS.md, {own}: expected\n{}", expected.join("\n"));
    }
}

#[test]
fn the_formats_have_a_line_for_every_measure() {
    let expected: Vec<String> = MEASURES
        .iter()
        .map(|m| {
            let info = m.info();
            let axes = info.axes.iter().map(|a| a.name).collect::<Vec<_>>().join(", ");
            row(&[
                format!("`{}`", info.name),
                format!("`[{axes}]`"),
                format!("`{}`", info.headline),
                format!("`{}`", info.marked),
                info.source.into(),
            ])
        })
        .collect();
    let found = tables(FORMATS, "| measure | axes | is about | NaN where the field is not finite | source |");
    assert!(found == [expected.clone()], "docs/FORMATS.md: expected\n{}", expected.join("\n"));
}

#[test]
fn a_table_is_found_with_its_rows_and_no_more() {
    let text = "x\n| a |\n|---|\n| 1 |\n| 2 |\n\n| 3 |\n| a |\n|---|\n| 4 |\nend";
    assert_eq!(tables(text, "| a |"), [vec!["| 1 |", "| 2 |"], vec!["| 4 |"]]);
}

/// A row names columns in many places; one that is misspelled would be passed over in silence.
#[test]
fn every_name_is_a_column() {
    for measure in MEASURES {
        let (info, own) = (measure.info(), measure.columns());
        let mut names = vec![info.marked, info.headline];
        names.extend(
            info.rules.iter().flat_map(|r| r.statistics.iter().copied().chain(r.errors.iter().map(|e| e.name))),
        );
        names.extend(info.mean.map(|m| m.column));
        names.extend(info.shown.iter().map(|s| s.0));
        names.extend(info.figures.iter().map(|f| f.column));
        names.extend(info.matrices.map(|m| m.difference));
        for (name, taken) in info.compared {
            names.push(name);
            if let Taken::Pooled { size, square } = taken {
                names.extend([size, square]);
            }
        }
        for name in names {
            assert!(own.iter().any(|c| c.name == name), "{measure} has no column '{name}'");
        }
        assert_eq!(find(info.name).map(|m| m.name()), Some(info.name), "names are not repeated");
        for (i, c) in own.iter().enumerate() {
            assert!(own[..i].iter().all(|other| other.name != c.name), "{measure}: column {} twice", c.name);
        }
    }
    assert!(find("nonsense").is_none());
}

/// Every measure is a verb, and says in its help what it writes.
#[cfg(feature = "cli")]
#[test]
fn every_measure_is_a_verb() {
    for measure in MEASURES {
        let help = crate::cli::vorticity(&[measure.name(), "--help"]).output().unwrap();
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(help.status.success() && text.contains(&format!("OUT/{measure}.csv")), "{measure}: {text}");
    }
}
