//! The dispatch of a path shader as plain data: one workgroup per lane, midpoints and steps out.
use super::ClosedPath;
use crate::program::{Access, BufferId, Builder, Grid, Kernel, Part, Step};

/// What a path's step reads and writes; all flat, `[row][D rounded up to 4]`.
#[derive(Clone, Copy, Debug)]
pub struct PathPorts {
    /// `Lane` of each lane.
    pub lanes: BufferId,
    /// Clean images and pairings, one row per anchor.
    pub x0: BufferId,
    /// Table of `pairs`, for paths that use it.
    pub pairs: BufferId,
    /// Midpoints and steps, one row per lane.
    pub x: BufferId,
    /// Steps.
    pub d: BufferId,
}

/// Appends the step of `path`, which is `PATHS[index]`. Lanes of other paths are left alone.
pub fn launch(program: &mut Builder, path: &dyn ClosedPath, index: u32, dim: usize, seed: u64, ports: PathPorts) {
    let stride = dim.div_ceil(4) * 4;
    let mut bindings = vec![
        ("lanes", ports.lanes, Access::Read),
        ("x0", ports.x0, Access::Read),
        ("x", ports.x, Access::Write),
        ("d", ports.d, Access::Write),
    ];
    if path.uses_pairs() {
        bindings.push(("pairs", ports.pairs, Access::Read));
    }
    program.push(Step {
        label: format!("path {}", path.name()),
        op: "path",
        kernel: Kernel { shader: path.shader(), constants: vec![] },
        bindings,
        part: Part::All,
        immediates: vec![
            ("dim", dim as u32),
            ("stride", stride as u32),
            ("path", index),
            ("seed_lo", seed as u32),
            ("seed_hi", (seed >> 32) as u32),
        ],
        grid: Grid { items: 1, workgroup: 1, groups: 1 },
        flops: 0,
        bytes: 12 * stride as u64,
    });
}
