//! Nested quadrature rules for smooth closed curves: every level has all points of the level before it.
//! In: the kind of curve. Out: points in the order they are added, each level's weights, and of a periodic curve the harmonics that
//! a level sees. One periodic curve: the trapezoid rule, doubled. A ring of smooth arcs: on each arc the rule of Clenshaw and Curtis
//! without its end points (Fejer's second rule), whose n - 1 points cos(i pi / n) are nested when n doubles and exact to degree n - 1.
use crate::paths::Curve;
use std::f64::consts::{PI, TAU};

/// Points of the trapezoid rule's first level: then 16, 32, 64, 128, ..
const CIRCLE: usize = 8;
/// Intervals of an arc's first level: 3 points, then 7, 15, 31, ..
const ARC: usize = 4;

/// A point of a curve: which piece, and where on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// 0 on a periodic curve; else the arc.
    pub piece: u32,
    /// [0, 2 pi) on a periodic curve, (0, 1) on an arc.
    pub t: f64,
}

/// A rule and all its levels.
#[derive(Clone, Debug)]
pub struct Nested {
    /// What it is for.
    pub curve: Curve,
    /// In the order they are added.
    pub nodes: Vec<Node>,
    /// Per level, the weights of its points, in the order of `nodes`; they add up to the curve's range of t.
    pub weights: Vec<Vec<f64>>,
}

impl Nested {
    /// All levels of at most `most` points; always the first two, which an error estimate needs.
    pub fn of(curve: Curve, most: usize) -> Self {
        let mut rule = Self { curve, nodes: vec![], weights: vec![] };
        while rule.weights.len() < 2 || rule.points(rule.weights.len(), curve) <= most {
            rule.add(curve);
        }
        rule
    }

    /// Of the integrand of these values at the points of a level of a periodic curve: what a rule that took harmonic k for a constant
    /// would be off by at most, 2 |sum w f e^(-ikt)|.
    pub fn harmonic(&self, level: usize, values: &[f64], k: usize) -> f64 {
        let terms = self.nodes.iter().zip(&self.weights[level]).zip(values);
        let [re, im] = terms.fold([0.0; 2], |[re, im], ((node, weight), value)| {
            let (sin, cos) = (k as f64 * node.t).sin_cos();
            [re + weight * value * cos, im + weight * value * sin]
        });
        2.0 * re.hypot(im)
    }

    /// Points up to and with a level.
    fn points(&self, level: usize, curve: Curve) -> usize {
        match curve {
            Curve::Periodic => CIRCLE << level,
            Curve::Arcs(m) => m as usize * ((ARC << level) - 1),
        }
    }

    fn add(&mut self, curve: Curve) {
        let level = self.weights.len();
        let (intervals, pieces) = match curve {
            Curve::Periodic => (CIRCLE << level, 1),
            Curve::Arcs(m) => (ARC << level, m),
        };
        let place = |i: usize| match curve {
            Curve::Periodic => TAU * i as f64 / intervals as f64,
            Curve::Arcs(_) => 0.5 - 0.5 * (PI * i as f64 / intervals as f64).cos(),
        };
        let first = if matches!(curve, Curve::Periodic) { 0 } else { 1 };
        for piece in 0..pieces {
            let new = (first..intervals).filter(|i| level == 0 || i % 2 == 1);
            self.nodes.extend(new.map(|i| Node { piece, t: place(i) }));
        }
        let weight = |node: &Node| match curve {
            Curve::Periodic => TAU / intervals as f64,
            Curve::Arcs(_) => fejer((1.0 - 2.0 * node.t).acos(), intervals),
        };
        self.weights.push(self.nodes.iter().map(weight).collect());
    }
}

/// Weight, on [0, 1], of the point at angle theta of Fejer's second rule with n intervals (n even).
fn fejer(theta: f64, n: usize) -> f64 {
    let series: f64 = (1..=n / 2).map(|j| (2 * j - 1) as f64).map(|odd| (odd * theta).sin() / odd).sum();
    2.0 * theta.sin() / n as f64 * series
}
