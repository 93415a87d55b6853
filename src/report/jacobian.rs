//! What a person looks at of a run of full Jacobians. In: the run's table. Out: text and JSON rows.
use super::timesteps::{self, Shown};
use crate::error::Result;
use crate::run::Table;

/// What the table shows.
#[rustfmt::skip]
pub const SHOWN: &[Shown] = &[
    Shown { heading: "nasym",       column: "nasym",         quartiles: true },
    Shown { heading: "|J|^2",       column: "fro2",          quartiles: false },
    Shown { heading: "tr J",        column: "trace",         quartiles: false },
    Shown { heading: "tr J^2",      column: "trace2",        quartiles: false },
    Shown { heading: "max dJ",      column: "asymmetry_max", quartiles: false },
    Shown { heading: "arithm.",     column: "arithmetic",    quartiles: false },
];

/// The table.
pub fn text(table: &Table) -> Result<String> {
    let text = timesteps::text(table, SHOWN)? + &timesteps::verdicts(table)?;
    Ok(text + "nasym = |J-J'|²/(4|J|²): 0 for a gradient, 1 for an antisymmetric Jacobian; max dJ: largest |Jab-Jba|.\n")
}
