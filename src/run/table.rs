//! Results as the files hold them: columns over the same axes, and arrays of other shapes beside them.
//! In: a diagnostic's numbers. Out: what `csv`, `npz` and `manifest` write; every measure of the program has this form.
use super::measure::{Axis, Measure, TIMESTEP};
use crate::error::{Error, Result};
use serde_json::{Value, json};

/// Marked places that are named; the others are counted.
const NAMED: usize = 6;

/// What the places along an axis are called.
#[derive(Clone, Debug)]
pub enum Labels {
    /// Names.
    Text(Vec<String>),
    /// Numbers, such as timesteps k.
    Numbers(Vec<usize>),
    /// 0, 1, .. up to this.
    Count(usize),
}

impl Labels {
    /// How many places there are.
    pub fn len(&self) -> usize {
        match self {
            Labels::Text(names) => names.len(),
            Labels::Numbers(numbers) => numbers.len(),
            Labels::Count(n) => *n,
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label of place i.
    pub fn text(&self, i: usize) -> String {
        match self {
            Labels::Text(names) => names[i].clone(),
            Labels::Numbers(numbers) => numbers[i].to_string(),
            Labels::Count(_) => i.to_string(),
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Labels::Text(names) => json!(names),
            Labels::Numbers(numbers) => json!(numbers),
            Labels::Count(n) => json!(n),
        }
    }
}

/// An axis of every column.
#[derive(Clone, Debug)]
pub struct TableAxis {
    /// Header of the CSV.
    pub name: &'static str,
    /// Name of the array of labels in the NPZ, and of the labels in the manifest.
    pub plural: &'static str,
    /// Its places.
    pub labels: Labels,
}

impl TableAxis {
    /// An axis that measures have, with its places.
    pub fn of(axis: Axis, labels: Labels) -> Self {
        TableAxis { name: axis.name, plural: axis.plural, labels }
    }
}

/// What a column says.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Header of the CSV, name in the NPZ.
    pub name: &'static str,
    /// How it is computed.
    pub formula: &'static str,
    /// `x` is the unit of the data; a score has the unit nat/x.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

impl About {
    /// In the order of the fields.
    pub const fn new(name: &'static str, formula: &'static str, unit: &'static str, meaning: &'static str) -> Self {
        About { name, formula, unit, meaning }
    }
}

/// One number per place.
#[derive(Clone, Debug)]
pub struct TableColumn {
    /// What it says.
    pub about: About,
    /// C order over the axes.
    pub values: Vec<f64>,
}

/// Numbers of one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Double precision.
    F64(Vec<f64>),
    /// Single precision.
    F32(Vec<f32>),
    /// Integers.
    I64(Vec<i64>),
}

impl Numbers {
    fn len(&self) -> usize {
        match self {
            Numbers::F64(v) => v.len(),
            Numbers::F32(v) => v.len(),
            Numbers::I64(v) => v.len(),
        }
    }

    /// As files have them.
    pub(super) fn little_endian(&self) -> Vec<u8> {
        match self {
            Numbers::F64(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Numbers::F32(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Numbers::I64(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// The name of their type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Numbers::F64(_) => "f64",
            Numbers::F32(_) => "f32",
            Numbers::I64(_) => "i64",
        }
    }

    /// `total` numbers, of which `place` says where each is: in which of `all`, which are of one type, and there at which
    /// position.
    pub(super) fn pick(all: &[&Numbers], total: usize, place: impl Fn(usize) -> (usize, usize)) -> Numbers {
        macro_rules! of {
            ($kind:ident) => {{
                let slices: Vec<_> =
                    all.iter().filter_map(|n| if let Numbers::$kind(v) = n { Some(v) } else { None }).collect();
                Numbers::$kind((0..total).map(place).map(|(which, at)| slices[which][at]).collect())
            }};
        }
        match all[0] {
            Numbers::F64(_) => of!(F64),
            Numbers::F32(_) => of!(F32),
            Numbers::I64(_) => of!(I64),
        }
    }
}

/// An array of the NPZ that is no column.
#[derive(Clone, Debug)]
pub struct Array {
    /// Name in the NPZ.
    pub name: &'static str,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// C order.
    pub values: Numbers,
}

/// Version of the files' layout; changes when a column's meaning or an axis does.
pub const SCHEMA: u32 = 3;

/// The noise level of each timestep: the array of the NPZ, the list of the manifest, the column of the CSV. Earlier versions call
/// it `noise`, and their CSV has none.
pub const SIGMA: &str = "sigma";

/// A measure's results.
#[derive(Clone, Debug)]
pub struct Table {
    /// Of which it is: its name is that of the files, and it says what the columns mean.
    pub measure: &'static dyn Measure,
    /// Version of the layout; changes when a column's meaning or an axis does.
    pub schema: u32,
    /// Outermost first.
    pub axes: Vec<TableAxis>,
    /// In the order of the files.
    pub columns: Vec<TableColumn>,
    /// In the order of the NPZ, before the columns.
    pub arrays: Vec<Array>,
    /// What else the manifest says of the columns, a JSON object.
    pub facts: Value,
}

impl Table {
    /// Sizes of the axes.
    pub fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|a| a.labels.len()).collect()
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Result<&TableColumn> {
        let found = self.columns.iter().find(|c| c.about.name == name);
        found.ok_or_else(|| Error::invalid(self.measure, format!("column '{name}' is missing")))
    }

    /// The array of that name.
    pub fn array(&self, name: &str) -> Result<&Array> {
        let found = self.arrays.iter().find(|a| a.name == name);
        found.ok_or_else(|| Error::invalid(self.measure, format!("array '{name}' is missing")))
    }

    /// The noise level of each timestep, of a table that has timesteps.
    pub fn levels(&self) -> Result<&[f64]> {
        match &self.array(SIGMA)?.values {
            Numbers::F64(sigma) => Ok(sigma),
            _ => Ok(&[]),
        }
    }

    /// The noise level of a place in C order; none if the table has no timesteps.
    pub fn sigma(&self, place: usize) -> Option<f64> {
        let (own, sigma) = (self.axes.iter().position(|a| a.name == TIMESTEP.name)?, self.levels().ok()?);
        let inner: usize = self.axes[own + 1..].iter().map(|a| a.labels.len()).product();
        sigma.get(place / inner.max(1) % sigma.len().max(1)).copied()
    }

    /// Places, in C order, whose results are marked: NaN, because the field was not finite there.
    pub fn marked(&self) -> Vec<usize> {
        let Ok(column) = self.column(self.measure.info().marked) else { return vec![] };
        (0..column.values.len()).filter(|&i| !column.values[i].is_finite()).collect()
    }

    /// Marked places in words, how many and which; none if every result is finite.
    pub fn told(&self) -> Option<String> {
        let marked = self.marked();
        let (n, all) = (marked.len(), self.shape().iter().product::<usize>());
        let mut named: Vec<String> = marked.iter().take(NAMED).map(|&i| self.place(i)).collect();
        if n > NAMED {
            named.push(format!("and {} more", n - NAMED));
        }
        let said = "not finite: marked NaN, and left out of every statistic";
        (n > 0).then(|| format!("{n} of {all} results are {said}: {}", named.join("; ")))
    }

    /// `told` as a line of its own; nothing if every result is finite.
    pub fn left_out(&self) -> String {
        self.told().map_or(String::new(), |told| told + "\n")
    }

    /// A place in words.
    fn place(&self, mut i: usize) -> String {
        let mut words = vec![];
        for axis in self.axes.iter().rev() {
            let n = axis.labels.len();
            words.push(format!("{} {}", axis.name, axis.labels.text(i % n)));
            i /= n;
        }
        words.reverse();
        words.join(", ")
    }

    /// Refuses columns and arrays whose length is not their shape's.
    pub(super) fn check(&self) -> Result<()> {
        // Axes may come from a shard's manifest: their product need not be a number.
        let fits = |shape: &[usize], found: usize| {
            shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_some_and(|expected| expected == found)
        };
        let fail = |what: String, found: usize, shape: &[usize]| {
            Err(Error::invalid(format!("{} {what}", self.measure), format!("{found} values, expected {shape:?}")))
        };
        let shape = self.shape();
        if let Some(c) = self.columns.iter().find(|c| !fits(&shape, c.values.len())) {
            return fail(format!("column '{}'", c.about.name), c.values.len(), &shape);
        }
        if let Some(a) = self.arrays.iter().find(|a| !fits(&a.shape, a.values.len())) {
            return fail(format!("array '{}'", a.name), a.values.len(), &a.shape);
        }
        Ok(())
    }
}
