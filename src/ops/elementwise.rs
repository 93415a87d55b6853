//! The step of an elementwise kernel (`shaders/lib/elementwise.wgsl`): one input, channels stay where they are.
use super::Launch;
use super::activation::Pass;
use crate::program::{Access, BufferId, Grid, Kernel, Part, Step};

/// What one elementwise kernel has of its own.
#[derive(Default)]
pub(super) struct Elementwise<'a> {
    /// Shader file, and the op's name.
    pub name: &'static str,
    /// SiLU on the store.
    pub silu: bool,
    /// Buffers read besides `x`, by values only.
    pub reads: &'a [(&'static str, BufferId)],
    /// Immediates `a` and `b`.
    pub own: [usize; 2],
    /// Floating-point operations per lane.
    pub flops: u64,
}

impl Elementwise<'_> {
    /// Its dispatches: two where there are tangents and SiLU.
    pub fn push(self, cx: &mut Launch) {
        let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
        let access = cx.x_access();
        if access == Access::Image {
            cx.program.mirror(view.buffer, view.bytes());
        }
        let items = place.shape.pixels() * place.blocks;
        let sizes = [place.shape.pixels(), view.stride, place.stride, place.offset, place.blocks].map(|v| v as u32);
        let own = [cx.program.group(), self.own[0] as u32, self.own[1] as u32];
        for pass in Pass::of(cx, self.silu, &place) {
            let reads = self.reads.iter().filter(|_| pass.part != Part::Tangents);
            let reads = reads.map(|&(name, buffer)| (name, buffer, Access::Read));
            let ends = [("x", view.buffer, access), ("y", place.buffer, Access::Write)];
            let bindings = ends.into_iter().chain(reads).chain(pass.binding(cx)).collect();
            cx.program.push(Step {
                label: cx.label(self.name),
                op: self.name,
                kernel: Kernel {
                    shader: self.name,
                    constants: [cx.family.constant()].into_iter().chain(pass.constants()).collect(),
                },
                bindings,
                part: pass.part,
                immediates: [0].into_iter().chain(sizes).chain(view.segment_words()).chain(own).collect(),
                grid: Grid { items: items as u32, workgroup: 256, groups: 1 },
                flops: self.flops,
                bytes: 16 * (items + view.shape.pixels() * view.blocks()) as u64,
            });
        }
    }
}
