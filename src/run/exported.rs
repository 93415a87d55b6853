//! Closed loops as an NPZ file: for networks that run elsewhere, and for the scores that come back from them. In: what there
//! is to write, then points in the order of the file; or a file. Out: the same, opened at its first segment. An export may be
//! a shard's. Layout: docs/FORMATS.md.
use super::npz::{Text, words};
use super::shard::Shard;
use super::stream::{NpzStream, Promised, npz_bytes};
use crate::data::{Array, npz};
use crate::error::{Error, Result};
use crate::shape::Shape;
use serde_json::{Value, json};
use std::path::Path;

/// Version of the layout of an export.
const SCHEMA: u64 = 2;
/// Points to be repeated in float64 that one file may list.
pub const MOST_REPEATED: usize = 1 << 18;

/// What the axes of exported loops stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopAxes {
    /// Names of the paths.
    pub paths: Vec<String>,
    /// The network's 0-based indices k.
    pub timesteps: Vec<usize>,
    /// Factor of the clean image per timestep.
    pub a: Vec<f64>,
    /// Standard deviation of the noise per timestep.
    pub sigma: Vec<f64>,
    /// Images of this file: of the shard's.
    pub samples: usize,
    /// N, segments of a loop.
    pub segments: usize,
    /// `[C, H, W]` of a point.
    pub shape: Shape,
}

impl LoopAxes {
    /// `[path, timestep, sample, segment, C, H, W]`.
    pub fn dims(&self) -> [usize; 7] {
        let Shape { c, h, w } = self.shape;
        [self.paths.len(), self.timesteps.len(), self.samples, self.segments, c, h, w]
    }

    /// `[path, timestep, sample, segment, 2, C, H, W]` of the Gauss points of the first `checked` samples.
    pub fn gauss_dims(&self, checked: usize) -> [usize; 8] {
        let Shape { c, h, w } = self.shape;
        [self.paths.len(), self.timesteps.len(), checked, self.segments, 2, c, h, w]
    }

    /// Where number i of an array with these axes stands, in words.
    pub fn place(&self, i: usize) -> String {
        let (d, Shape { h, w, .. }) = (self.shape.len(), self.shape);
        let (segment, sample) = (i / d % self.segments, i / d / self.segments % self.samples);
        let loops = i / d / self.segments / self.samples;
        let (path, timestep) = (loops / self.timesteps.len(), loops % self.timesteps.len());
        let (channel, row, column) = (i % d / (h * w), i % (h * w) / w, i % w);
        format!(
            "path {}, timestep {}, sample {sample}, segment {segment}, channel {channel}, row {row}, column {column}",
            self.paths[path], self.timesteps[timestep]
        )
    }
}

/// What a file says of the run that its loops are of, the same in all of its shards.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopRun {
    /// Samples of the whole run.
    pub samples: usize,
    /// How many of them, the first ones, have Gauss points too.
    pub checked: usize,
    /// Points of the whole run to be repeated in float64.
    pub repeated: usize,
    /// What else decides on the points: process, data, seed, options. An object.
    pub facts: Value,
}

/// All that a file of loops has besides its points.
#[derive(Clone, Debug)]
pub struct LoopLayout {
    /// What the axes stand for.
    pub axes: LoopAxes,
    /// Which samples of the run are here.
    pub shard: Shard,
    /// The run.
    pub run: LoopRun,
    /// `[path, timestep, sample, segment]` of each midpoint whose score is wanted in float64 too, ascending.
    pub repeat: Vec<[usize; 4]>,
}

/// Positions of the arrays of points among those of a file.
const MIDPOINTS: usize = 0;
const STEPS: usize = 1;
const GAUSS: usize = 2;
const REPEAT_POINTS: usize = 3;

impl LoopLayout {
    /// Segments of all loops of this file.
    pub fn segments(&self) -> u64 {
        self.axes.dims()[..4].iter().product::<usize>() as u64
    }

    /// Samples of this file that have Gauss points: its first ones.
    pub fn checked(&self) -> usize {
        self.shard.count(self.run.checked)
    }

    /// Arrays of points, in the order of the constants above.
    fn points(&self) -> [Promised; 4] {
        let (dims, Shape { c, h, w }) = (self.axes.dims(), self.axes.shape);
        [
            Promised::f32("midpoints", &dims),
            Promised::f32("steps", &dims),
            Promised::f32("gauss", &self.axes.gauss_dims(self.checked())),
            Promised::f32("repeat_points", &[self.repeat.len(), c, h, w]),
        ]
    }

    /// What the file says of itself.
    fn about(&self) -> String {
        let LoopRun { samples, checked, repeated, facts } = &self.run;
        json!({
            "schema": SCHEMA, "shard": self.shard.to_string(), "samples": samples, "checked": checked, "repeated": repeated,
            "run": facts,
        })
        .to_string()
    }

    /// The short arrays and their bytes.
    fn lists(&self) -> Vec<(Promised, Vec<u8>)> {
        let (axes, about) = (&self.axes, self.about());
        let integers =
            |numbers: &mut dyn Iterator<Item = usize>| numbers.flat_map(|n| (n as i64).to_le_bytes()).collect();
        let floats = |numbers: &[f64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let text = |name, words: &[&str]| (Promised::text(name, Text::width(words), words.len()), Text::bytes(words));
        let (t, n) = (axes.timesteps.len(), axes.samples);
        let mut lists = vec![
            text("about", &[&about]),
            text("paths", &words(&axes.paths)),
            (Promised::i64("timesteps", &[t]), integers(&mut axes.timesteps.iter().copied())),
            (Promised::f64("a", &[t]), floats(&axes.a)),
            (Promised::f64("sigma", &[t]), floats(&axes.sigma)),
            (Promised::i64("samples", &[n]), integers(&mut (0..n).map(|i| self.shard.sample(i)))),
        ];
        if !self.repeat.is_empty() {
            let places = integers(&mut self.repeat.iter().flatten().copied());
            lists.push((Promised::i64("repeat", &[self.repeat.len(), 4]), places));
        }
        lists
    }

    /// Everything in the file: points first, empty arrays left out.
    fn promised(&self) -> Vec<Promised> {
        let points = self.points().into_iter().filter(|p| !p.shape.contains(&0));
        points.chain(self.lists().into_iter().map(|l| l.0)).collect()
    }

    /// Bytes of the file, exactly. None if no file could hold them.
    pub fn bytes(&self) -> Option<u64> {
        npz_bytes(&self.promised())
    }

    /// Begins the file, whose points are then given in the order of its arrays.
    pub fn create(&self, path: &Path) -> Result<LoopWriter> {
        let promised = self.promised();
        let mut stream = NpzStream::create(path, &promised)?;
        let nth = |name: &str| promised.iter().position(|p| p.name == name);
        for (list, bytes) in self.lists() {
            if let Some(nth) = nth(list.name) {
                stream.append(nth, &bytes)?;
            }
        }
        Ok(LoopWriter { stream, places: self.points().map(|p| nth(p.name)) })
    }
}

/// A file of loops as it is written. Equal loops give equal bytes.
pub struct LoopWriter {
    stream: NpzStream,
    /// Number of each array of points among the file's, if it is there.
    places: [Option<usize>; 4],
}

impl LoopWriter {
    fn append(&mut self, array: usize, point: &[f32]) -> Result<()> {
        let Some(nth) = self.places[array] else {
            return Err(Error::invalid("export", format!("a point for array {array}, which is not promised")));
        };
        let bytes: Vec<u8> = point.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.stream.append(nth, &bytes)
    }

    /// The next midpoint; `repeat` if it is among those to be repeated.
    pub fn midpoint(&mut self, point: &[f32], repeat: bool) -> Result<()> {
        if repeat {
            self.append(REPEAT_POINTS, point)?;
        }
        self.append(MIDPOINTS, point)
    }

    /// The next step.
    pub fn step(&mut self, step: &[f32]) -> Result<()> {
        self.append(STEPS, step)
    }

    /// The next Gauss point: two of each segment.
    pub fn gauss(&mut self, point: &[f32]) -> Result<()> {
        self.append(GAUSS, point)
    }

    /// Gives the file its name.
    pub fn finish(self) -> Result<()> {
        self.stream.finish()
    }
}

/// An NPZ file of loops, open at its first segment.
pub struct ExportedFile {
    /// What it says of itself. Of a file without `about`, as earlier versions wrote them, nothing is checked.
    pub layout: LoopLayout,
    /// Midpoints, in C order.
    pub midpoints: Array,
    /// Steps, in C order.
    pub steps: Array,
}

impl ExportedFile {
    /// Opens a file that `LoopLayout::create` began; arrays that do not fit together are refused.
    pub fn open(path: &Path) -> Result<Self> {
        let array = |name: &str| Array::of(path, name);
        let (midpoints, steps) = (array("midpoints")?, array("steps")?);
        let &[p, t, samples, segments, c, h, w] = midpoints.dims() else {
            let said = format!("has shape {:?}, expected [path, timestep, sample, segment, C, H, W]", midpoints.dims());
            return Err(midpoints.error(said));
        };
        if midpoints.dims().contains(&0) {
            return Err(midpoints.error(format!("has shape {:?}, which holds no loops", midpoints.dims())));
        }
        if steps.dims() != midpoints.dims() {
            return Err(steps.error(format!("has shape {:?}, the midpoints {:?}", steps.dims(), midpoints.dims())));
        }
        let axes = LoopAxes {
            paths: npz::names(path, "paths")?,
            timesteps: npz::counts(path, "timesteps")?,
            a: npz::numbers(path, "a")?,
            sigma: npz::numbers(path, "sigma")?,
            samples,
            segments,
            shape: Shape::new(c, h, w),
        };
        let lists = [("paths", axes.paths.len(), p), ("timesteps", axes.timesteps.len(), t)];
        for (name, found, expected) in lists.into_iter().chain([("a", axes.a.len(), t), ("sigma", axes.sigma.len(), t)])
        {
            if found != expected {
                let said = format!("array '{name}' has {found} elements, the midpoints have {expected} of these");
                return Err(Error::file(path, said));
            }
        }
        let layout = layout(path, axes)?;
        if layout.checked() > 0 {
            let (gauss, dims) = (array("gauss")?, layout.axes.gauss_dims(layout.checked()));
            if gauss.dims() != dims {
                return Err(gauss.error(format!("has shape {:?}, expected {dims:?}", gauss.dims())));
            }
        }
        Ok(Self { layout, midpoints, steps })
    }
}

/// What a file says of itself, checked against its axes.
fn layout(path: &Path, axes: LoopAxes) -> Result<LoopLayout> {
    if !npz::holds(path, "about")? {
        let run = LoopRun { samples: axes.samples, checked: 0, repeated: 0, facts: Value::Null };
        return Ok(LoopLayout { axes, shard: Shard::WHOLE, run, repeat: vec![] });
    }
    let bad = |said: String| Error::file(path, format!("array 'about' {said}"));
    let text = npz::names(path, "about")?.concat();
    let about: Value = serde_json::from_str(&text).map_err(|e| bad(format!("is not JSON: {e}")))?;
    if about["schema"] != json!(SCHEMA) {
        return Err(bad(format!("has schema {}, this program reads {SCHEMA}", about["schema"])));
    }
    let count = |key: &str| {
        let found = about[key].as_u64().and_then(|n| usize::try_from(n).ok());
        found.ok_or_else(|| bad(format!("has {key} {}, expected a count", about[key])))
    };
    let shard = about["shard"].as_str().map(Shard::parse);
    let shard = shard.unwrap_or_else(|| Err(bad(format!("has shard {}, expected i/n", about["shard"]))))?;
    let run = LoopRun {
        samples: count("samples")?,
        checked: count("checked")?,
        repeated: count("repeated")?,
        facts: about["run"].clone(),
    };
    if shard.of() > run.samples || shard.count(run.samples) != axes.samples || run.checked > run.samples {
        let said = format!(
            "says shard {shard} of {} samples, {} of them checked, but the file has {} samples",
            run.samples, run.checked, axes.samples
        );
        return Err(bad(said));
    }
    let mut repeat = vec![];
    if npz::holds(path, "repeat")? {
        let (shape, places) = npz::counted(path, "repeat")?;
        if shape.len() != 2 || shape[1] != 4 {
            return Err(Error::file(path, format!("array 'repeat' has shape {shape:?}, expected [points, 4]")));
        }
        repeat = places.as_chunks::<4>().0.to_vec();
    }
    let inside = |place: &[usize; 4]| place.iter().zip(axes.dims()).all(|(i, n)| *i < n);
    if repeat.iter().any(|p| !inside(p)) || !repeat.is_sorted_by(|a, b| a < b) || repeat.len() > run.repeated {
        let said = format!("array 'repeat' is not an ascending list of at most {} of its segments", run.repeated);
        return Err(Error::file(path, said));
    }
    Ok(LoopLayout { axes, shard, run, repeat })
}
