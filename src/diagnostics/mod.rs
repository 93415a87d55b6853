//! What is measured of a field. One file per diagnostic; each builds a program (points, field, reduction over D on the
//! GPU), sweeps it, and sums on the host in f64.
mod adaptive;
mod asymmetry;
mod circulation;
mod columns;
mod curl;
mod derivatives;
mod directional;
mod export;
mod jacobian;
mod likelihood;
mod nested;
mod points;
mod progress;
mod queries;
mod scores;
mod stein;
mod sums;
mod work;

use crate::error::{Error, Result};
use crate::run::{About, Part, Table};

pub use adaptive::FLOOR;
pub use asymmetry::{AsymmetryOptions, asymmetry, asymmetry_lanes, asymmetry_part};
pub use circulation::{CirculationRun, Options, Quadrature, circulation_bytes};
pub use columns::{circulation, circulation_evaluations};
pub use curl::{CurlOptions, Method, STEP, curl, curl_lanes, curl_part};
pub use directional::{Directional, Found, directional};
pub use export::PathExport;
pub use jacobian::{jacobian, jacobian_lanes, jacobian_part};
pub use likelihood::{LikelihoodOptions, likelihood, likelihood_lanes, likelihood_part};
pub use nested::{Nested, Node};
pub use points::Selection;
pub use progress::Progress;
pub use scores::{Integrated, Scores, integrate};
pub use stein::{Divergence, SteinOptions, stein, stein_lanes, stein_part};

/// Every measure whose columns are not `run::schema`'s: its name and what its columns say.
pub fn measures() -> Vec<(&'static str, Vec<About>)> {
    fn about<Row>(columns: &[points::Column<Row>]) -> Vec<About> {
        columns.iter().map(|c| c.0).collect()
    }
    vec![
        ("curl", about(curl::COLUMNS)),
        ("asymmetry", about(asymmetry::COLUMNS)),
        ("stein", about(stein::COLUMNS)),
        ("jacobian", about(jacobian::COLUMNS)),
        ("likelihood", about(likelihood::COLUMNS)),
    ]
}

/// The table of a part that has all samples, of any measure but circulation, whose columns are `circulation`'s.
pub fn finish(part: Part) -> Result<Table> {
    match part.measure {
        "curl" => curl::finish(part),
        "asymmetry" => asymmetry::finish(part),
        "stein" => stein::finish(part),
        "jacobian" => jacobian::finish(part),
        "likelihood" => likelihood::finish(part),
        other => Err(Error::invalid("measure", format!("'{other}' has no table"))),
    }
}
