//! The last step of fields that make something else than a score: s = alpha x + beta raw, per lane. In: where the four lie. Out: a step.
use crate::program::{Access, BufferId, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;

/// Where a field's raw output lies, and where its score goes; rows as in `FieldLaunch`.
pub(super) struct Scored {
    pub lanes: BufferId,
    pub x: BufferId,
    pub raw: BufferId,
    pub s: BufferId,
}

/// The score of points of this shape, and of their tangents and cotangents.
pub(super) fn score_step(shape: Shape, at: Scored) -> Step {
    let flat = shape.flat_stride();
    Step {
        label: "score".into(),
        op: "score",
        kernel: Kernel { shader: "score", constants: vec![] },
        bindings: vec![
            ("lanes", at.lanes, Access::Read),
            ("x", at.x, Access::Read),
            ("raw", at.raw, Access::Read),
            ("s", at.s, Access::Write),
        ],
        role: LaneRole::All,
        immediates: vec![("flat", flat as u32)],
        grid: Grid { items: flat as u32, workgroup: 256, groups: 1 },
        flops: 3 * flat as u64,
        bytes: 12 * flat as u64,
    }
}
