//! What is at the largest number x under each window: taken from there, `y[i] = w[m_i]`, or put there, `y[p] = sum of u[i] over the
//! windows i with m_i = p`, where m_i is the first of the largest pixels of x under window i. The tangent and the transpose of a
//! maximum; each is the other's transpose. Linear in input 0; the slope in x is 0.
use super::elementwise::{Elementwise, Second};
use super::window::Windows;
use super::{Case, Lowering, Op, Reads, Reverse, Share};
use crate::dual::Dual;
use crate::error::{Error, Result};
use crate::shape::Shape;
use std::sync::Arc;

/// Numbers taken from the largest pixels, or put there: of inputs w or u, and x.
#[derive(Clone, Debug, PartialEq)]
pub struct Unpool {
    /// Over x.
    pub windows: Windows,
    /// Whether numbers are put there.
    pub puts: bool,
}

impl Unpool {
    /// The first of the largest pixels under each window of a plane, window by window.
    fn largest(&self, plane: &[Dual], s: Shape) -> Vec<usize> {
        let most = |output| {
            let pixels = self.windows.pixels(output, s);
            pixels.reduce(|a, b| if plane[b].v > plane[a].v { b } else { a }).unwrap_or_default()
        };
        self.windows.each().map(most).collect()
    }
}

impl Op for Unpool {
    fn name(&self) -> &'static str {
        "unpool"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let &[given, x] = inputs else {
            return Err(Error::invalid("inputs", format!("found {}, expected 2", inputs.len())));
        };
        self.windows.check(x)?;
        let [h, w] = self.windows.outputs;
        let small = Shape::new(x.c, h, w);
        let (wanted, made) = if self.puts { (small, x) } else { (x, small) };
        match given == wanted {
            true => Ok(made),
            false => Err(Error::invalid("inputs", format!("{given} beside {x}, expected {wanted}"))),
        }
    }

    fn twin(&self, inputs: &[&[Dual]], shapes: &[Shape], _: &[Vec<f64>]) -> Vec<Dual> {
        let (given, x) = (shapes[0].pixels(), shapes[1]);
        let mut y = vec![];
        for (own, plane) in inputs[0].chunks_exact(given).zip(inputs[1].chunks_exact(x.pixels())) {
            let largest = self.largest(plane, x);
            if self.puts {
                let mut put = vec![Dual::default(); x.pixels()];
                largest.iter().zip(own).for_each(|(&at, &u)| put[at] += u);
                y.append(&mut put);
            } else {
                y.extend(largest.iter().map(|&at| own[at]));
            }
        }
        y
    }

    fn adjoint(&self, g: &mut Reverse) -> Result<Vec<Share>> {
        let back = Self { puts: !self.puts, ..self.clone() };
        let gets = g.push("transposed", back, &[g.cotangent(), g.input(1)])?;
        Ok(vec![Share::Whole(gets), Share::Nothing])
    }

    fn flops(&self, inputs: &[Shape], output: Shape) -> u64 {
        let small = inputs.first().map_or(output.len(), |s| s.len()).min(output.len());
        (small * self.windows.kernel.iter().product::<usize>()) as u64
    }

    fn keeps_layout(&self) -> bool {
        true
    }

    fn reads(&self, _: usize, _: usize) -> Reads {
        Reads::InPlace
    }

    fn finds_primals(&self, input: usize) -> bool {
        input == 1
    }

    fn lower(&self, cx: &mut Lowering) -> Result<()> {
        let x = cx.inputs[1].clone();
        if x.slots != cx.inputs[0].slots {
            return Err(Error::invalid(cx.node, "the channels of its two inputs are ordered differently in memory"));
        }
        let [rows, columns] = self.windows.kernel;
        let constants = [("ROWS", rows as i64), ("COLUMNS", columns as i64), ("PUTS", i64::from(self.puts))];
        let own: Vec<_> = self
            .windows
            .immediates(x.shape)
            .into_iter()
            .chain([("out_h", self.windows.outputs[0] as u32)])
            .chain(x.second())
            .collect();
        Elementwise {
            name: "unpool",
            constants: &constants,
            second: Second::of(&x),
            own: &own,
            flops: self.flops(&[cx.inputs[0].shape], cx.output.shape),
            ..Default::default()
        }
        .push(cx);
        Ok(())
    }
}

/// Small graphs for tests and selftest.
pub fn cases() -> Vec<Case> {
    let case = |name, puts, windows: Windows, h, w| {
        let (x, [rows, columns]) = (Shape::new(6, h, w), windows.outputs);
        let given = if puts { Shape::new(6, rows, columns) } else { x };
        Case { name, op: Arc::new(Unpool { windows, puts }), inputs: vec![given, x], row: None }
    };
    let square = Windows { kernel: [2, 2], strides: [2, 2], dilations: [1, 1], before: [0, 0], outputs: [3, 2] };
    let padded = Windows { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], before: [1, 1], outputs: [5, 3] };
    let dilated = Windows { kernel: [3, 2], strides: [1, 1], dilations: [2, 3], before: [1, 0], outputs: [5, 7] };
    vec![
        case("2x2, put", true, square.clone(), 6, 4),
        case("2x2, taken", false, square, 6, 4),
        case("3x3 padded, put", true, padded.clone(), 5, 3),
        case("3x3 padded, taken", false, padded, 5, 3),
        case("3x2 dilated, put", true, dilated.clone(), 5, 7),
        case("3x2 dilated, taken", false, dilated, 5, 7),
    ]
}
