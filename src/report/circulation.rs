//! The plots of a circulation run: one box plot over timesteps per normalisation, one colour per path (Figs. 2, 5, 6).
//! In: checked loops, a line about the run. Out: SVG files by name.
use super::Cell;
use super::boxplot::{Boxed, Figure, Series, svg};
use crate::error::{Error, Result};
use crate::run::Loops;
use crate::run::schema::column;

/// One figure: which column of the schema it shows, and how it calls it.
pub struct Plot {
    /// Place in the run directory.
    pub file: &'static str,
    /// Name in `run::schema::COLUMNS`.
    pub column: &'static str,
    /// Above the plot.
    pub title: &'static str,
    /// Of the vertical axis.
    pub label: &'static str,
}

/// Every plot of a run.
#[rustfmt::skip]
pub const PLOTS: &[Plot] = &[
    Plot { file: "plots/abs_integral.svg",           column: "abs_integral",           title: "Circulation of the learned field",             label: "|Γ| = |∮ s·dx|  (nat)" },
    Plot { file: "plots/integral_over_norm_sum.svg", column: "integral_over_norm_sum", title: "Circulation relative to the flow −x",          label: "|Γ| / ∮|x||dx|  (nat / x²)" },
    Plot { file: "plots/integral_over_length.svg",   column: "integral_over_length",   title: "Circulation per unit of path length",          label: "|Γ| / ∮|dx|  (nat / x)" },
    Plot { file: "plots/integral_over_abs.svg",      column: "integral_over_abs",      title: "Share of the field's work that does not cancel", label: "|Γ| / ∮|s·dx|  (scale-free)" },
];

/// Every plot of the table, as (name in the run directory, SVG).
pub fn all(loops: &Loops, about: &str) -> Result<Vec<(&'static str, String)>> {
    PLOTS.iter().map(|plot| Ok((plot.file, one(loops, plot, about)?))).collect()
}

/// One plot; `about` is a line on model and data below the title.
pub fn one(loops: &Loops, plot: &Plot, about: &str) -> Result<String> {
    let column = column(plot.column).ok_or_else(|| Error::invalid(plot.file, "its column is not in the schema"))?;
    let data = loops.data();
    let boxed = |path: usize, timestep: usize| Boxed::of(&Cell::of_loops(loops, column, path, timestep));
    let series = |(path, name): (usize, &String)| Series {
        name: name.clone(),
        boxes: (0..data.timesteps.len()).map(|timestep| boxed(path, timestep)).collect(),
    };
    svg(&Figure {
        title: plot.title,
        about,
        label: plot.label,
        timesteps: &data.timesteps,
        of: format!("{} samples", data.samples),
        series: data.paths.iter().enumerate().map(series).collect(),
    })
}
