//! The plots of a circulation run: one box plot over timesteps per normalisation, one colour per path (Figs. 2, 5, 6).
//! In: the run's table, a line about the run. Out: SVG files by name.
use crate::error::Result;
use crate::run::{Plots, Table};
use crate::summary::Results;
use crate::summary::boxplot::{Boxed, Figure, Series, svg};

/// One figure: which column it shows, and how it calls it.
pub struct Plot {
    /// Place in the run directory.
    pub file: &'static str,
    /// Its name.
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

/// Every plot of the table; `about` is a line on model and data below the title.
pub fn all(table: &Table, about: &str) -> Result<Plots> {
    let results = Results::even_empty(table)?;
    PLOTS.iter().map(|plot| Ok((plot.file, one(&results, plot, about)?))).collect()
}

fn one(results: &Results, plot: &Plot, about: &str) -> Result<String> {
    let statistic = results.statistic(plot.column)?;
    let timesteps: Vec<usize> = results.timesteps.iter().map(|t| t.0).collect();
    let boxed = |path: usize, timestep: usize| Boxed::of(&results.cell(statistic, path, timestep));
    let series = |(path, name): (usize, &String)| Series {
        name: name.clone(),
        boxes: (0..timesteps.len()).map(|timestep| boxed(path, timestep)).collect(),
    };
    svg(&Figure {
        title: plot.title,
        about,
        label: plot.label,
        timesteps: &timesteps,
        of: format!("{} samples", results.samples),
        series: results.paths.iter().enumerate().map(series).collect(),
    })
}
