//! A layer over the pixels of an image, channel by channel: `y[c, o] = f(b_o + sum_p w[o, p] x[c, p])`, what a 1x1 convolution makes of the
//! image turned round, turned back. Linear but for f: tangents get no bias, and f is of values alone. CPU adapters.
use super::Fused;
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::ops::conv::Conv;
use crate::ops::curve::Curve;
use crate::ops::pointwise::Pointwise;
use crate::ops::{Lowering, Op, one, weight_format};
use crate::program::{Access, Grid, Kernel, LaneRole, Step};
use crate::shape::Shape;

/// Most pixels: with more, a thread would make fewer than 8 outputs of all that it loads.
const MOST: usize = 128;

/// Products of a block and a weight that a thread's code has; more compile for seconds.
const PRODUCTS: usize = 1024;

/// A layer over pixels.
#[derive(Clone, Debug)]
pub(crate) struct Across {
    /// From pixels to pixels.
    conv: Conv,
    /// Rows of the output, whose pixels lie in that order.
    rows: usize,
    /// Done to the sums, where there are no tangents.
    curve: Option<Pointwise>,
}

impl Across {
    /// Of the 1x1 convolution; none if there are too many pixels for the kernel.
    pub fn of(conv: &Conv) -> Option<Self> {
        (conv.in_channels <= MOST).then(|| Self { conv: conv.clone(), rows: 1, curve: None })
    }

    /// The same with an output of that shape, of as many pixels.
    pub fn of_shape(&self, shape: Shape) -> Self {
        Self { rows: shape.h, ..self.clone() }
    }

    /// The same, and a function of that; none if there is one already.
    pub fn then_curve(&self, curve: Pointwise) -> Option<Self> {
        let known = curve.row().1 == [0.0; 2] && !Curve::Pointwise(curve).unbounded();
        (self.curve.is_none() && known).then(|| Self { curve: Some(curve), ..self.clone() })
    }

    /// Outputs of a thread, and workgroups that make all of them.
    fn groups(&self) -> [usize; 2] {
        let most = (PRODUCTS / self.conv.in_channels).clamp(1, 32);
        let groups = self.conv.out_channels.div_ceil(most);
        [self.conv.out_channels.div_ceil(groups), groups]
    }
}

impl Fused for Across {}

impl Op for Across {
    fn name(&self) -> &'static str {
        "across"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let (s, out) = (one(inputs)?, self.conv.out_channels);
        if s.pixels() != self.conv.in_channels {
            return Err(Error::invalid("input", format!("{s}, the weights expect {} pixels", self.conv.in_channels)));
        }
        match self.rows {
            rows if rows > 0 && out.is_multiple_of(rows) => Ok(Shape::new(s.c, rows, out / rows)),
            rows => Err(Error::invalid("output", format!("{out} pixels in {rows} rows"))),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let Conv { in_channels: n, out_channels: out, weight, bias, .. } = &self.conv;
        let mut y = Vec::with_capacity(shapes[0].c * out);
        for x in inputs[0].chunks_exact(*n) {
            for (o, weights) in weight.chunks_exact(*n).enumerate() {
                let sum: Dual = x.iter().zip(weights).map(|(&x, &w)| x * f64::from(w)).sum();
                let sum = sum + Dual::constant(f64::from(bias[o]));
                y.push(self.curve.map_or(sum, |curve| curve.of(sum)));
            }
        }
        y
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        2 * (inputs.len().min(1) * output.len() * self.conv.in_channels) as u64
    }

    fn weights(&self) -> Option<&[f32]> {
        Some(&self.conv.weight)
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let (view, place) = (cx.inputs[0].clone(), cx.output.clone());
        let Conv { in_channels: pixels, out_channels: out, .. } = self.conv;
        let [many, groups] = self.groups();
        let m4 = many.div_ceil(4);
        // [group][pixel][m4] of vec4 over 4 outputs, and biases likewise; the last output is made again where a group has too few.
        let mut packed = vec![0f32; groups * pixels * m4 * 4];
        let mut bias = vec![0f32; groups * m4 * 4];
        for (g, m) in (0..groups).flat_map(|g| (0..many).map(move |m| (g, m))) {
            let o = (g * many + m).min(out - 1);
            bias[g * m4 * 4 + m] = self.conv.bias[o];
            for p in 0..pixels {
                packed[(g * pixels + p) * m4 * 4 + m] = self.conv.weight[o * pixels + p];
            }
        }
        let weights = weight_format::buffer(cx, &packed);
        let bias = cx.program.constant(cx.label("bias"), &bias);
        cx.program.mirror(view.buffer, view.bytes());
        let workgroup = (64 * place.blocks).next_power_of_two().min(512);
        let own = [("PIXELS", pixels), ("MANY", many), ("WORKGROUP", workgroup)].map(|(n, v)| (n, v as i64));
        let curve = self.curve.map(|curve| Curve::Pointwise(curve).constants());
        let constants = own.into_iter().chain([("CURVE", i64::from(curve.is_some())), cx.held.constant()]);
        let sizes = [
            ("in_stride", view.stride),
            ("out_stride", place.stride),
            ("out_offset", place.offset),
            ("blocks", place.blocks),
            ("goals", out),
        ];
        let words = sizes.map(|(n, v)| (n, v as u32)).into_iter().chain(view.runs());
        cx.program.push(Step {
            label: cx.label("across"),
            op: "across",
            kernel: Kernel { shader: "across", constants: constants.chain(curve.into_iter().flatten()).collect() },
            bindings: vec![
                ("x", view.buffer, Access::Image),
                ("weights", weights, Access::Read),
                ("bias", bias, Access::Read),
                ("y", place.buffer, Access::Write),
            ],
            role: LaneRole::All,
            immediates: words.chain([("group", cx.program.group())]).collect(),
            grid: Grid { items: place.blocks as u32, workgroup: workgroup as u32, groups: groups as u32 },
            flops: self.flops(&[view.shape], place.shape),
            bytes: 16 * (view.blocks() * pixels + place.blocks * out) as u64,
        });
        Ok(())
    }
}
