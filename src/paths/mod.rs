//! Closed paths through noisy data (paper, section 3.2, Fig. 1): one file per path and one line in `PATHS`.
//! In: what a point is keyed by (seed, sample, timestep, node) and the clean image. Out: what a lane of the path's
//! shader reads (`Lane`), and the f64 twin of the shader (`ClosedPath::point`). The random paths start at
//! the same x_t = a x_0 + sigma eps; node N is node 0 by index, so a path is closed exactly.
mod brownian;
mod launch;
pub mod normal;
pub mod philox;
mod polyline;
mod projection;
mod rotation;

use crate::error::{Error, Result};
use philox::{DRAW_LIMIT, Purpose, Stream};

pub use launch::{PathPorts, launch};
pub use polyline::check_nodes;
pub use rotation::{FIXED, MINUS, pairs};

/// The paper's m: noisings in the ring of a projection path.
pub const ARCS: u32 = 10;

/// What a query is keyed by; everything a point depends on.
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
    /// m of the projection path; divides N.
    pub arcs: u32,
    /// Nodes of a polyline, `[N, D]`; empty for the other paths, which make their own.
    pub nodes: &'a [f32],
}

impl Anchor<'_> {
    /// The node's index on the circle: node N is node 0.
    fn wrap(&self, node: u32) -> u32 {
        node % self.segments.max(1)
    }

    /// A node of the polyline.
    pub fn node(&self, node: u32) -> &[f32] {
        let d = self.x0.len();
        self.nodes.get(self.wrap(node) as usize * d..).and_then(|rest| rest.get(..d)).unwrap_or_default()
    }

    /// a x_0 + sigma z. The GPU holds a and sigma in f32, and these rounded values define the point: the twin uses
    /// them, so that a comparison sees the kernel's arithmetic and not the rounding of its input (6e-8 |x|).
    fn noised(&self, noise: &[f64]) -> Vec<f64> {
        let (a, sigma) = (f64::from(self.a as f32), f64::from(self.sigma as f32));
        self.x0.iter().zip(noise).map(|(&x0, z)| a * f64::from(x0) + sigma * z).collect()
    }
}

/// One lane of a path shader: the segment from `node` to `node + 1`. `struct Lane` of `shaders/lib/lane.wgsl`, same order.
#[repr(C)]
#[derive(bytemuck::Pod, bytemuck::Zeroable, Clone, Copy, Debug, Default, PartialEq)]
pub struct Lane {
    /// Row of the clean images and of the pairings; of a polyline's segment, the first of its two nodes.
    pub anchor: u32,
    /// Index in `PATHS`.
    pub path: u32,
    /// Row of the data file.
    pub sample: u32,
    /// Timestep.
    pub k: u32,
    /// The segment's first node.
    pub node: u32,
    /// N.
    pub count: u32,
    /// Row of per-timestep tables; the caller's.
    pub row: u32,
    /// Projection: the draws at the two ends of the arc, and their number m.
    pub arc0: u32,
    /// Draw at the end of the arc.
    pub arc1: u32,
    /// m.
    pub arcs: u32,
    /// Factor of the clean image.
    pub a: f32,
    /// Standard deviation of the noise.
    pub sigma: f32,
    /// Rotation: cos, sin at the first node, cos, sin at the second. Brownian: p0 = c sqrt(U/N).
    /// Projection: p0, p1 = how far along the arc the two nodes are, in [0, 1]; p2 = 1: the step is y'(p0) instead.
    pub p0: f32,
    /// See `p0`.
    pub p1: f32,
    /// See `p0`.
    pub p2: f32,
    /// See `p0`.
    pub p3: f32,
    /// score = alpha x + beta (network output); the caller's.
    pub alpha: f32,
    /// See `alpha`.
    pub beta: f32,
    /// The N(0, I) data score is gauss x: -1/(a^2 + sigma^2).
    pub gauss: f32,
    /// Where on the segment the field is asked for, in steps from the midpoint: 0, or a Gauss point of the quadrature check.
    pub shift: f32,
}

/// A closed path of N nodes. `check` comes first: the others assume what it grants.
pub trait ClosedPath: Sync {
    /// Name in `PATHS`.
    fn name(&self) -> &'static str;
    /// File name in `shaders/`, without `.wgsl`.
    fn shader(&self) -> &'static str;
    /// Whether the shader binds the table of `pairs`.
    fn uses_pairs(&self) -> bool;
    /// Whether the anchor's `nodes` are the path, two rows per lane in the place of its clean image.
    fn uses_nodes(&self) -> bool {
        false
    }
    /// Refuses what the path is not defined for.
    fn check(&self, dim: usize, segments: usize, arcs: u32) -> Result<()>;
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
pub trait SmoothPath: Sync {
    /// Its pieces; `arcs` is m of the projection path.
    fn curve(&self, arcs: u32) -> Curve;
    /// Sets the fields of a lane that are this path's own, so that its point is y(t) and its step y'(t).
    fn fill_tangent(&self, anchor: &Anchor, piece: u32, t: f64, lane: &mut Lane);
    /// y(t) and y'(t) in f64: the twin of the shader.
    fn tangent(&self, anchor: &Anchor, piece: u32, t: f64) -> [Vec<f64>; 2];
}

/// Every closed path.
pub const PATHS: &[&dyn ClosedPath] =
    &[&brownian::Brownian, &rotation::Rotation, &projection::Projection, &polyline::Polyline];

/// A path by name, with its index in `PATHS` (which lanes carry).
pub fn find(name: &str) -> Result<(u32, &'static dyn ClosedPath)> {
    let index = PATHS.iter().position(|p| p.name() == name).ok_or_else(|| {
        let known: Vec<_> = PATHS.iter().map(|p| p.name()).collect();
        Error::invalid("path", format!("'{name}' is not one of {}", known.join(", ")))
    })?;
    Ok((index as u32, PATHS[index]))
}

/// The lane of one segment of `PATHS[path]`; `anchor` row, `row`, `alpha` and `beta` are left to the caller.
pub fn lane(path: u32, anchor: &Anchor, segment: u32) -> Result<Lane> {
    let (node, found) = (anchor.wrap(segment), by_index(path)?);
    let mut lane = Lane { node, ..blank(path, anchor) };
    found.fill_lane(anchor, node, &mut lane);
    Ok(lane)
}

/// The lane of a point y(t) of `PATHS[path]` as a smooth curve: its step is y'(t). The rest as in `lane`.
pub fn tangent_lane(path: u32, anchor: &Anchor, piece: u32, t: f64) -> Result<Lane> {
    let found = by_index(path)?;
    let smooth = found.smooth().ok_or_else(|| Error::invalid(format!("path {}", found.name()), "is not smooth"))?;
    let mut lane = blank(path, anchor);
    smooth.fill_tangent(anchor, piece, t, &mut lane);
    Ok(lane)
}

fn by_index(path: u32) -> Result<&'static dyn ClosedPath> {
    PATHS.get(path as usize).copied().ok_or_else(|| {
        Error::invalid("path", format!("index {path} is not below {}, the number of paths", PATHS.len()))
    })
}

/// What every lane of this anchor carries.
fn blank(path: u32, anchor: &Anchor) -> Lane {
    Lane {
        path,
        sample: anchor.sample,
        k: anchor.k,
        count: anchor.segments,
        a: anchor.a as f32,
        sigma: anchor.sigma as f32,
        gauss: (-1.0 / (anchor.a * anchor.a + anchor.sigma * anchor.sigma)) as f32,
        ..Lane::default()
    }
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
