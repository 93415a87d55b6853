//! Figures for papers: every measure draws in every format, text and lines can be read in print, runs are told apart without colour,
//! panels share a scale only where it hides nothing, pooled boxes are of all samples.
use crate::cli::{text, vorticity};
use crate::page::{numbers, table, written};
use crate::run::example;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;
use vorticity::figures::asked::{self, Asked, Kind, MOST};
use vorticity::figures::runs::{self, Column, Run};
use vorticity::figures::sheet::{self, Paper};
use vorticity::figures::{Content, Theme, font, pdf, png, svg};
use vorticity::measures::{MEASURES, find};
use vorticity::run::Table;
use vorticity::summary::{BoxStats, Results};

const COLUMN: Paper = Paper { width: 234.0, height: None, title: true };

/// Runs of tables, named a, b, ..
fn drawn<T>(tables: &[&Table], of: impl FnOnce(&[Run]) -> T) -> T {
    let results: Vec<Results> = tables.iter().map(|t| Results::of(t).unwrap()).collect();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let run = |(colour, (table, results))| Run { name: names[colour], colour, table, results };
    of(&tables.iter().copied().zip(&results).enumerate().map(run).collect::<Vec<Run>>())
}

fn as_svg(tables: &[&Table], asked: &Asked, paper: &Paper) -> String {
    drawn(tables, |runs| svg::write(&asked::draw(runs, asked, paper).unwrap().drawing, Theme::Paper).unwrap())
}

/// The numbers of an attribute, wherever it stands.
fn attributes(svg: &str, name: &str) -> Vec<f64> {
    let start = format!("{name}=\"");
    svg.match_indices(&start)
        .map(|(i, s)| svg[i + s.len()..].split('"').next().unwrap().trim_end_matches("pt").parse().unwrap())
        .collect()
}

#[test]
fn every_column_of_every_measure_is_drawn_legibly() {
    for measure in MEASURES {
        let table =
            if measure.name() == "circulation" { example().table().unwrap() } else { table(measure.name(), numbers) };
        let mut asked: Vec<Asked> = vec![Asked::default(), Asked { pooled: true, ..Asked::default() }];
        let results = Results::of(&table).unwrap();
        let column = |s: &vorticity::summary::results::Statistic| Asked {
            column: Some(s.about.name.into()),
            ..Asked::default()
        };
        asked.extend(results.statistics.iter().map(column));
        if measure.info().matrices.is_some() {
            asked.push(Asked { kind: Some(Kind::Histograms), ..Asked::default() });
        }
        if measure.info().pictures.is_some() {
            asked.push(Asked { kind: Some(Kind::Pictures), ..Asked::default() });
        }
        for asked in asked {
            let text = as_svg(&[&table], &asked, &COLUMN);
            let sizes: Vec<f64> = text.split("<text ").skip(1).map(|t| attributes(t, "font-size")[0]).collect();
            assert!(!sizes.is_empty() && sizes.iter().all(|s| *s >= 7.0), "{measure} {asked:?}: {sizes:?}");
            let lines = attributes(&text, "stroke-width");
            assert!(!lines.is_empty() && lines.iter().all(|w| *w >= 0.5), "{measure} {asked:?}: {lines:?}");
            assert_eq!(attributes(&text, " width")[0], 234.0);
            assert!(!text.contains("NaN") && !text.contains("var(") && !text.contains("class="), "{measure} {asked:?}");
        }
    }
}

/// What figures say of measures can be written in the font that PDF and PNG have.
#[test]
fn the_font_has_every_letter_of_ours() {
    for measure in MEASURES {
        let info = measure.info();
        let figures = info.figures.iter().flat_map(|f| [f.title, f.label, f.column]);
        let columns = measure.columns();
        let columns = columns.iter().flat_map(|c| [c.name, c.unit, c.meaning]);
        for text in figures.chain(columns).chain([info.title]).chain(info.mean.map(|m| m.name)) {
            assert!(font::glyphs(text).is_ok(), "{measure}: {text}");
        }
    }
    for text in ["10⁻³ 2×10⁴ ∮ ∂ₐsᵦ σ²λ |Γ| − ± äöüéčłñ Журнал", "0123456789"] {
        assert!(font::glyphs(text).is_ok(), "{text}");
    }
    assert!(font::glyphs("図").unwrap_err().to_string().contains("the character '図' is not in the font"));
    assert!(
        font::width("m", 10.0) > 1.5 * font::width("i", 10.0) && font::width("m", 20.0) == 2.0 * font::width("m", 10.0)
    );
}

#[test]
fn files_are_of_the_size_that_is_asked() {
    let table = table("asymmetry", numbers);
    let paper = Paper { height: Some(180.0), ..COLUMN };
    drawn(&[&table, &table], |runs| {
        let drawing = asked::draw(runs, &Asked::default(), &paper).unwrap().drawing;
        assert_eq!(drawing.size, (234.0, 180.0));
        let bytes = pdf::write(&drawing, "A (title)").unwrap();
        let words = String::from_utf8_lossy(&bytes);
        for part in ["%PDF-1.7", "/MediaBox [0 0 234 180]", "/FontFile2", "/ToUnicode", "%%EOF"] {
            assert!(words.contains(part), "{part}");
        }
        assert!(!words.contains("CreationDate") && bytes == pdf::write(&drawing, "A (title)").unwrap());
        let decoder = ::png::Decoder::new(std::io::Cursor::new(png::write(&drawing, 300.0).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let dims = reader.info().pixel_dims.unwrap();
        assert_eq!((reader.info().width, reader.info().height, dims.xppu), (975, 750, 11811));
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let dark = pixels.chunks_exact(3).filter(|p| p.iter().all(|c| *c < 80)).count();
        assert!(dark > 2000 && pixels[..3] == [255; 3], "words and axes: {dark}");
        for (paper, words) in
            [(Paper { width: 20.0, ..COLUMN }, "width"), (Paper { height: Some(40.0), ..COLUMN }, "height")]
        {
            assert!(asked::draw(runs, &Asked::default(), &paper).err().unwrap().to_string().contains(words));
        }
    });
}

#[test]
fn runs_are_told_apart_without_colour() {
    let table = table("asymmetry", numbers);
    let boxes = Asked { kind: Some(Kind::Boxes), ..Asked::default() };
    let alone = as_svg(&[&table], &boxes, &COLUMN);
    let both = as_svg(&[&table, &table], &boxes, &COLUMN);
    // Without colours the second run's marks are others than the first one's: squares in place of circles, and hatching.
    let circles = |text: &str| text.matches("<circle").count();
    assert!(circles(&both) > circles(&alone) && both.contains(">a</text>") && both.contains(">b</text>"));
    assert!(!alone.contains(">a</text>"), "a single run needs no name");
    assert!(both.matches("stroke=\"#d55e00\" stroke-width=\"0.5\"").count() >= 3, "hatching");
    assert!(!both.contains("stroke=\"#0072b2\" stroke-width=\"0.5\""), "the first run is plain");
    let seven = [&table; MOST + 1];
    let error = drawn(&seven, |runs| asked::draw(runs, &boxes, &COLUMN).err().unwrap().to_string());
    assert!(error.contains("7 runs, at most 6 can be told apart"), "{error}");
}

#[test]
fn panels_share_a_scale_unless_it_hides_one() {
    let said = "every panel has a scale of its own";
    let figure = |factor: f64| {
        let mut data = example();
        let integral = data.columns.iter_mut().find(|c| c.name == "integral").unwrap();
        let half = integral.values.len() / 2;
        integral.values = (0..2 * half).map(|i| if i < half { 1.0 } else { factor }).collect();
        let table = data.table().unwrap();
        as_svg(&[&table], &Asked::default(), &COLUMN)
    };
    assert!(!figure(50.0).contains(said) && figure(500.0).contains(said));
}

/// The box of a path has all its samples at all timesteps that are asked for, and its largest error.
#[test]
fn pooled_boxes_are_of_all_samples() {
    let table = example().table().unwrap();
    drawn(&[&table], |runs| {
        let (results, all) = (runs[0].results, runs::timesteps(runs));
        let statistic = results.statistic("abs_integral").unwrap();
        let column = Column::named(results.measure, statistic);
        for ks in [&all[..], &all[..1]] {
            let figure = runs::pooled(runs, &column, &runs::paths(runs), ks);
            let Content::Boxes(boxes) = &figure.panels[0].content else { panic!("boxes") };
            assert_eq!(boxes.places, results.paths);
            for (path, cell) in boxes.series[0].cells.iter().enumerate() {
                let places = (0..ks.len()).map(|t| path * results.places() + t);
                let values: Vec<f64> = places.flat_map(|p| statistic.at(p).to_vec()).collect();
                let cell = cell.as_ref().unwrap();
                assert_eq!(cell.stats, BoxStats::of(&values));
                assert_eq!(cell.errors.len(), statistic.errors.len());
            }
        }
    });
}

#[test]
fn only_what_runs_have_is_drawn() {
    let [curl, likelihood] = ["curl", "likelihood"].map(|m| table(m, numbers));
    let circulation = example().table().unwrap();
    let kind = |kind| Asked { kind: Some(kind), ..Asked::default() };
    for (table, asked, words) in [
        (&circulation, kind(Kind::Histograms), "histograms are of Jacobians"),
        (&circulation, kind(Kind::Means), "circulation has no mean"),
        (&circulation, kind(Kind::Samples), "circulation has timesteps"),
        (&curl, kind(Kind::Pictures), "this measure keeps no pictures"),
        (&likelihood, kind(Kind::Boxes), "of which there are none"),
        (
            &curl,
            Asked { timesteps: Some(vec![1, 2]), ..Asked::default() },
            "2 is in none of the runs, they have 1, 11, 991",
        ),
        (&curl, Asked { pooled: true, ..kind(Kind::Histograms) }, "pooled: is of boxes, not of histograms"),
        (&curl, Asked { column: Some("asymmetry".into()), ..kind(Kind::Histograms) }, "histograms are not of a column"),
        (&circulation, Asked { paths: vec!["x".into()], ..Asked::default() }, "'x' is not in the runs, they have"),
    ] {
        let error = drawn(&[table], |runs| asked::draw(runs, &asked, &COLUMN).err().unwrap());
        assert!(error.exit_code() == 2 && error.to_string().contains(words), "{error}");
    }
    // A path by its name alone; timesteps as they are asked for.
    let some = Asked { paths: vec!["rotation".into()], timesteps: Some(vec![1]), ..Asked::default() };
    let text = as_svg(&[&circulation], &some, &COLUMN);
    assert!(text.contains(">rotation</text>") && !text.contains(">991</text>"));
}

#[test]
fn the_verb_writes_what_the_ending_says() {
    let scratch = TempDir::new().unwrap();
    let dir = written(&scratch.path().join("a"), &table("stein", numbers), json!({}));
    for (ending, start) in [("svg", &b"<svg "[..]), ("pdf", b"%PDF-"), ("png", b"\x89PNG")] {
        let out = scratch.path().join(format!("figure.{ending}"));
        let printed =
            vorticity(&["plot", text(&dir), "--out", text(&out), "--width", "8cm", "--json"]).output().unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let document: Value = serde_json::from_slice(&printed.stdout).unwrap();
        assert!(fs::read(&out).unwrap().starts_with(start));
        assert_eq!(
            (&document["verb"], &document["kind"], &document["runs"]),
            (&"plot".into(), &"means".into(), &json!(["a"]))
        );
        assert!((document["width"].as_f64().unwrap() - 226.77).abs() < 0.01, "{document}");
    }
    let out = scratch.path().join("two.svg");
    let same = ["plot", text(&dir), text(&dir), "--out", text(&out), "--no-title", "--column", "error_norm"];
    assert!(vorticity(&same).output().unwrap().status.success());
    let drawn = fs::read_to_string(&out).unwrap();
    assert!(drawn.contains(">a (2)</text>") && !drawn.contains("Error field of the learned score</text>"));
}

/// The widest sheet has its panels beside each other, a column has them below each other.
#[test]
fn panels_stand_as_there_is_room() {
    let table = example().table().unwrap();
    let size = |width: f64| {
        drawn(&[&table], |runs| {
            let column = Column::of(&find("circulation").unwrap().info().figures[0]);
            let figure = runs::over_timesteps(runs, &column, &runs::paths(runs), &runs::timesteps(runs));
            sheet::draw(&figure, &Paper { width, ..COLUMN }).unwrap().size.1
        })
    };
    assert!(size(234.0) > 1.5 * size(486.0), "{} {}", size(234.0), size(486.0));
}

/// A point is hollow where it is not resolved, and where one of its errors was not measured, however small the others.
#[test]
fn points_say_what_is_not_checked() {
    let figure = |error: f64| {
        let own = |name: &str, i: usize| match name {
            "denoiser" => 1.0,
            "denoiser_residual" => error,
            _ => numbers(name, i),
        };
        let asked = Asked { column: Some("denoiser".into()), ..Asked::default() };
        as_svg(&[&table("spectrum", own)], &asked, &COLUMN)
    };
    let said = |text: &str| ["hollow: not resolved", "hollow: not checked"].map(|words| text.contains(words));
    assert_eq!(
        [figure(1e-9), figure(1e9), figure(f64::NAN)].map(|t| said(&t)),
        [[false; 2], [true, false], [false, true]]
    );
}
