//! The HTML page and the reading of run directories: what was written is read and shown, hostile files are refused or
//! escaped, and nothing on the page points elsewhere.
use crate::run::example;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vorticity::cli::{output::Output, report};
use vorticity::measures::{MEASURES, find};
use vorticity::paths::philox::{Purpose, Stream};
use vorticity::report::page::{Picture, html};
use vorticity::report::stored::{Stored, read};
use vorticity::run::{
    Array, Axis, END, Labels, Numbers, PLANE, Pictures, RunDir, SCHEMA, TIMESTEP, Table, TableAxis, TableColumn,
    write_table,
};
use vorticity::summary::{BoxStats, Results, number};

const KS: [usize; 3] = [1, 11, 991];
const SAMPLES: usize = 5;
/// Components of a sub-Jacobian.
const K: usize = 3;

/// A run of any measure but circulation; `value` of column and place.
pub fn table(measure: &'static str, value: impl Fn(&str, usize) -> f64) -> Table {
    let own = find(measure).unwrap();
    let labels = |axis: &Axis| match *axis {
        TIMESTEP => Labels::Numbers(KS.to_vec()),
        PLANE => Labels::Numbers(vec![1, 2]),
        END => Labels::Text(["lowest", "highest", "singular"].map(String::from).to_vec()),
        _ => Labels::Count(SAMPLES),
    };
    let axes: Vec<TableAxis> = own.info().axes.iter().map(|axis| TableAxis::of(*axis, labels(axis))).collect();
    let places: usize = axes.iter().map(|a| a.labels.len()).product();
    let column = |about| TableColumn { about, values: vec![] };
    let mut columns: Vec<TableColumn> = own.columns().into_iter().map(column).collect();
    for c in &mut columns {
        c.values = (0..places).map(|i| value(c.about.name, i)).collect();
    }
    let mut facts = json!({ "mean_bits_per_dim": 3.5, "dimensions": 4, "components": K });
    let mut arrays = vec![];
    if measure != "likelihood" {
        facts["sigma"] = json!([0.01, 0.1, 0.99]);
        arrays.push(Array { name: "sigma", shape: vec![3], values: Numbers::F64(vec![0.01, 0.1, 0.99]) });
    }
    if measure == "curl" {
        let components = (0..(SAMPLES * K) as i64).rev().collect();
        arrays.push(Array { name: "components", shape: vec![SAMPLES, K], values: Numbers::I64(components) });
    }
    if ["curl", "jacobian"].contains(&measure) {
        let entries = (0..places * K * K).map(|i| (i as f32 * 0.7).sin()).collect();
        arrays.push(Array { name: "jacobian", shape: vec![3, SAMPLES, K, K], values: Numbers::F32(entries) });
    }
    if let Some(Pictures::Maps(maps)) = own.info().pictures {
        let [c, h, w] = [2, 2, 3];
        for name in Pictures::Maps(maps).arrays() {
            let shape = if name == maps.samples { vec![SAMPLES, c, h, w] } else { vec![3, SAMPLES, c, h, w] };
            let small = if name == maps.errors { 1e-6 } else { 1.0 };
            let entries = (0..shape.iter().product::<usize>()).map(|i| small * (1.5 + (i as f32 * 0.7).sin()));
            arrays.push(Array { name, values: Numbers::F32(entries.collect()), shape });
        }
    }
    if measure == "planes" {
        let shape = vec![3, SAMPLES, 2, 2, 1, 2, 2];
        let entries = (0..shape.iter().product::<usize>()).map(|i| (i as f32 * 0.7).sin()).collect();
        arrays.push(Array { name: "vectors", shape, values: Numbers::F32(entries) });
    }
    Table { measure: own, schema: SCHEMA, axes, columns, arrays, facts }
}

/// Every number differs from every other; errors are small.
pub fn numbers(name: &str, i: usize) -> f64 {
    let column = name.bytes().map(f64::from).sum::<f64>() / 100.0;
    let small = ["_se", "arithmetic", "residual", "error", "step", "grid"]
        .iter()
        .any(|e| name.ends_with(e) && name != "score_error");
    (column + i as f64 / 7.0) * if small { 1e-6 } else { 1.0 }
}

/// Numbers in 0..1 that look random.
pub fn uniform(n: usize, seed: u64) -> Vec<f64> {
    let stream = Stream { seed, purpose: Purpose::Sample, draw: 0, sample: 0, k: 0 };
    let words = (0..).flat_map(|block| stream.block(block));
    words.take(n).map(|w| f64::from(w) / 4294967296.0).collect()
}

pub fn written(dir: &Path, table: &Table, manifest: Value) -> PathBuf {
    let out = RunDir::create(dir).unwrap();
    let command = json!({ "command": ["/opt/bin/vorticity", "stein", "/home/a/m", "--data", "it's", "--x=/y/z"], "seconds": 2.0 });
    write_table(&out, table, manifest, command).unwrap();
    out.finish().unwrap();
    dir.to_path_buf()
}

/// One run of every measure.
fn all(scratch: &Path) -> Vec<(Table, PathBuf)> {
    let mut tables = vec![example().table().unwrap()];
    tables.extend(MEASURES[1..].iter().map(|m| table(m.name(), numbers)));
    let each = |t: Table| {
        let dir = written(&scratch.join(t.measure.name()), &t, json!({ "field": { "kind": "network" }, "seed": 1 }));
        (t, dir)
    };
    tables.into_iter().map(each).collect()
}

fn labelled(dirs: &[&Path]) -> Vec<(String, Stored)> {
    dirs.iter().map(|d| read(d).map(|s| (s.name.clone(), s)).unwrap()).collect()
}

/// Up to the second schema sigma is called `noise`.
#[test]
fn runs_of_earlier_schemas_are_read() {
    let scratch = TempDir::new().unwrap();
    for (table, dir) in all(scratch.path()).into_iter().filter(|(table, _)| table.levels().is_ok()) {
        let now = read(&dir).unwrap();
        let path = dir.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("\"sigma\": [").count(), 1);
        for schema in ["1", "2"] {
            let earlier = text.replace("\"sigma\": [", "\"noise\": [").replacen(
                "\"schema\": 3",
                &format!("\"schema\": {schema}"),
                1,
            );
            fs::write(&path, earlier).unwrap();
            let stored = read(&dir).unwrap();
            assert_eq!(stored.table.levels().unwrap(), now.table.levels().unwrap());
            let [a, b] = [&stored, &now].map(|s| Results::of(&s.table).unwrap().timesteps);
            assert!(a == b && !a.is_empty(), "{}", table.measure);
        }
    }
}

#[test]
fn runs_read_back_as_they_were_written() {
    let scratch = TempDir::new().unwrap();
    for (table, dir) in all(scratch.path()) {
        let stored = read(&dir).unwrap();
        assert_eq!((stored.table.measure, stored.table.shape()), (table.measure, table.shape()));
        assert_eq!(stored.table.columns.len(), table.columns.len());
        for (own, other) in table.columns.iter().zip(&stored.table.columns) {
            assert_eq!((own.about.name, &own.values), (other.about.name, &other.values));
        }
        let pictures = table.measure.info().pictures.map_or(vec![], |p| p.arrays());
        for name in ["sigma", "jacobian", "components"].into_iter().chain(pictures) {
            let [a, b] = [&table, &stored.table].map(|t| t.array(name).ok().map(|a| format!("{:?}", a.values)));
            assert_eq!(a, b, "{} {name}", table.measure);
        }
        assert!(stored.unknown.is_empty() && stored.log["seconds"] == 2.0);
    }
}

/// Every column is an error of another, says whether that is resolved, or has a table with its medians of every place.
#[test]
fn every_column_of_the_csv_is_on_the_page() {
    let scratch = TempDir::new().unwrap();
    let runs = all(scratch.path());
    let dirs: Vec<&Path> = runs.iter().map(|r| r.1.as_path()).collect();
    let page = html("All of it", &labelled(&dirs), &[]).unwrap();
    for (table, dir) in &runs {
        let page = html("One", &labelled(&[dir]), &[]).unwrap();
        let csv = fs::read_to_string(dir.join(format!("{}.csv", table.measure))).unwrap();
        let results = Results::of(&read(dir).unwrap().table).unwrap();
        for name in csv
            .lines()
            .next()
            .unwrap()
            .split(',')
            .filter(|n| !["path", "plane", "end", "timestep", "sigma", "sample"].contains(n))
        {
            let error = format!("<th class=\"error\" scope=\"col\">{name}</th>");
            let Ok(statistic) = results.statistic(name) else {
                let said = ["error", "verdict"].contains(&name);
                assert!(said || page.contains(&error), "{} {name} is nowhere", table.measure);
                continue;
            };
            let start = page.find(&format!("<code>{name}</code>")).unwrap_or_else(|| panic!("no table of {name}"));
            let own = &page[start..start + page[start..].find("</table>").unwrap()];
            for place in 0..results.paths.len() * results.places() {
                let median = number(BoxStats::of(statistic.at(place)).unwrap().median);
                assert!(own.contains(&format!(">{median}</td>")), "{} {name} lacks {median}", table.measure);
            }
            assert!(statistic.errors.iter().all(|(e, _)| own.contains(&format!(">{e}</th>"))), "{name}");
        }
        assert!(page.contains("<svg") && page.contains("aria-label=") && page.contains("<caption>"));
    }
    for text in [
        "Circulation",
        "Curl",
        "Stein operator",
        "Where the field turns",
        "Local intrinsic dimension",
        "Full Jacobians",
        "Likelihood",
        "image/png;base64",
        "mean S",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains("|J<sub>ab</sub> − J<sub>ba</sub>|"), "indices below the line");
    assert_eq!(page.matches("<details>").count(), 2 * runs.len(), "tables and manifest of each");
    assert!(page.contains("vorticity stein m --data 'it'\\''s' --x=z"), "the command, without this machine's folders");
}

/// Attributes and style that would load something.
fn references(page: &str) -> Vec<&str> {
    let after = |start: &'static str| page.match_indices(start).map(move |(i, s)| &page[i + s.len()..]);
    let values = after("src=\"").chain(after("href=\"")).chain(after("url(")).chain(after("@import"));
    values
        .filter(|v| !v.starts_with("data:image/png;base64,") && !v.starts_with('#'))
        .map(|v| &v[..v.len().min(40)])
        .collect()
}

#[test]
fn what_files_say_is_escaped_and_nothing_is_loaded() {
    let scratch = TempDir::new().unwrap();
    let bad = "<script>alert('&')</script>\"><img src=http://x>";
    let mut data = example();
    data.paths[0] = bad.into();
    let mut facts =
        json!({ "field": { "kind": bad, "name": bad, "shape": bad }, "seed": bad, bad: bad, "adapter": bad });
    facts["options"] = json!({ bad: bad });
    let dir = written(&scratch.path().join("a&b <i>"), &data.table().unwrap(), facts);
    let mut runs = labelled(&[&dir]);
    runs[0].1.log = json!({ "command": [bad, bad] });
    let pixel = Picture::new(bad.into(), png()).unwrap();
    let page = html(bad, &runs, &[pixel]).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img src=http") && !page.contains("<i>"), "escaped");
    assert!(page.contains("&lt;script&gt;") && page.contains("a&amp;b &lt;i&gt;"));
    assert_eq!(references(&page), Vec::<&str>::new());
    assert_eq!(references("<img src=\"http://x\"> <a href=\"#y\">"), ["http://x\"> <a href=\"#y\">"]);

    runs[0].1.manifest = json!({});
    let plain = html("t", &[("run".to_string(), runs[0].1.clone())], &[]).unwrap();
    assert_eq!(plain.replace(&bad.replace('<', "&lt;"), "").matches("<script").count(), 0);
    let mut honest = labelled(&[&written(&scratch.path().join("b"), &example().table().unwrap(), json!({}))]);
    assert!(
        !html("t", &honest, &[]).unwrap().contains("http:") && !html("t", &honest, &[]).unwrap().contains("https:")
    );
    honest.clear();
    assert!(html("t", &honest, &[]).unwrap_err().to_string().contains("no runs"));
    assert!(Picture::new("x.png".into(), b"GIF89a".to_vec()).unwrap_err().to_string().contains("x.png: is not PNG"));
}

fn png() -> Vec<u8> {
    let mut bytes = vec![];
    let encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.write_header().unwrap().write_image_data(&[7]).unwrap();
    bytes
}

/// Any three letters come up in a picture's bytes.
fn without_pictures(page: &str) -> String {
    let after =
        |(i, part): (usize, &str)| if i == 0 { part.to_string() } else { part[part.find('"').unwrap()..].into() };
    page.split("base64,").enumerate().map(after).collect()
}

#[test]
fn columns_without_a_finite_value_are_marked() {
    let scratch = TempDir::new().unwrap();
    for (name, value) in
        [("nan", f64::NAN), ("inf", f64::INFINITY), ("zero", 0.0), ("huge", f64::MAX), ("tiny", 5e-324)]
    {
        let mut data = example();
        data.columns.iter_mut().for_each(|c| c.values.iter_mut().for_each(|v| *v = value));
        let mut dirs = vec![written(&scratch.path().join(name), &data.table().unwrap(), json!({}))];
        for measure in &MEASURES[1..] {
            let mut own = table(measure.name(), |_, _| value);
            for a in own.arrays.iter_mut().filter(|a| a.name == "jacobian") {
                a.values = Numbers::F32(vec![value as f32; a.shape.iter().product()]);
            }
            dirs.push(written(&scratch.path().join(format!("{name}-{measure}")), &own, json!({})));
        }
        let page = html("t", &labelled(&dirs.iter().map(PathBuf::as_path).collect::<Vec<_>>()), &[]).unwrap();
        // A sentence says so of the run; no number does.
        assert_eq!(page.contains("marked NaN"), !value.is_finite(), "{name}");
        let said = without_pictures(&page).replace("marked NaN", "");
        assert!(!said.contains("NaN") && !said.contains("inf\""), "{name}");
        // Quotients of zeros, and twice the largest number, are not finite either.
        assert_eq!(page.contains("no finite value"), name != "tiny", "{name}");
        assert!(!value.is_nan() || page.contains("class=\"group drowned\""), "{name}");
    }
    // The same numbers with an error that drowns them: marked, as on the terminal.
    let drowned = table("jacobian", |name, i| if name == "arithmetic" { 1e9 } else { numbers(name, i) });
    let dirs = [
        written(&scratch.path().join("drowned"), &drowned, json!({})),
        written(&scratch.path().join("clear"), &table("jacobian", numbers), json!({})),
    ];
    let [drowned, clear] = dirs.map(|d| html("t", &labelled(&[&d]), &[]).unwrap());
    assert!(drowned.contains("box hollow") && drowned.contains(">~") && drowned.contains("0 of 3"));
    assert!(!clear.contains("box hollow") && clear.contains("3 of 3"));
    // Of planes that are zero within the error no pictures are drawn, and it is said of which.
    let planes = |name: &str, error: f64| {
        let table = table("planes", |n, i| if n == "residual" { error } else { numbers(n, i) });
        html("t", &labelled(&[&written(&scratch.path().join(name), &table, json!({}))]), &[]).unwrap()
    };
    let (quiet, turning) = (planes("quiet", 1e9), planes("turning", 1e-9));
    assert!(quiet.contains("error, all planes: k = 1, sample 0; k = 1, sample 1; k = 11, sample 0"));
    assert!(!quiet.contains("class=\"map pair"));
    assert!(
        turning.matches("class=\"map pair\"").count() == 12 && !turning.contains("error, all planes"),
        "3 timesteps, 2 samples"
    );
    // Of a Jacobian's map nothing is left where every entry is drowned.
    let maps = |page: &str| (page.matches("class=\"blank\"").count(), page.matches("image/png;base64").count());
    assert_eq!((maps(&drowned), maps(&clear)), ((3, 0), (0, 3)));
}

#[test]
fn runs_of_one_measure_stand_side_by_side() {
    let scratch = TempDir::new().unwrap();
    let mut other = table("asymmetry", |name, i| 2.0 * numbers(name, i));
    let TableAxis { labels: Labels::Numbers(ks), .. } = &mut other.axes[0] else { panic!("timesteps") };
    ks[1] = 500; // not a timestep of the first run
    let dirs = [("a", table("asymmetry", numbers)), ("b", other)]
        .map(|(n, t)| written(&scratch.path().join(n), &t, json!({})));
    let page = html("t", &labelled(&[&dirs[0], &dirs[1]]), &[]).unwrap();
    let row = |k: usize| page.contains(&format!("<th scope=\"row\">{k}</th>"));
    assert!(row(11) && row(500) && page.contains("class=\"s0\"") && page.contains("class=\"s1\""));
    let out = scratch.path().join("page.html");
    let args = |names: &[&str]| report::Args {
        runs: dirs.to_vec(),
        out: out.clone(),
        names: names.iter().map(|n| n.to_string()).collect(),
        title: "t".into(),
        samples: vec![],
        output: Output { json: false, quiet: true },
    };
    assert_eq!(report::run(&args(&["same", "same"])).unwrap(), 0);
    let page = fs::read_to_string(&out).unwrap();
    assert!(page.contains("same (2)") && !page.contains("class=\"s1\""), "one name, one colour");
    assert!(report::run(&args(&["one"])).unwrap_err().to_string().contains("1 names for 2 runs"));
}

#[test]
fn directories_that_are_no_runs_are_refused_by_name() {
    let scratch = TempDir::new().unwrap();
    let fresh = |name: &str| written(&scratch.path().join(name), &table("curl", numbers), json!({}));
    let refused = |dir: &Path, words: &[&str]| {
        let error = read(dir).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        for word in words {
            assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
        }
    };
    let change = |dir: &Path, from: &str, to: &str| {
        let path = dir.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    refused(&scratch.path().join("none"), &["none", "expected a run directory"]);
    let dir = fresh("no-manifest");
    fs::remove_file(dir.join("manifest.json")).unwrap();
    refused(&dir, &["manifest.json", "cannot be opened"]);
    fs::create_dir(dir.join("manifest.json")).unwrap();
    refused(&dir, &["manifest.json", "not a regular file"]);
    for (name, from, to, words) in [
        ("schema", "\"schema\": 3", "\"schema\": 7", &["has schema 7, this program reads 1, 2, 3"][..]),
        ("measure", "\"curl\": {", "\"twirl\": {", &["describes no table of circulation, curl"]),
        ("json", "{", "[", &["manifest.json", "is not JSON"]),
        ("axes", "\"timestep\",\n", "\"<b>\",\n", &["has the axis \"<b>\"", "expected path, timestep or sample"]),
        ("labels", "\"timesteps\": [\n      1,", "\"timesteps\": [\n      -1,", &["has no 'timesteps'"]),
        ("samples", "\"samples\": 5", "\"samples\": 6", &["has shape [3, 5], its manifest says [3, 6]"]),
        ("many", "\"samples\": 5", "\"samples\": 18446744073709551615", &["its manifest says"]),
        ("sigma", "0.01,", "", &["2 noise levels for 3 timesteps"]),
    ] {
        let dir = fresh(name);
        change(&dir, from, to);
        refused(&dir, words);
    }
    let dir = fresh("arrays");
    let mut bytes = fs::read(dir.join("curl.npz")).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(dir.join("curl.npz"), &bytes).unwrap();
    refused(&dir, &["curl.npz", "its manifest says"]);
    let sum = vorticity::data::sha256_bytes(&bytes);
    let manifest: Value = serde_json::from_slice(&fs::read(dir.join("manifest.json")).unwrap()).unwrap();
    change(&dir, manifest["files"]["curl.npz"]["sha256"].as_str().unwrap(), &sum);
    refused(&dir, &["curl.npz", "is no whole NPZ file"]);
    fs::remove_file(dir.join("curl.npz")).unwrap();
    refused(&dir, &["curl.npz", "cannot be opened"]);
    // A column of a later version is named, not shown; a log that is missing is no error.
    let dir = fresh("later");
    change(&dir, "\"columns\": [", "\"columns\": [ { \"name\": \"helicity\" },");
    fs::remove_file(dir.join("run_log.json")).unwrap();
    let page = html("t", &labelled(&[&dir]), &[]).unwrap();
    assert!(page.contains("does not know, left out: helicity") && page.contains("no log of its command"));
}
