//! What a path's shader is told of one point. In: a path, an anchor, a segment or a place on a smooth curve. Out: `Lane`.
use super::{Anchor, ClosedPath};
use crate::error::{Error, Result};

/// One lane of a path shader: the segment from `node` to `node + 1`. `struct Lane` of `shaders/lib/lane.wgsl`, same order.
#[repr(C)]
#[derive(bytemuck::Pod, bytemuck::Zeroable, Clone, Copy, Debug, Default, PartialEq)]
pub struct Lane {
    /// The lane's row in the first table of its path (`ClosedPath::tables`), or the first of its rows; `Tile` sets it.
    pub table0: u32,
    /// Number of the path among those that were launched; `Tile` sets it.
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
    /// A whole number of the path's own: its file says which.
    pub n0: u32,
    /// See `n0`.
    pub n1: u32,
    /// Like `table0`, in the second table of its path.
    pub table1: u32,
    /// Factor of the clean image.
    pub a: f32,
    /// Standard deviation of the noise.
    pub sigma: f32,
    /// A number of the path's own: its file says which.
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

/// The lane of one segment; `table0`, `table1`, `path`, `row`, `alpha` and `beta` are left to the caller.
pub fn lane(path: &dyn ClosedPath, anchor: &Anchor, segment: u32) -> Lane {
    let node = anchor.wrap(segment);
    let mut lane = Lane { node, ..blank(anchor) };
    path.fill_lane(anchor, node, &mut lane);
    lane
}

/// The lane of a point y(t) of a path as a smooth curve: its step is y'(t). The rest as in `lane`.
pub fn tangent_lane(path: &dyn ClosedPath, anchor: &Anchor, piece: u32, t: f64) -> Result<Lane> {
    let smooth = path.smooth().ok_or_else(|| Error::invalid(format!("path {}", path.name()), "is not smooth"))?;
    let mut lane = blank(anchor);
    smooth.fill_tangent(anchor, piece, t, &mut lane);
    Ok(lane)
}

/// What every lane of this anchor carries.
fn blank(anchor: &Anchor) -> Lane {
    Lane {
        sample: anchor.sample,
        k: anchor.k,
        count: anchor.segments,
        a: anchor.a as f32,
        sigma: anchor.sigma as f32,
        gauss: (-1.0 / (anchor.a * anchor.a + anchor.sigma * anchor.sigma)) as f32,
        ..Lane::default()
    }
}
