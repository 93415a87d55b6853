//! The columns of a run of planes: what is known of one plane, every column that follows from it, and which errors apply to what.
//! In: planes with the sizes of their products. Out: a row; columns; rules.
use crate::measures::rows::Column;
use crate::run::{About, Applied, At, Rule};

/// What is known of one plane of one sample at one timestep; NaN where not.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Row {
    pub omega: f64,
    pub residual: f64,
    /// |A|^2 and its standard error, the same for all planes of a place.
    pub anti2: [f64; 2],
    /// sigma^2 where the field is a score.
    pub sigma2: f64,
    /// Blocks that were multiplied.
    pub steps: f64,
    /// The largest product of a unit vector at this place.
    pub size: f64,
    /// What A v of a unit vector is off by in units of `size`, where one of this plane's vectors was repeated.
    pub checked: f64,
    pub arithmetic: f64,
}

impl Row {
    /// 2 omega^2 / |A|^2; nothing turns in a plane of a field that does not turn.
    fn share(&self) -> f64 {
        if self.omega == 0.0 { 0.0 } else { 2.0 * self.omega * self.omega / self.anti2[0] }
    }

    fn share_error(&self) -> f64 {
        if self.omega == 0.0 { 0.0 } else { self.share() * self.anti2[1] / self.anti2[0] }
    }

    /// The larger error of omega.
    fn error(&self) -> f64 {
        self.residual.max(self.arithmetic)
    }
}

/// Every column, in the order of the files.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<Row>] = &[
    (About::new("omega",       "(u.A w - w.A u)/2, A = (J - J')/2", "nat/x^2",   "how fast the field turns in the plane"),          |r| r.omega),
    (About::new("turn",        "sigma^2 omega",               "1",         "the same beside 1, the size of sigma^2 J of pure noise; unknown of a map"), |r| r.sigma2 * r.omega),
    (About::new("residual",    "sqrt(|A w - omega u|^2 + |A u + omega w|^2)", "nat/x^2", "error of omega: how far the plane is from turning within itself"), |r| r.residual),
    (About::new("arithmetic",  "sqrt(2) |J| max |A v - f64| / |J|", "nat/x^2", "error of omega: planes recomputed in f64"),   |r| r.arithmetic),
    (About::new("share",       "2 omega^2 / |A|^2",           "1",         "the plane's share of all turning"),                       Row::share),
    (About::new("share_se",    "standard error over probes",  "1",         "error of share"),                                         Row::share_error),
    (About::new("anti2",       "|A|^2 = 2 sum omega^2 + E |A v - A_r v|^2", "nat^2/x^4", "squared size of all turning, the same for all planes: those found exactly, the rest by probes"), |r| r.anti2[0]),
    (About::new("anti2_se",    "standard error over probes",  "nat^2/x^4", "error of anti2"),                                         |r| r.anti2[1]),
    (About::new("steps",       "blocks multiplied",           "1",         "how long the search was, the same for all planes"),       |r| r.steps),
    (About::new("error",       "largest of the errors",       "nat/x^2",   "what omega is uncertain by"),                             Row::error),
];

/// Which errors apply to what.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    Rule { statistics: &["omega"], errors: &[
        Applied::always("residual", |at| at.get("residual")), Applied::always("arithmetic", |at| at.get("arithmetic")),
    ] },
    Rule { statistics: &["turn"], errors: &[
        Applied::always("residual", |at| at.sigma().powi(2) * at.get("residual")),
        Applied::always("arithmetic", |at| at.sigma().powi(2) * at.get("arithmetic")),
    ] },
    Rule { statistics: &["share"], errors: &[
        Applied::always("share_se", |at| at.get("share_se")),
        Applied::always("residual", |at| of_share(at, at.get("residual"), 0.0)),
        Applied::always("arithmetic", |at| of_share(at, at.get("arithmetic"), of_size(at))),
    ] },
    Rule { statistics: &["anti2"], errors: &[
        Applied::always("anti2_se", |at| at.get("anti2_se")), Applied::always("arithmetic", of_size),
    ] },
];

/// What |A|^2 = E |A v|^2 is off by where A v of a unit vector is off by `arithmetic` / sqrt 2: by the triangle inequality, as
/// every probe is of length sqrt(D).
fn of_size(at: &At) -> f64 {
    let each = at.get("arithmetic") * (at.fact("dimensions") / 2.0).sqrt();
    2.0 * at.get("anti2").max(0.0).sqrt() * each + each * each
}

/// What a share is off by where omega is off by `omega`, and |A|^2 by `size`.
fn of_share(at: &At, omega: f64, size: f64) -> f64 {
    let off = 4.0 * at.get("omega") * omega + 2.0 * omega * omega + at.get("share") * size;
    off / at.get("anti2").max(f64::MIN_POSITIVE)
}
