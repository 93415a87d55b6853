//! The words of transposes: nodes that the rules of several ops are made of, by name, so that no op knows another. In: values of a rule
//! (`reverse`). Out: one more value.
use super::add::Add;
use super::affine::Affine;
use super::attention_logits::AttentionLogits;
use super::channels::Channels;
use super::combine::Combine;
use super::filter::{Filter, Taps};
use super::gather::Gather;
use super::group_norm::GroupNorm;
use super::mix::Mix;
use super::outer::Outer;
use super::pointwise::Pointwise;
use super::project::Project;
use super::resample::Resample;
use super::reverse::{Reverse, Value};
use crate::error::Result;
use crate::shape::Shape;
use std::ops::Range;

impl Reverse {
    /// A number times a value; the value itself where that is 1.
    pub fn scaled(&mut self, value: Value, factor: f64) -> Result<Value> {
        if factor == 1.0 {
            return Ok(value);
        }
        self.push("scaled", Affine { gain: factor, table: None, shift: 0.0 }, &[value])
    }

    /// These channels of a value, in this order; no kernel runs.
    pub fn taken(&mut self, what: &'static str, value: Value, channels: &[usize]) -> Result<Value> {
        if channels.iter().copied().eq(0..self.shape(value).c) {
            return Ok(value);
        }
        self.push(what, Channels::gather(channels.iter().map(|&c| (0, c)).collect()), &[value])
    }

    /// The product of two values, number by number; the second may have one channel for all, or one pixel.
    pub fn product(&mut self, what: &'static str, a: Value, b: Value) -> Result<Value> {
        self.push(what, Combine::Product, &[a, b])
    }

    /// The quotient of two values, in the same way.
    pub fn quotient(&mut self, what: &'static str, a: Value, b: Value) -> Result<Value> {
        self.push(what, Combine::Quotient, &[a, b])
    }

    /// A value of numbers not below 0, with 1 in the place of 0.
    pub fn nonzero(&mut self, value: Value) -> Result<Value> {
        let there = self.push("there", Pointwise::Step, &[value])?;
        let absent = self.push("absent", Affine { gain: -1.0, table: None, shift: 1.0 }, &[there])?;
        self.push("nonzero", Add { scales: [1.0; 2] }, &[value, absent])
    }

    /// Of a value with `stride - 1` zeros between its pixels these rows and columns, with zeros beyond its last.
    pub(super) fn spread(&mut self, value: Value, stride: usize, places: &[Range<usize>; 2]) -> Result<Value> {
        let s = self.shape(value);
        let all = [s.h, s.w].map(|n| 0..(n - 1) * stride + 1);
        match stride {
            1 if *places == all => Ok(value),
            2 if *places == all => self.push("spread", Resample::zeros(), &[value]),
            _ => {
                let [rows, columns] = [0, 1].map(|i| Taps::spread([s.h, s.w][i], stride, places[i].clone()));
                self.push("spread", Filter { rows, columns }, &[value])
            }
        }
    }

    /// Each channel of a value so many times, one after the other.
    pub fn repeated(&mut self, value: Value, times: usize) -> Result<Value> {
        if times == 1 {
            return Ok(value);
        }
        let map = (0..self.shape(value).c * times).map(|c| (0, c / times)).collect();
        self.push("repeated", Channels::gather(map), &[value])
    }

    /// s times the dot products of the pixels of q with those of k, by head (`ops::attention_logits`).
    pub(super) fn logits(&mut self, what: &'static str, heads: usize, scale: f64, [q, k]: [Value; 2]) -> Result<Value> {
        self.push(what, AttentionLogits { heads, scale }, &[q, k])
    }

    /// Sums of vectors with weights p, by head (`ops::mix`): of channel (h, f) and pixel j of v, or of channel f and pixel (h, j).
    pub(super) fn mixed(&mut self, what: &'static str, mix: (usize, bool), [p, v]: [Value; 2]) -> Result<Value> {
        let (heads, by_row) = mix;
        self.push(what, Mix { heads, by_row }, &[p, v])
    }

    /// Sums over pixels of the products of two values' channels, by head (`ops::outer`), as channel f of b and pixel (h, d) of a.
    pub(super) fn outer(&mut self, what: &'static str, heads: usize, [a, b]: [Value; 2]) -> Result<Value> {
        self.push(what, Outer { heads }, &[a, b])
    }

    /// The same as channel (h, f) and pixel d, of the shape `to`.
    pub(super) fn outer_as(&mut self, what: &'static str, heads: usize, of: [Value; 2], to: Shape) -> Result<Value> {
        let made = self.outer(what, heads, of)?;
        self.push("by channel", Gather::by_channel(heads, self.shape(made), to), &[made])
    }

    /// What a group norm at x gives back of u.
    pub(super) fn projected(&mut self, norm: &GroupNorm, [u, x]: [Value; 2]) -> Result<Value> {
        self.push("projected", Project { norm: norm.clone() }, &[u, x])
    }
}
