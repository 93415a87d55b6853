//! The one legend of a figure on paper: runs by colour and sign, and what dashes, bands and hollow boxes mean, in words. In: a figure.
//! Out: entries, and marks in lines of a width.
use super::marks::{Anchor, Mark, Pen, Voice, Words, hatch, sign};
use super::{Content, Figure, Look, NEUTRAL, font};
use crate::run::{CLEAR, Verdict};

/// Width and height of a sign before its words, points.
const SIGN: (f64, f64) = (13.0, 6.0);
/// Between a sign and its words, and between entries, points.
const GAP: [f64; 2] = [3.0, 9.0];
/// Between lines, as a share of the font's height.
const LINE: f64 = 1.3;

/// What stands before the words.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    Run(usize),
    Bound,
    Box,
    Hollow,
    Point,
    Faint,
    None,
}

struct Entry {
    sign: Sign,
    words: String,
}

/// What a figure's signs mean.
fn entries(figure: &Figure) -> Vec<Entry> {
    let mut entries = vec![];
    let mut say = |sign: Sign, words: String| entries.push(Entry { sign, words });
    if figure.names.len() > 1 {
        figure.names.iter().for_each(|(name, colour)| say(Sign::Run(*colour), name.clone()));
    }
    let contents: Vec<&Content> = figure.panels.iter().map(|p| &p.content).collect();
    let boxes = contents.iter().filter_map(|c| if let Content::Boxes(own) = c { Some(own) } else { None });
    let cells = || boxes.clone().flat_map(|b| b.cells());
    let bound = || format!("{CLEAR} × the largest error; in the band below it: not resolved");
    if let Some(first) = boxes.clone().next() {
        let left_out = match cells().filter_map(|c| c.stats.as_ref()).map(|s| s.skipped).sum::<usize>() {
            0 => String::new(),
            n => format!("; {n} not finite, left out"),
        };
        say(Sign::Box, format!("median and quartiles of {}, whiskers: 1.5 IQR{left_out}", first.of));
        if cells().any(|c| c.error() > 0.0) {
            say(Sign::Bound, bound());
        }
        let said = |verdict: Verdict| cells().any(|c| c.of_median() == Some(verdict));
        if let Some(words) = unclear(said) {
            say(Sign::Hollow, format!("hollow: the median is {words}"));
        }
    }
    for content in &contents {
        match content {
            Content::Curves(own) => {
                say(Sign::Point, format!("{}; bars: {}", own.points, own.bars));
                let all: Vec<Verdict> = own.curves.iter().flat_map(|c| c.shown()).map(|p| p.1.verdict).collect();
                if let Some(words) = unclear(|verdict| all.contains(&verdict)) {
                    say(Sign::Faint, format!("hollow: {words}"));
                }
            }
            Content::Strips(_) => say(Sign::Point, "mean ± standard error, beside every sample".into()),
            Content::Histogram(own) => {
                if own.banded() {
                    say(Sign::Bound, format!("{CLEAR} × the largest error; left of it, in the band: not resolved"));
                }
                say(Sign::None, "the first bin has all smaller values too, and may be cut off at the top".into());
            }
            Content::Boxes(_) => {}
        }
    }
    if figure.axes().1 {
        say(Sign::None, "every panel has a scale of its own".into());
    }
    let mut once: Vec<Entry> = vec![];
    for entry in entries {
        if !once.iter().any(|e| e.sign == entry.sign && e.words == entry.words) {
            once.push(entry);
        }
    }
    once
}

/// Which verdicts there are besides that something is resolved, in words.
fn unclear(said: impl Fn(Verdict) -> bool) -> Option<String> {
    let words = [Verdict::NotResolved, Verdict::NotChecked].into_iter().filter(|v| said(*v)).map(Verdict::word);
    let words: Vec<&str> = words.collect();
    (!words.is_empty()).then(|| words.join(" or "))
}

/// Marks of the legend from its upper left corner, and its height; nothing of a figure that needs none.
pub fn draw(figure: &Figure, look: &Look, (left, top): (f64, f64), width: f64) -> (Vec<Mark>, f64) {
    let (mut marks, mut at, mut line) = (vec![], left, 0);
    let size = look.tick;
    for entry in entries(figure) {
        let room = if entry.sign == Sign::None { 0.0 } else { SIGN.0 + GAP[0] };
        let whole = room + font::width(&entry.words, size);
        if at > left && at + whole > left + width {
            (at, line) = (left, line + 1);
        }
        let middle = |line: usize| top + (line as f64 + 0.5) * LINE * size;
        marks.extend(draw_sign(entry.sign, (at, middle(line)), figure));
        let mut begin = at + room;
        for text in wrapped(&entry.words, size, left + width - begin) {
            if begin != at + room {
                line += 1;
            }
            let place = (at + room, middle(line) + 0.36 * size);
            let parts = vec![(text.clone(), false)];
            let voice = Voice::Said;
            marks.push(Mark::Words(Words { at: place, anchor: Anchor::Start, voice, size, upright: false, parts }));
            begin = f64::NAN;
        }
        at += whole + GAP[1];
    }
    let height = if marks.is_empty() { 0.0 } else { (line + 1) as f64 * LINE * size };
    (marks, height)
}

/// The text in lines that fit; a word that is longer than a line has one of its own.
pub fn wrapped(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if font::width(&format!("{line} {word}"), size) <= width => *line = format!("{line} {word}"),
            _ => lines.push(word.into()),
        }
    }
    lines
}

fn draw_sign(own: Sign, (left, middle): (f64, f64), figure: &Figure) -> Vec<Mark> {
    let (right, half) = (left + SIGN.0, SIGN.1 / 2.0);
    let centre = ((left + right) / 2.0, middle);
    let corners = ((left, middle - half), (right, middle + half));
    // Of a single run its own colour, of several that of none.
    let colour = match &figure.names[..] {
        [(_, only)] => *only,
        _ => NEUTRAL,
    };
    let boxes = |colour: usize, pen: Pen| {
        let mut marks = vec![Mark::rectangle(pen, corners.0, corners.1)];
        if pen == Pen::Box {
            marks.extend(hatch(colour, corners.0, corners.1, 2.7));
        }
        marks
    };
    match own {
        Sign::None => vec![],
        Sign::Run(colour) => {
            let mut marks = boxes(colour, Pen::Box);
            marks.push(sign(colour, Pen::Point, centre, 2.0));
            vec![Mark::series(colour, marks)]
        }
        Sign::Box => {
            let mut marks = boxes(colour, Pen::Box);
            marks.push(Mark::line(Pen::Median, vec![(left, middle), (right, middle)]));
            vec![Mark::series(colour, marks)]
        }
        Sign::Hollow => vec![Mark::series(colour, boxes(colour, Pen::Hollow))],
        Sign::Bound => {
            let edge = Mark::line(Pen::Bound, vec![(left, middle - half), (right, middle - half)]);
            let band = Mark::rectangle(Pen::Band, (left, middle - half), (right, middle + half));
            vec![Mark::series(colour, vec![band, edge])]
        }
        Sign::Point | Sign::Faint => {
            let pen = if own == Sign::Point { Pen::Point } else { Pen::Faint };
            let bar = Mark::line(Pen::Bar, vec![(centre.0, middle - half), (centre.0, middle + half)]);
            vec![Mark::series(colour, vec![bar, sign(colour, pen, centre, 2.0)])]
        }
    }
}
