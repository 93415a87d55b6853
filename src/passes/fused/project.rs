//! What a group norm and SiLU behind it give back of a cotangent: `Project` of u silu'(z), z = g (x - mu) r + h the norm of x; u is input 0,
//! x is input 1. Where memory is short: neither z, nor slopes, nor their product lie anywhere.
use crate::dual::Dual;
use crate::error::Result;
use crate::ops::conv::noise;
use crate::ops::curve::Curve;
use crate::ops::group_norm::GroupNorm;
use crate::ops::project::Project;
use crate::ops::reverse::{Reverse, Value};
use crate::ops::scale::Scale;
use crate::ops::slope::Slope;
use crate::ops::{Case, Lowering, Op, Reads};
use crate::shape::Shape;
use std::sync::Arc;

/// `Project`, SiLU being behind the norm.
#[derive(Clone, Debug)]
pub(crate) struct FusedProject {
    /// Without SiLU.
    pub project: Project,
}

impl Op for FusedProject {
    fn name(&self) -> &'static str {
        "project"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.project.shape(inputs)
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], rows: &[Vec<f64>]) -> Vec<Dual> {
        let z = self.project.norm.twin(&inputs[1..], &shapes[1..], rows);
        let slopes = Slope { of: Curve::Silu }.twin(&[&z], &shapes[1..], rows);
        let u: Vec<Dual> = inputs[0].iter().zip(slopes).map(|(&u, slope)| u * slope).collect();
        self.project.twin(&[&u, inputs[1]], shapes, rows)
    }

    fn parts(&self, cx: &mut Reverse) -> Result<Option<Value>> {
        let (u, x) = (cx.input(0), cx.input(1));
        let z = cx.push("normed", self.project.norm.clone(), &[x])?;
        let slope = cx.push("slope", Slope { of: Curve::Silu }, &[z])?;
        let u = cx.product("times", u, slope)?;
        self.project.parts_of(cx, u).map(Some)
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        self.project.flops(inputs, output) + 24 * output.len() as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::InPlace
    }

    fn finds_primals(&self, input: usize) -> bool {
        self.project.finds_primals(input)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        self.project.lower_behind(cx, true)
    }
}

/// Small graphs for tests and selftest.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, c: usize, groups, h, w| {
        let norm = GroupNorm {
            channels: c,
            groups,
            epsilon: 1e-5,
            scale: Scale::Fixed { gain: noise(c, 3), shift: noise(c, 4) },
        };
        let op = Arc::new(FusedProject { project: Project { norm } });
        Case { name, op, inputs: vec![Shape::new(c, h, w); 2], row: None }
    };
    vec![case("14 channels, 7 groups", 14, 7, 3, 5), case("10 channels, 2 groups", 10, 2, 9, 13)]
}
