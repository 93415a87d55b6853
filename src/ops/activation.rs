//! SiLU on the store of a kernel, for values and tangents: y = silu(z) and y' = silu'(z) z', z the primal's sum and z' a
//! tangent's. A kernel that stores its own sums cannot see another lane's z, so it runs twice: on the primals, which also
//! leave silu'(z) in a buffer, then on the tangents, which multiply by it. Shaders: `SILU`, `KEEP` and `SLOPED` of conv.
use super::{Lowering, Place};
use crate::program::{Access, BufferId, LaneRole};

/// One dispatch of such a kernel.
pub(super) struct Pass {
    pub role: LaneRole,
    /// Apply SiLU to the values stored.
    pub silu: bool,
    /// Of values: where their slopes go. Of tangents: where they come from.
    slope: Option<(BufferId, Access)>,
}

impl Pass {
    /// Without SiLU all lanes are alike.
    pub const LINEAR: Pass = Pass { role: LaneRole::All, silu: false, slope: None };

    /// The dispatches that store `place`; one where there are no tangents or no SiLU. Slopes go to `kept`, where others read them
    /// too, or else to a buffer that is free as soon as these are done.
    pub fn of(cx: &mut Lowering, silu: bool, kept: Option<BufferId>, place: &Place) -> Vec<Pass> {
        let tangents = cx.program.tangents() > 0;
        if !silu || !tangents && kept.is_none() {
            return vec![Pass { silu, ..Pass::LINEAR }];
        }
        let slope = kept
            .unwrap_or_else(|| cx.slope(16 * (place.shape.pixels() * place.blocks) as u64, 16 * place.blocks as u64));
        let loaded = cx.x_access();
        let values = Pass { role: LaneRole::Primals, silu, slope: Some((slope, Access::Write)) };
        let along = Pass { role: LaneRole::Tangents, silu: false, slope: Some((slope, loaded)) };
        [values].into_iter().chain(tangents.then_some(along)).collect()
    }

    /// Constants of the shader.
    pub fn constants(&self) -> [(&'static str, i64); 3] {
        let (keep, sloped) = (self.role == LaneRole::Primals, self.role == LaneRole::Tangents);
        [("SILU", self.silu as i64), ("KEEP", keep as i64), ("SLOPED", sloped as i64)]
    }

    /// Its binding; brings the image of the slopes up to date, where they are read through one.
    pub fn binding(&self, cx: &mut Lowering) -> Option<(&'static str, BufferId, Access)> {
        let (slope, access) = self.slope?;
        if access == Access::Image {
            cx.program.mirror(slope, cx.program.bytes_per_lane(slope));
        }
        Some(("slope", slope, access))
    }
}
