//! What is measured of a field. One file per diagnostic; each builds a program (points, field, reduction over D on the
//! GPU), sweeps it, and sums on the host in f64.
mod adaptive;
mod asymmetry;
mod circulation;
mod curl;
mod derivatives;
mod directional;
mod export;
mod jacobian;
mod likelihood;
mod nested;
mod points;
mod queries;
mod scores;
mod stein;
mod sums;
mod work;

use crate::run::About;

pub use adaptive::FLOOR;
pub use asymmetry::{AsymmetryOptions, asymmetry, asymmetry_lanes};
pub use circulation::{CirculationRun, Options, Quadrature};
pub use curl::{CurlOptions, Method, STEP, curl, curl_lanes};
pub use directional::{Directional, Found, directional};
pub use export::{MOST_EXPORTED, PathExport, exported_bytes};
pub use jacobian::{jacobian, jacobian_lanes};
pub use likelihood::{LikelihoodOptions, likelihood, likelihood_lanes};
pub use nested::{Nested, Node};
pub use points::Selection;
pub use scores::integrate;
pub use stein::{Divergence, SteinOptions, stein, stein_lanes};

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
