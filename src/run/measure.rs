//! What a measure says about itself: its name, prose, parameters, columns, errors, statistics and figures, how it measures,
//! and how the numbers of its parts become a table. In: nothing. Out: the trait whose rows `measures::MEASURES` lists, and
//! which everybody asks: sessions, the command line, data files, verdicts, marks, `merge`, `compare`, plots and the page.
use super::parameters::{Parameter, Settings};
use super::part::Part;
use super::rules::{Errors, Rule, of_rules};
use super::table::{About, Table};
use super::task::{Subject, Task};
use crate::error::Result;
use serde_json::Value;
use std::fmt;

/// An axis that the columns of a measure may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Header of the CSV.
    pub name: &'static str,
    /// Name of the array of labels in the NPZ, and of the labels in the manifest.
    pub plural: &'static str,
    /// Where something is along it, in a sentence: `{}` stands for the place; empty where no sentence says it.
    pub place: &'static str,
}

/// Closed paths, by name.
pub const PATH: Axis = Axis { name: "path", plural: "paths", place: "on {} loops" };
/// Planes in which a field turns, by their rank from 1, the fastest first.
pub const PLANE: Axis = Axis { name: "plane", plural: "planes", place: "in {}" };
/// Ends of spectra, by name.
pub const END: Axis = Axis { name: "end", plural: "ends", place: "for '{}'" };
/// Timesteps k, numbers.
pub const TIMESTEP: Axis = Axis { name: "timestep", plural: "timesteps", place: "" };
/// Images, counted from the first.
pub const SAMPLE: Axis = Axis { name: "sample", plural: "samples", place: "" };

/// Axes of what is measured several times at each timestep and sample: the outermost one, where a measure has one of them.
pub const SEVERAL: [Axis; 3] = [PATH, PLANE, END];

/// How samples become one number where two runs are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taken {
    /// Of the finite samples.
    Median,
    /// Of the finite samples.
    Mean,
    /// (E size - E square) / (2 E size) of two columns, such as |J|^2 and tr J^2.
    Pooled {
        /// The column of sizes.
        size: &'static str,
        /// The column that equals it where there is no asymmetry.
        square: &'static str,
    },
}

/// A figure of box plots over timesteps, of the sizes of a column.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its column.
    pub column: &'static str,
    /// Above it.
    pub title: &'static str,
    /// Of the vertical axis.
    pub label: &'static str,
    /// True where the boxes are of all pairs of entries of all samples' matrices, in place of one value per sample.
    pub pairs: bool,
    /// True where the sign matters: medians as a curve on a linear axis, in place of boxes of sizes.
    pub signed: bool,
}

impl Figure {
    /// Of a column, with a title and the label of its axis.
    pub const fn new(column: &'static str, title: &'static str, label: &'static str) -> Self {
        Figure { column, title, label, pairs: false, signed: false }
    }

    /// The same with its sign.
    pub const fn signed(self) -> Self {
        Figure { signed: true, ..self }
    }

    /// The same of all pairs of matrix entries.
    pub const fn of_pairs(self) -> Self {
        Figure { pairs: true, ..self }
    }
}

/// A mean over the samples, with its standard error.
#[derive(Clone, Copy)]
pub struct MeanOf {
    /// What it is.
    pub name: &'static str,
    /// How it is computed.
    pub formula: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// The column whose errors apply to it.
    pub column: &'static str,
    /// Mean and standard error over the samples, by number of the timestep; 0 where there are no timesteps.
    pub of: fn(&Table, usize) -> Result<(f64, f64)>,
    /// True where it is drawn in units of sigma^-2, in which it is of order one at every noise level.
    pub scaled: bool,
    /// What its figure's caption says of the bars; empty for nothing.
    pub caption: &'static str,
}

/// Matrices in a measure's NPZ: `jacobian`, float32 `[timestep, sample, K, K]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrices {
    /// The column whose errors are those of the difference of two entries.
    pub difference: &'static str,
    /// True if `components`, int64 `[sample, K]`, says which rows and columns of a larger matrix they are.
    pub components: bool,
}

/// Squares in the shape of a point, `[timestep, sample, C, H, W]` in a measure's NPZ, with their standard errors; each is a mean
/// over probes of the square of a component.
#[derive(Clone, Copy, Debug)]
pub struct Maps {
    /// The array that is drawn.
    pub squares: &'static str,
    /// Its standard errors over probes.
    pub errors: &'static str,
    /// The array that makes up the whole with it.
    pub others: &'static str,
    /// The clean samples, `[sample, C, H, W]`, that it is drawn over.
    pub samples: &'static str,
    /// The column that says what a component, before it is squared, is off by at most.
    pub component: &'static str,
    /// What is drawn, for a caption.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
}

/// Planes as pairs of vectors in the shape of a point, `[timestep, sample, plane, 2, C, H, W]` in a measure's NPZ.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// The array.
    pub vectors: &'static str,
    /// Columns that are said below a pair, with their labels; the first one is what the verdict is on.
    pub said: &'static [(&'static str, &'static str)],
}

/// Pictures in a measure's NPZ that the page draws.
#[derive(Clone, Copy, Debug)]
pub enum Pictures {
    /// Squares over the clean samples.
    Maps(Maps),
    /// Planes.
    Pairs(Pairs),
}

impl Pictures {
    /// The arrays that they are made of.
    pub fn arrays(&self) -> Vec<&'static str> {
        match self {
            Pictures::Maps(Maps { squares, errors, others, samples, .. }) => vec![squares, errors, others, samples],
            Pictures::Pairs(Pairs { vectors, .. }) => vec![vectors],
        }
    }
}

/// What a run's verdict says in words.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// What holds where the headline is resolved, a clause.
    pub holds: &'static str,
    /// True where it is about the mean over the samples, in place of their median.
    pub of_mean: bool,
}

impl Claim {
    /// About the median.
    pub const fn new(holds: &'static str) -> Self {
        Claim { holds, of_mean: false }
    }

    /// About the mean.
    pub const fn of_mean(holds: &'static str) -> Self {
        Claim { holds, of_mean: true }
    }
}

/// The plain facts of a measure.
#[derive(Clone, Copy)]
pub struct MeasureInfo {
    /// Its name: that of the verb, of the data files, and of its part of the manifest.
    pub name: &'static str,
    /// What it does, as its command line's help has it: a sentence, an empty line, more.
    pub help: &'static str,
    /// Its chapter's heading on the page.
    pub title: &'static str,
    /// What is measured and how it is read, for a person who does not know.
    pub prose: &'static str,
    /// Where the headline is defined: an equation or a figure of the paper, or another source.
    pub source: &'static str,
    /// Outermost first.
    pub axes: &'static [Axis],
    /// The column that is NaN where the field was not finite, and nowhere else.
    pub marked: &'static str,
    /// The column that the run is about.
    pub headline: &'static str,
    /// What a resolved headline says.
    pub claim: Claim,
    /// Which errors apply to which statistics; empty where `Measure::errors` says it otherwise.
    pub rules: &'static [Rule],
    /// A mean over the samples, for measures that have such.
    pub mean: Option<MeanOf>,
    /// What `compare` compares where no columns are named.
    pub compared: &'static [(&'static str, Taken)],
    /// Columns of the open table on the page and their labels.
    pub shown: &'static [(&'static str, &'static str)],
    /// Figures on the page.
    pub figures: &'static [Figure],
    /// Matrices, for measures that have such.
    pub matrices: Option<Matrices>,
    /// Pictures, for measures that have such.
    pub pictures: Option<Pictures>,
}

/// A measure. One file of `measures` implements it, and one line of `measures!` makes it known.
pub trait Measure: Send + Sync {
    /// Its plain facts.
    fn info(&self) -> &'static MeasureInfo;

    /// What its columns say, in the order of the files.
    fn columns(&self) -> Vec<About>;

    /// What it can be asked.
    fn parameters(&self) -> &'static [Parameter];

    /// What it was asked, read: options, which the subject's shape and data decide on where nothing is said.
    ///
    /// # Errors
    /// Settings that are missing, make no sense, or do not fit the subject.
    fn task(&self, asked: &Settings, subject: &Subject) -> Result<Box<dyn Task>>;

    /// Whether several devices can share its work.
    fn shares_devices(&self) -> bool {
        false
    }

    /// The table of a part that has all samples.
    ///
    /// # Errors
    /// A part of some samples only, or one whose arrays and facts do not fit each other.
    fn finish(&self, part: Part) -> Result<Table>;

    /// Every statistic of a table to which errors apply, with their sizes in its unit at every place, none negative; NaN where
    /// not measured.
    ///
    /// # Errors
    /// A table without the columns that this needs.
    fn errors(&self, table: &Table) -> Result<Vec<(&'static str, Errors)>> {
        Ok(of_rules(self.info().rules, table))
    }

    /// What a run ends with on a terminal.
    ///
    /// # Errors
    /// A table without the columns that are shown.
    fn text(&self, table: &Table) -> Result<String>;

    /// The same for programs, a row per timestep, or per whatever there is.
    ///
    /// # Errors
    /// A table without the columns that are shown.
    fn rows(&self, table: &Table) -> Result<Vec<Value>>;
}

impl dyn Measure {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.info().name
    }
}

impl PartialEq for dyn Measure {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Display for dyn Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for dyn Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
