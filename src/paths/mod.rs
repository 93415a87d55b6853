//! Closed paths through noisy data (paper, section 3.2, Fig. 1): one file per path, its kernel if it needs one of its own, and
//! one line of `paths!`. In: what a user names, `NAME?key=value&..`. Out: objects that own their parameters, say what their
//! shader reads of a lane and which tables it binds, and are the f64 twin of the shader (`ClosedPath::point`). The
//! random paths start at the same x_t = a x_0 + sigma eps; node N is node 0 by index, so a path is closed exactly.
mod lane;
pub mod normal;
pub mod philox;
mod tables;

use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::spec::{Params, Spec};
use philox::{DRAW_LIMIT, Purpose, Stream};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

pub use lane::{Lane, lane, tangent_lane};
pub use tables::{PathPorts, Table, Tables, Tile};

/// From one line per path: its module, its row of `PATHS` and of `HELP`, and the kernels of `shaders/` that are its own, for
/// `KERNELS`.
macro_rules! paths {
    ($($path:ident $about:literal [$($kernel:literal),*])*) => {
        $(pub mod $path;)*

        /// Every closed path: name, what it is, how it is made of its parameters.
        pub const PATHS: &[(&str, &str, Make)] = &[$((stringify!($path), $about, $path::make)),*];

        /// What a list of paths can be, for the help of command lines.
        pub(crate) const HELP: &str = concat!(
            "Closed paths, comma-separated, with parameters as in projection?arcs=5:"
            $(, "\n- ", stringify!($path), ": ", $about)*
        );

        /// The paths' kernels: names and texts.
        pub(crate) const KERNELS: &[(&str, &str)] =
            &[$($(($kernel, include_str!(concat!("../../shaders/", $kernel, ".wgsl"))),)*)*];
    };
}

paths! {
    brownian "x_t and a Brownian bridge: leaves the typical set of the noise" ["path_brownian"]
    rotation "the noise turned in random planes: as probable as x_t everywhere" ["path_rotation"]
    projection "a ring of noisings of one image; parameter arcs (10), which must divide the points" ["path_projection"]
    polyline "a polygon of your own, nodes in the space of the noisy data; parameter file: floating-point NPY, NPZ or safetensors \
              of nodes [N, C, H, W], as many as a loop has points, or of one loop per sample, one after the other" ["path_polyline"]
}

/// Where a path is to run: the shape of a point, and what 0 and 255 of 8-bit images map to.
pub type Space = (Shape, [f64; 2]);

/// Makes a path of its parameters; those that it leaves are refused.
pub type Make = fn(Space, &mut Params) -> Result<Arc<dyn ClosedPath>>;

/// The path that `NAME?key=value&..` names; shape and range are for paths that read files of points.
pub fn open(spec: impl Into<Spec>, space: Space) -> Result<Arc<dyn ClosedPath>> {
    let spec = &spec.into();
    let unknown = |name: &str| {
        let known: Vec<_> = PATHS.iter().map(|p| p.0).collect();
        Error::invalid("path", format!("'{name}' is not one of {}", known.join(", ")))
    };
    let (name, mut params) = spec.named("")?.ok_or_else(|| unknown(&spec.to_string()))?;
    let Some((_, _, make)) = PATHS.iter().find(|p| p.0 == name) else { return Err(unknown(&name)) };
    let path = make(space, &mut params)?;
    params.finish(&name)?;
    Ok(path)
}

/// The three paths of the paper.
pub fn of_the_paper() -> Vec<Arc<dyn ClosedPath>> {
    vec![Arc::new(brownian::Brownian), Arc::new(rotation::Rotation), Arc::new(projection::Projection::default())]
}

/// What each path is besides its name, by name: for manifests, and to tell two runs apart.
pub fn parameters(paths: &[Arc<dyn ClosedPath>]) -> Value {
    paths.iter().map(|path| (path.name().to_string(), Value::Object(path.parameters()))).collect()
}

/// What a query is keyed by; everything a point depends on besides its path.
#[derive(Clone, Copy, Debug)]
pub struct Anchor<'a> {
    /// Key of the generator.
    pub seed: u64,
    /// Row of the data file.
    pub sample: u32,
    /// Timestep: the network's 0-based index.
    pub k: u32,
    /// Factor of the clean image.
    pub a: f64,
    /// Standard deviation of the noise.
    pub sigma: f64,
    /// c of the Brownian path: 1 on VP, sigma on VE.
    pub bridge_scale: f64,
    /// Clean image, D components in C order over (C, H, W).
    pub x0: &'a [f32],
    /// N, the number of segments.
    pub segments: u32,
}

impl Anchor<'_> {
    /// The node's index on the circle: node N is node 0.
    fn wrap(&self, node: u32) -> u32 {
        node % self.segments.max(1)
    }

    /// a x_0 + sigma z. The GPU holds a and sigma in f32, and these rounded values define the point: the twin uses
    /// them, so that a comparison sees the kernel's arithmetic and not the rounding of its input (6e-8 |x|).
    fn noised(&self, noise: &[f64]) -> Vec<f64> {
        let (a, sigma) = (f64::from(self.a as f32), f64::from(self.sigma as f32));
        self.x0.iter().zip(noise).map(|(&x0, z)| a * f64::from(x0) + sigma * z).collect()
    }
}

/// A closed path of N nodes with its parameters. `check` comes first: the others assume what it grants.
pub trait ClosedPath: Debug + Send + Sync {
    /// Name in tables and files; no two paths of a run have the same.
    fn name(&self) -> &'static str;
    /// What decides on its points besides its name, as manifests have it.
    fn parameters(&self) -> Map<String, Value> {
        Map::new()
    }
    /// File name in `shaders/`, without `.wgsl`, or the name of `source`. Its points are those of the lanes that have the
    /// path's index; it leaves the others alone.
    fn shader(&self) -> &'static str;
    /// WGSL of the shader, where it is not in `shaders/`.
    fn source(&self) -> Option<Cow<'static, str>> {
        None
    }
    /// What the shader binds besides lanes, points and steps: the clean images, if the path does not say otherwise. At most
    /// two tables, for that many places of its rows a lane has.
    fn tables(&self) -> &'static [Table] {
        &[Table::Images]
    }
    /// A lane's rows in a table of the path's own, by the table's name: D words each, as bits. `segment` is the lane's
    /// segment, or its piece of a smooth curve.
    fn rows(&self, _table: &str, _anchor: &Anchor, _segment: u32) -> Vec<u32> {
        vec![]
    }
    /// Refuses what the path is not defined for: points of `dim` components, `segments` of a loop, loops of the first
    /// `samples` images.
    fn check(&self, dim: usize, segments: usize, samples: usize) -> Result<()>;
    /// Sets the fields of a lane that are this path's own; `lane` sets the others.
    fn fill_lane(&self, anchor: &Anchor, segment: u32, lane: &mut Lane);
    /// A node in f64: the twin of the shader.
    fn point(&self, anchor: &Anchor, node: u32) -> Vec<f64>;
    /// The curve that the nodes lie on, if it is smooth: rules of high order need that.
    fn smooth(&self) -> Option<&dyn SmoothPath> {
        None
    }
}

/// What a smooth closed path is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// One smooth periodic curve, t in [0, 2 pi).
    Periodic,
    /// A ring of this many smooth arcs, t in [0, 1] on each.
    Arcs(u32),
}

/// A path as a curve y(t) with its derivative: the integral of s(y) . y'(t) over t is the circulation.
pub trait SmoothPath {
    /// Its pieces.
    fn curve(&self) -> Curve;
    /// Sets the fields of a lane that are this path's own, so that its point is y(t) and its step y'(t).
    fn fill_tangent(&self, anchor: &Anchor, piece: u32, t: f64, lane: &mut Lane);
    /// y(t) and y'(t) in f64: the twin of the shader.
    fn tangent(&self, anchor: &Anchor, piece: u32, t: f64) -> [Vec<f64>; 2];
}

/// x_t = a x_0 + sigma eps in f64, where every random path starts.
pub fn start(anchor: &Anchor) -> Vec<f64> {
    anchor.noised(&eps(anchor, 0))
}

/// Noise of one draw in f64; draw 0 is the eps of x_t. It is kept, never recomputed from x.
pub fn eps(anchor: &Anchor, draw: u32) -> Vec<f64> {
    let Anchor { seed, sample, k, x0, .. } = *anchor;
    normal::normals(&Stream { seed, purpose: Purpose::Eps, draw, sample, k }, x0.len())
}

/// What every path asks: enough components and a number of nodes that fits its counter word.
fn check_sizes(path: &str, dim: usize, least: usize, segments: usize) -> Result<()> {
    // Two bits of a pairing entry are flags.
    if dim < least || dim >= 1 << 30 {
        return Err(Error::invalid(format!("path {path}"), format!("{dim} components; it needs {least} to 2^30 - 1")));
    }
    if segments < 2 || segments >= DRAW_LIMIT as usize {
        return Err(Error::invalid(format!("path {path}"), format!("{segments} segments; it needs 2 to 2^24 - 1")));
    }
    Ok(())
}
