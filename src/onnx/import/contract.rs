//! Sums of products over axes: linear layers, products of activations, attention. Axes have letters; those of both tensors that stay are
//! heads, those of both that go are summed, the others stay as pixels and channels.
use super::lay::on_pixels;
use super::reduce::What;
use super::sides::{Sides, Way};
use super::{Import, Rule, Seen, Step, Value};
use crate::error::{Error, Result};
use crate::onnx::ops::einsum::Equation;
use crate::onnx::tensor::{Tensor, broadcast};
use crate::onnx::view::{Atom, Laid, View};
use crate::ops::attention_logits::AttentionLogits;
use crate::ops::conv::{Conv, Padding};
use crate::ops::mix::Mix;
use crate::ops::outer::Outer;
use crate::ops::softmax::Softmax;
use crate::ops::softmax_pixels::SoftmaxPixels;
use crate::shape::Shape;
use std::sync::Arc;

/// The table.
pub(super) const RULES: &[(&str, Rule)] =
    &[("MatMul", matmul), ("Gemm", gemm), ("Einsum", einsum), ("Softmax", |i, s| i.soft(s))];

/// A tensor with a letter for each axis.
struct Term<'a> {
    letters: Vec<char>,
    value: &'a Value,
    name: &'a str,
}

impl Import<'_> {
    /// x with these axes summed against the rows of a matrix `[K, J]`, K their numbers in order; the J sums are the last axis.
    pub(super) fn linear(
        &mut self,
        name: &str,
        x: &Seen,
        axes: &[usize],
        weight: &[f32],
        outputs: usize,
    ) -> Result<Seen> {
        let x = self.laid(name, x, axes, None, None)?;
        let inputs = x.view.of.c;
        let turned: Arc<[f32]> =
            (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))).map(|(o, i)| weight[i * outputs + o]).collect();
        let op = Conv {
            in_channels: inputs,
            out_channels: outputs,
            kernel: 1,
            stride: 1,
            padding: Padding::all(0),
            weight: turned,
            bias: vec![0.0; outputs].into(),
        };
        let node = self.push(name.to_string(), op, &[x.node])?;
        let kept: Vec<usize> = (0..x.view.axes.len()).filter(|i| !axes.contains(i)).collect();
        let mut made: Vec<Vec<Atom>> = kept.iter().map(|&i| on_pixels(&x.view, i, outputs)).collect::<Result<_>>()?;
        made.push(run(outputs, 1));
        Ok(Seen { node, view: View { of: Shape { c: outputs, ..x.view.of }, first: 0, axes: made } })
    }

    /// Sums of products, whatever the letters say; the result's axes are `result`.
    fn contracted(&mut self, name: &str, a: &Term, b: &Term, result: &[char]) -> Result<Seen> {
        match (a.value, b.value) {
            (Value::Seen(x), Value::Known(w)) => self.with_weights(name, (x, &a.letters), (w, &b.letters), result),
            (Value::Known(w), Value::Seen(x)) => self.with_weights(name, (x, &b.letters), (w, &a.letters), result),
            (Value::Seen(x), Value::Seen(y)) => self.of_both(name, (x, &a.letters), (y, &b.letters), result, 1.0),
            (Value::Told(_), _) => Err(depends(a.name)),
            (_, Value::Told(_)) => Err(depends(b.name)),
            _ => Err(Error::invalid("inputs", "none depends on x")),
        }
    }

    /// A tensor that depends on x and constant weights.
    fn with_weights(
        &mut self,
        name: &str,
        (x, xs): (&Seen, &[char]),
        (w, ws): (&Tensor, &[char]),
        result: &[char],
    ) -> Result<Seen> {
        let sizes = x.view.shape();
        // An axis of one number that the weights stretch is theirs.
        let wide = |c: &char| ws.iter().position(|w| w == c).is_some_and(|i| w.shape[i] > 1);
        let own = |(c, &n): (&char, &usize)| if n == 1 && wide(c) { NOBODY } else { *c };
        let xs: Vec<char> = xs.iter().zip(&sizes).map(own).collect();
        let size = |c: char| xs.iter().position(|x| *x == c).map_or(1, |i| sizes[i]);
        let of_w = |c: &char| ws.iter().position(|w| w == c).map_or(1, |i| w.shape[i]);
        let summed: Vec<char> = xs.iter().copied().filter(|c| !result.contains(c) && *c != NOBODY).collect();
        let fits = |c: &&char| !ws.contains(c) || of_w(c) == size(**c) || of_w(c) == 1 && !summed.contains(c);
        if let Some(c) = xs.iter().find(|c| !fits(c)) {
            let message =
                format!("an axis of {} in one and {} in the other, {sizes:?} and {:?}", size(*c), of_w(c), w.shape);
            return Err(Error::invalid("inputs", message));
        }
        let heads: Vec<char> =
            xs.iter().copied().filter(|c| ws.contains(c) && result.contains(c) && size(*c) > 1).collect();
        let made: Vec<char> = result.iter().copied().filter(|c| !xs.contains(c)).collect();
        let numbers = |letters: &[char], of: &dyn Fn(char) -> usize| letters.iter().map(|&c| of(c)).product::<usize>();
        let (k, j, h) = (numbers(&summed, &size), made.iter().map(of_w).product::<usize>(), numbers(&heads, &size));
        if let Some(c) = ws.iter().find(|c| !xs.contains(c) && !result.contains(c) && of_w(c) > 1) {
            return Err(Error::invalid(
                "weights",
                format!("axis '{c}' of the weights alone is summed, which is not supported"),
            ));
        }
        // [heads, K] rows and [heads, J] columns, zero between heads.
        let floats: Vec<f32> = super::host::numbers(w).into_iter().map(|v| v as f32).collect();
        let steps = crate::onnx::tensor::strides(&w.shape);
        let step = |c: char| {
            ws.iter()
                .zip(&steps)
                .zip(&w.shape)
                .filter(|((w, _), n)| **w == c && **n > 1)
                .map(|((_, s), _)| *s as usize)
                .sum::<usize>()
        };
        let places = |letters: &[char], of: &dyn Fn(char) -> usize| -> Vec<usize> {
            letters
                .iter()
                .fold(vec![0], |all, &c| all.iter().flat_map(|&at| (0..of(c)).map(move |i| at + i * step(c))).collect())
        };
        let (of_heads, of_rows) = (places(&heads, &size), places(&summed, &size));
        let of_columns = places(&made, &|c| of_w(&c));
        self.table(&[h, k, h, j])?;
        let mut weight = vec![0f32; h * k * h * j];
        for (i, first) in of_heads.iter().enumerate() {
            for (row, r) in of_rows.iter().enumerate() {
                for (column, c) in of_columns.iter().enumerate() {
                    weight[(i * k + row) * h * j + i * j + column] = floats[first + r + c];
                }
            }
        }
        let axis = |c: &char| xs.iter().position(|x| x == c).unwrap_or_default();
        let axes: Vec<usize> = heads.iter().chain(&summed).map(axis).collect();
        let y = self.linear(name, x, &axes, &weight, h * j)?;
        // The last axis is [heads.., made..].
        let mut letters: Vec<char> = xs.iter().copied().filter(|c| !heads.contains(c) && !summed.contains(c)).collect();
        let mut shape: Vec<usize> = letters.iter().map(|&c| size(c)).collect();
        shape.extend(heads.iter().map(|&c| size(c)).chain(made.iter().map(of_w)));
        letters.extend(heads.iter().chain(&made));
        let view = y.view.reshaped(&shape).ok_or_else(|| Error::invalid("result", "cannot be seen"))?;
        Ok(Seen { node: y.node, view: ordered(&view, &letters, result)? })
    }

    /// Two tensors that depend on x, their sums times `scale`.
    pub(super) fn of_both(
        &mut self,
        name: &str,
        a: (&Seen, &[char]),
        b: (&Seen, &[char]),
        result: &[char],
        scale: f64,
    ) -> Result<Seen> {
        let twice = |letters: &[char]| letters.iter().enumerate().any(|(i, c)| letters[..i].contains(c));
        if twice(a.1) || twice(b.1) {
            return Err(Error::invalid("equation", "an axis comes twice in one operand, which is not supported"));
        }
        let sides = Sides::of(a, b, result)?;
        let swapped = Sides::of(b, a, result)?;
        // The way with the fewest copies; of equal ones the first.
        let (own, other) = (|way| (&sides, way), |way| (&swapped, way));
        let ways = [own(Way::Logits), own(Way::Mixed), other(Way::Mixed), other(Way::Logits)];
        let rarer = [Way::MixedByRow, Way::Outer].into_iter().flat_map(|way| [own(way), other(way)]);
        let possible = ways.into_iter().chain(rarer).filter_map(|(s, way)| Some((s.copies(way)?, s, way)));
        let best = possible.min_by_key(|(copies, ..)| *copies).map_or((&sides, Way::Logits), |(_, s, way)| (s, way));
        match best {
            (sides, Way::Logits) => self.logits(name, sides, result, scale),
            (sides, Way::Outer) => self.outer(name, sides, result, scale),
            (sides, way) => self.mixed(name, sides, result, scale, way == Way::MixedByRow),
        }
    }

    /// Products of pixels: those of the second become channels.
    fn logits(&mut self, name: &str, s: &Sides, result: &[char], scale: f64) -> Result<Seen> {
        let q = self.laid(&format!("{name}.left"), s.a.0, &s.axes_a(&s.heads, &s.summed), None, None)?;
        let k = self.laid(&format!("{name}.right"), s.b.0, &s.axes_b(&s.heads, &s.summed), None, None)?;
        let (q_node, g) = self.unscaled(q.node);
        let (k_node, h) = self.unscaled(k.node);
        let (heads, j) = (s.count(&s.heads), k.view.of.pixels());
        let op = AttentionLogits { heads, scale: scale * g * h };
        let node = self.push(name.to_string(), op, &[q_node, k_node])?;
        let of = Shape { c: heads * j, ..q.view.of };
        let mut letters: Vec<(char, Vec<Atom>)> = vec![];
        for &c in &s.left {
            letters.push((c, on_pixels(&q.view, s.axis_a(c), of.c)?));
        }
        for &c in &s.right {
            letters.push((c, on_pixels(&k.view, s.axis_b(c), 1)?));
        }
        letters.extend(runs(&s.heads, &|c| s.size(c), j));
        Ok(Seen { node, view: View { of, first: 0, axes: named(letters, result) } })
    }

    /// Sums of the second's pixels with the first's channels as weights; by row, if heads are rows of the second, else channels.
    fn mixed(&mut self, name: &str, s: &Sides, result: &[char], scale: f64, by_row: bool) -> Result<Seen> {
        let w = self.laid(&format!("{name}.left"), s.a.0, &s.axes_a(&s.heads, &s.summed), None, None)?;
        let [channels, order] = s.mixed(by_row);
        let (heads, j) = (s.count(&s.heads), s.count(&s.right));
        let rows = by_row.then(|| (heads, s.count(&s.summed)));
        let v = self.laid(&format!("{name}.right"), s.b.0, &channels, Some(&order), rows)?;
        let node = self.push(name.to_string(), Mix { heads, by_row }, &[w.node, v.node])?;
        let node = self.scaled_by(&format!("{name}.scaled"), node, scale, 0.0)?;
        let of = Shape { c: heads * j, ..w.view.of };
        let mut letters: Vec<(char, Vec<Atom>)> = vec![];
        for &c in &s.left {
            letters.push((c, on_pixels(&w.view, s.axis_a(c), of.c)?));
        }
        letters.extend(runs(&s.right, &|c| s.size(c), 1));
        letters.extend(runs(&s.heads, &|c| s.size(c), j));
        Ok(Seen { node, view: View { of, first: 0, axes: named(letters, result) } })
    }

    /// Products of channels, summed over pixels: those of the first become columns, heads rows.
    fn outer(&mut self, name: &str, s: &Sides, result: &[char], scale: f64) -> Result<Seen> {
        let k = self.laid(&format!("{name}.left"), s.a.0, &s.axes_a(&s.heads, &s.left), Some(&s.pixels_a()), None)?;
        let v = self.laid(&format!("{name}.right"), s.b.0, &s.axes_b(&s.heads, &s.right), Some(&s.pixels_b()), None)?;
        let (heads, size) = (s.count(&s.heads), s.count(&s.left));
        let node = self.push(name.to_string(), Outer { heads }, &[k.node, v.node])?;
        let node = self.scaled_by(&format!("{name}.scaled"), node, scale, 0.0)?;
        let of = Shape::new(size, heads, size);
        let mut letters = runs(&s.right, &|c| s.size(c), 1);
        letters.extend(runs(&s.left, &|c| s.size(c), size));
        letters.extend(runs(&s.heads, &|c| s.size(c), size * size));
        Ok(Seen { node, view: View { of, first: 0, axes: named(letters, result) } })
    }

    fn soft(&mut self, step: &Step) -> Result<Vec<Seen>> {
        let (x, name) = (step.seen(0)?.clone(), step.label(""));
        let rank = x.view.axes.len();
        if step.call.opset >= 13 {
            let axis = step.call.axis("axis", -1, rank)?;
            return Ok(vec![self.softmax(&name, &x, &[axis])?]);
        }
        let first = step.call.axis("axis", 1, rank)?;
        Ok(vec![self.softmax(&name, &x, &(first..rank).collect::<Vec<_>>())?])
    }

    /// e^x over the sum of all along these axes.
    pub(super) fn softmax(&mut self, name: &str, x: &Seen, axes: &[usize]) -> Result<Seen> {
        let n: usize = axes.iter().flat_map(|&i| &x.view.axes[i]).map(|a| a.size).product();
        let own = x.view.of;
        if x.view.is_whole() {
            let mut atoms: Vec<Atom> = axes.iter().flat_map(|&i| x.view.axes[i].iter().copied()).collect();
            atoms.sort_by_key(|a| a.stride);
            let dense = |first: isize| {
                let mut next = first;
                atoms.iter().all(|a| {
                    let fits = a.stride == next;
                    next = a.stride * a.size as isize;
                    fits
                })
            };
            // Runs of channels, or all pixels of each.
            if dense(1) && own.c.is_multiple_of(n) {
                let node = self.push(name.to_string(), Softmax { heads: own.c / n, scale: 1.0 }, &[x.node])?;
                return Ok(Seen { node, ..x.clone() });
            }
            if n == own.pixels() && dense(own.c as isize) {
                let node = self.push(name.to_string(), SoftmaxPixels, &[x.node])?;
                return Ok(Seen { node, ..x.clone() });
            }
        }
        // Of a part of a tensor's channels: by naming these, the summed ones innermost.
        let channels: Vec<usize> = (0..x.view.axes.len()).filter(|i| x.view.among_channels(*i)).collect();
        let (summed, mut named): (Vec<usize>, Vec<usize>) = channels.into_iter().partition(|i| axes.contains(i));
        named.extend(summed);
        if !x.view.is_whole() && !matches!(x.view.laid(&named, None), Laid::Copied { .. }) {
            let x = self.laid(name, x, &named, None, None)?;
            return self.softmax(name, &x, axes);
        }
        let x = self.laid(name, x, axes, None, None)?;
        let node = self.push(name.to_string(), Softmax { heads: 1, scale: 1.0 }, &[x.node])?;
        Ok(Seen { node, ..x })
    }
}

/// The letter of axes of one number that are not looked at.
const NOBODY: char = '\u{F8FF}';

/// One run of numbers; none of one number.
fn run(size: usize, stride: isize) -> Vec<Atom> {
    if size > 1 { vec![Atom { size, stride }] } else { vec![] }
}

/// Letters of axes that lie one inside the other, the last innermost, `inner` numbers apart.
fn runs(letters: &[char], size: &dyn Fn(char) -> usize, inner: usize) -> Vec<(char, Vec<Atom>)> {
    let mut stride = inner as isize;
    let mut made = vec![];
    for &c in letters.iter().rev() {
        made.push((c, run(size(c), stride)));
        stride *= size(c) as isize;
    }
    made
}

/// The axes of the result, by their letters; those that nobody has are of one number.
fn named(letters: Vec<(char, Vec<Atom>)>, result: &[char]) -> Vec<Vec<Atom>> {
    result.iter().map(|c| letters.iter().find(|l| l.0 == *c).map_or(vec![], |l| l.1.clone())).collect()
}

/// A view in the order of the result's letters; those that it does not have are of one number.
fn ordered(view: &View, letters: &[char], result: &[char]) -> Result<View> {
    let axis = |c: &char| letters.iter().position(|l| l == c).map_or(vec![], |i| view.axes[i].clone());
    Ok(View { axes: result.iter().map(axis).collect(), ..view.clone() })
}

fn depends(name: &str) -> Error {
    Error::invalid(format!("input '{name}'"), "depends on the label, which a product with x does not support here")
}

fn letter(i: usize) -> char {
    char::from_u32(0xE000 + i as u32).unwrap_or('?')
}

/// NumPy's product of matrices.
fn matmul(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let (a, b) = (step.value(0)?, step.value(1)?);
    let (ra, rb) = (a.shape().len(), b.shape().len());
    if ra == 0 || rb == 0 {
        return Err(Error::invalid("inputs", "a number alone, expected matrices"));
    }
    let outer = ra.max(rb).saturating_sub(2);
    let of = |rank: usize, one: [char; 1], two: [char; 2]| -> Vec<char> {
        if rank == 1 { one.to_vec() } else { (outer + 2 - rank..outer).map(letter).chain(two).collect() }
    };
    let (la, lb) = (of(ra, ['k'], ['i', 'k']), of(rb, ['k'], ['k', 'j']));
    let mut result: Vec<char> = (0..outer).map(letter).collect();
    result.extend((ra > 1).then_some('i').into_iter().chain((rb > 1).then_some('j')));
    let terms =
        [Term { letters: la, value: a, name: step.names[0] }, Term { letters: lb, value: b, name: step.names[1] }];
    Ok(vec![import.contracted(&step.label(""), &terms[0], &terms[1], &result)?])
}

/// alpha A B + beta C, A of x and B, C constant.
fn gemm(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let ranks = [0, 1].map(|i| step.value(i).map(|v| v.shape().len()));
    let [a, b] = ranks;
    if (a?, b?) != (2, 2) {
        return Err(Error::invalid("inputs", "expected matrices, of two axes each"));
    }
    let of = |turned: bool, a: char, b: char| if turned { vec![b, a] } else { vec![a, b] };
    let (ta, tb) = (step.call.flag("transA", false)?, step.call.flag("transB", false)?);
    let terms = [
        Term { letters: of(ta, 'i', 'k'), value: step.value(0)?, name: step.names[0] },
        Term { letters: of(tb, 'k', 'j'), value: step.value(1)?, name: step.names[1] },
    ];
    let (alpha, beta) = (step.call.float("alpha", 1.0)?, step.call.float("beta", 1.0)?);
    let mut y = import.contracted(&step.label("product"), &terms[0], &terms[1], &['i', 'j'])?;
    if alpha != 1.0 {
        y = import.affine(&step.label("alpha"), &y, alpha, 0.0)?;
    }
    if step.inputs.get(2).is_some_and(Option::is_some) {
        let (bias, shape) = (step.known(2)?, y.view.shape());
        if broadcast(&shape, &bias.shape) != Some(shape.clone()) {
            return Err(Error::invalid(step.name(2), format!("{:?} cannot be stretched to {shape:?}", bias.shape)));
        }
        y = import.plus_constant(&step.label(""), &y, bias, beta)?;
    }
    Ok(vec![y])
}

fn einsum(import: &mut Import, step: &Step) -> Result<Vec<Seen>> {
    let values = (0..step.inputs.len()).map(|i| step.value(i)).collect::<Result<Vec<_>>>()?;
    let ranks: Vec<usize> = values.iter().map(|v| v.shape().len()).collect();
    let equation = Equation::parse(&step.call.text("equation", "")?, &ranks)?;
    let name = step.label("");
    match (&values[..], &equation.operands[..]) {
        ([Value::Seen(x)], [letters]) => {
            let (mut x, letters) = diagonal(x, letters)?;
            let gone: Vec<usize> = (0..letters.len()).filter(|&i| !equation.result.contains(&letters[i])).collect();
            if !gone.is_empty() {
                x = import.over(&name, &x, &gone, true, What::Sum)?;
            }
            let view = ordered(&x.view, &letters, &equation.result)?;
            Ok(vec![Seen { node: x.node, view }])
        }
        ([a, b], [la, lb]) => {
            let own = |letters: &[char], value: &Value| -> Result<(Value, Vec<char>)> {
                match value {
                    Value::Seen(x) => diagonal(x, letters).map(|(x, letters)| (Value::Seen(x), letters)),
                    other => Ok((other.clone(), letters.to_vec())),
                }
            };
            let ((a, la), (b, lb)) = (own(la, a)?, own(lb, b)?);
            let term = |i: usize, letters, value| Term { letters, value, name: step.names[i] };
            Ok(vec![import.contracted(&name, &term(0, la, &a), &term(1, lb, &b), &equation.result)?])
        }
        _ => Err(Error::invalid("inputs", format!("{} operands, at most 2 are supported", values.len()))),
    }
}

/// A tensor without the axes whose letter an earlier one has: of both, the numbers with equal places.
fn diagonal(x: &Seen, letters: &[char]) -> Result<(Seen, Vec<char>)> {
    let mut axes: Vec<(char, Vec<Atom>)> = vec![];
    for (&c, atoms) in letters.iter().zip(&x.view.axes) {
        let Some((_, own)) = axes.iter_mut().find(|a| a.0 == c) else {
            axes.push((c, atoms.clone()));
            continue;
        };
        let alike = own.len() == atoms.len() && own.iter().zip(atoms).all(|(a, b)| a.size == b.size);
        if !alike {
            return Err(Error::invalid("equation", format!("both axes '{c}' of one operand cannot be seen as one")));
        }
        own.iter_mut().zip(atoms).for_each(|(a, b)| a.stride += b.stride);
    }
    let (letters, axes) = axes.into_iter().unzip();
    Ok((Seen { node: x.node, view: View { axes, ..x.view.clone() } }, letters))
}
