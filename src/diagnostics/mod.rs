//! How measures are measured. One file per diagnostic; each builds a program (points, field, reduction over D on the
//! GPU), sweeps it, and sums on the host in f64. What becomes of the numbers is said in `measures`.
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
mod numbers;
mod options;
mod points;
mod progress;
mod queries;
mod scores;
mod stein;
mod work;

pub use adaptive::FLOOR;
pub use asymmetry::{AsymmetryOptions, asymmetry, asymmetry_lanes, asymmetry_part};
pub use circulation::{CirculationRun, circulation_bytes};
pub use curl::{CurlOptions, Method, STEP, curl, curl_lanes, curl_part};
pub use directional::{Directional, Found, directional};
pub use export::PathExport;
pub use jacobian::{jacobian, jacobian_lanes, jacobian_part};
pub use likelihood::{LikelihoodOptions, likelihood, likelihood_lanes, likelihood_part};
pub use nested::{Nested, Node};
pub use options::{Options, Quadrature};
pub use points::Selection;
pub use progress::Progress;
pub use scores::{Integrated, Scores, integrate};
pub use stein::{Divergence, SteinOptions, stein, stein_lanes, stein_part};
