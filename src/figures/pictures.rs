//! Pictures on paper: maps of where a field turns, and planes as pairs of pictures. In: a run whose measure has such. Out: drawings in
//! points.
use super::marks::{Anchor, Image, Mark, Pen, Voice, Words};
use super::runs::Run;
use super::sheet::{MARGIN, Paper, head};
use super::{Drawing, Figure, PAPER, font, legend, words};
use crate::error::{Error, Result};
use crate::run::{Maps, Pairs, Pictures, Verdict};
use crate::summary::maps::{Tile, bar, columns};
use crate::summary::number;
use crate::summary::planes::{self, Pair};

/// Between pictures.
const GAP: f64 = 6.0;
/// Between the two pictures of a plane.
const BETWEEN: f64 = 2.0;
/// Least width of a map and of a plane's pair.
const LEAST: [f64; 2] = [50.0, 96.0];
/// Widest.
const WIDEST: [f64; 2] = [160.0, 200.0];
/// Between lines of words.
const LINE: f64 = 1.3;

/// What a figure of pictures is called; none of measures without them.
pub fn title(pictures: &Pictures) -> String {
    match pictures {
        Pictures::Maps(maps) => format!("Where the field turns: {}", maps.title),
        Pictures::Pairs(_) => "The planes in which the field turns fastest: u and w of each".into(),
    }
}

/// The pictures of a run, with the line on it that stands below the title.
///
/// # Errors
/// A measure without pictures, arrays that do not fit, a width that is too small.
pub fn draw(run: &Run, about: &str, paper: &Paper) -> Result<Drawing> {
    let Some(pictures) = run.results.measure.info().pictures else {
        return Err(Error::invalid("kind", "this measure keeps no pictures"));
    };
    if paper.height.is_some() {
        return Err(Error::invalid("height", "that of pictures follows from their width"));
    }
    let figure = Figure { title: title(&pictures), about: about.into(), ..Figure::default() };
    let width = paper.width - 2.0 * MARGIN;
    let mut sheet = Sheet { marks: vec![], y: 0.0, width };
    let top = head(&figure, paper, width);
    sheet.y = MARGIN + top.height;
    sheet.marks = top.marks;
    match pictures {
        Pictures::Maps(maps) => sheet.maps(run, &maps)?,
        Pictures::Pairs(pairs) => sheet.planes(run, &pairs)?,
    }
    let size = (paper.width, sheet.y + MARGIN);
    Ok(Drawing { size, about: figure.title, marks: sheet.marks })
}

struct Sheet {
    marks: Vec<Mark>,
    /// Where the next thing begins.
    y: f64,
    width: f64,
}

impl Sheet {
    fn line(&mut self, x: f64, voice: Voice, text: &str) {
        let size = if voice == Voice::Head { PAPER.head } else { PAPER.tick };
        let at = (x, self.y + size);
        let words = Words { at, anchor: Anchor::Start, voice, size, upright: false, parts: words::parts(text) };
        self.marks.push(Mark::Words(words));
        self.y += LINE * size;
    }

    /// Words in as many lines as they need.
    fn lines(&mut self, x: f64, width: f64, text: &str) {
        legend::wrapped(text, PAPER.tick, width).iter().for_each(|line| self.line(x, Voice::Said, line));
    }

    fn maps(&mut self, run: &Run, maps: &Maps) -> Result<()> {
        let columns = columns(run.table, maps)?;
        let count = columns.len().max(1);
        let side = ((self.width - GAP * (count - 1) as f64) / count as f64).min(WIDEST[0]);
        if side < LEAST[0] {
            let needed = count as f64 * (LEAST[0] + GAP) + 2.0 * MARGIN;
            return Err(Error::invalid("width", format!("maps of {count} timesteps need at least {needed:.0}pt")));
        }
        let x = |i: usize| MARGIN + i as f64 * (side + GAP);
        for row in 0..3 {
            if row > 0 {
                self.y += GAP;
            }
            let Some(first) = columns.first().map(|c| &c.tiles[row]) else { continue };
            let unit = words::unit(first.unit);
            let unit = if unit.is_empty() { unit } else { format!("  ({unit})") };
            self.line(MARGIN, Voice::Head, &format!("{}{unit}", first.title));
            let y = self.y;
            let mut end = y;
            for (i, column) in columns.iter().enumerate() {
                self.y = y;
                self.line(x(i), Voice::Said, &format!("k = {}", column.timestep));
                self.tile(&column.tiles[row], x(i), side);
                end = end.max(self.y);
            }
            self.y = end;
        }
        self.y += GAP;
        self.lines(
            MARGIN,
            self.width,
            "heat over the grey clean picture; pixels under 3 times their error are grey; one pixel in 200 is beyond the end of \
             the colours",
        );
        Ok(())
    }

    fn tile(&mut self, tile: &Tile, x: f64, side: f64) {
        let [h, w] = tile.size.map(|s| s as f64 * side / tile.size[0].max(tile.size[1]).max(1) as f64);
        self.picture(&tile.rgba, tile.size, (x, self.y + 1.0), (w, h), 1.0, &tile.about);
        self.y += h + 4.0;
        if tile.end > 0.0 {
            let end = number(tile.end);
            let middle = self.y + LINE * PAPER.tick / 2.0;
            let zero = font::width("0", PAPER.tick) + 3.0;
            let room = side - zero - font::width(&end, PAPER.tick) - 3.0;
            let (colours, size) = bar();
            let room = room.clamp(8.0, 60.0);
            self.picture(&colours, size, (x + zero, middle - 2.5), (room, 5.0), 1.0, "colour bar");
            let y = self.y;
            self.line(x, Voice::Said, "0");
            self.y = y;
            self.line(x + zero + room + 3.0, Voice::Said, &end);
        } else {
            self.lines(x, side, "zero within the error");
        }
        if !tile.checked {
            self.lines(x, side, Verdict::NotChecked.word());
        }
    }

    fn picture(
        &mut self,
        rgba: &[u8],
        pixels: [usize; 2],
        at: (f64, f64),
        size: (f64, f64),
        opacity: f64,
        about: &str,
    ) {
        let (rgba, about) = (rgba.to_vec(), about.to_string());
        self.marks.push(Mark::Image(Image { at, size, pixels, rgba, opacity, about }));
        self.marks.push(Mark::rectangle(Pen::Edge, at, (at.0 + size.0, at.1 + size.1)));
    }

    /// A row of pairs per timestep, of the first sample.
    fn planes(&mut self, run: &Run, pairs: &Pairs) -> Result<()> {
        let rows = planes::rows(run.table, pairs)?;
        let rows: Vec<&planes::Row> = rows.iter().filter(|row| row.first).collect();
        let most = rows.iter().map(|row| row.pairs.len()).max().unwrap_or(1).max(1);
        let columns = (((self.width + GAP) / (LEAST[1] + GAP)) as usize).min(most);
        if columns == 0 {
            let needed = LEAST[1] + 2.0 * MARGIN;
            return Err(Error::invalid("width", format!("a plane needs at least {needed:.0}pt")));
        }
        let wide = ((self.width - GAP * (columns - 1) as f64) / columns as f64).min(WIDEST[1]);
        for row in rows {
            self.line(MARGIN, Voice::Head, &row.title);
            for chunk in row.pairs.chunks(columns) {
                let y = self.y;
                let mut end = y;
                for (i, pair) in chunk.iter().enumerate() {
                    self.y = y;
                    self.pair(pair, MARGIN + i as f64 * (wide + GAP), wide);
                    end = end.max(self.y);
                }
                self.y = end + GAP;
            }
        }
        self.lines(
            MARGIN,
            self.width,
            "the field carries u towards −w and w towards u; blue is negative, vermilion positive (three channels: colours about a \
             grey zero); faint: not resolved; one component in 200 is beyond the end of the colours",
        );
        Ok(())
    }

    fn pair(&mut self, pair: &Pair, x: f64, wide: f64) {
        let verdict = if pair.verdict == Verdict::Resolved { "" } else { pair.verdict.word() };
        let comma = if verdict.is_empty() { "" } else { ", " };
        self.lines(x, wide, &format!("{}{comma}{verdict}", pair.title));
        let [h, w] = pair.size.map(|s| s as f64);
        let scale = ((wide - BETWEEN) / 2.0) / w.max(h);
        let size = (w * scale, h * scale);
        let opacity = if pair.verdict == Verdict::NotResolved { 0.3 } else { 1.0 };
        for (i, rgba) in pair.pictures.iter().enumerate() {
            let at = (x + i as f64 * (size.0 + BETWEEN), self.y + 1.0);
            self.picture(rgba, pair.size, at, size, opacity, &pair.about);
        }
        self.y += size.1 + 3.0;
        pair.said.iter().for_each(|line| self.lines(x, wide, line));
    }
}
