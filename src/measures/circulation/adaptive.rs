//! Adaptive quadrature on smooth paths: the loops of a group climb the levels of their nested rules together, one sweep
//! per level, and leave when they have converged, so that tiles stay full. In: the products at the points of a level.
//! Out: `Sums` of every loop with its error estimate. A group's points are kept until it is done: MEMORY bounds it.
use super::columns::{Dots, Products, Sums};
use super::nested::Nested;
use crate::diagnostics::largest;
use crate::paths::Curve;

/// Bytes of products that a group may keep.
const MEMORY: usize = 64 << 20;

/// A circulation this far below S = sum |s.d| need not be known better than one at it.
pub const FLOOR: f64 = 1e-3;

/// A loop that is being integrated.
#[derive(Clone, Debug)]
struct Open {
    /// Its position in order of work, and its rule.
    place: usize,
    rule: usize,
    /// In the order of the rule's nodes.
    products: Vec<Products>,
    /// In the round: the number of this loop's first point, and how many it had before.
    first: u64,
    before: usize,
    /// What the last level changed.
    change: f64,
}

/// Error of a level that changed the result by `change`, the level before it by `previous`. Nested rules on smooth
/// curves gain digits in proportion to their points: the next change is at most change^2 / previous, here with a factor
/// 2 for safety; where changes do not shrink so, the change itself.
fn by_changes(change: f64, previous: f64) -> f64 {
    if 2.0 * change < previous { 2.0 * change * change / previous } else { change }
}

/// Error of a level of n points on a periodic curve, which takes harmonic n for a constant and sees those up to n/2. On smooth
/// curves they fall in proportion from some k on: from n/4 to n/2 by `last / before`, and so by its square from n/2 to n, here
/// with a factor 2 for safety; where they do not fall, the last ones themselves. Two of them are the last ones, for one alone may be
/// small by chance: of harmonic n/2 only the part in phase with the points is seen.
fn by_harmonics(rule: &Nested, level: usize, values: &[f64]) -> f64 {
    let n = rule.weights[level].len();
    let of = |k: usize| rule.harmonic(level, values, k);
    let last = largest((n / 2 - 1..=n / 2).map(of));
    let before = largest((n / 4..n / 2 - 1).map(of).chain([last]));
    if 2.0 * last < before { 2.0 * last * (last / before).powi(2) } else { last }
}

/// Loops between two levels.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    open: Vec<Open>,
    tolerance: f64,
    /// The next level.
    level: usize,
    /// Points of the round that is under way.
    total: u64,
}

impl Group {
    /// Loops that a group may hold, of rules with at most this many points.
    pub fn most_loops(points: usize) -> usize {
        (MEMORY / size_of::<Products>() / points.max(1)).max(1)
    }

    /// Loops (place, rule). The first round takes two levels, which an error estimate needs.
    pub fn new(loops: impl Iterator<Item = (usize, usize)>, rules: &[Nested], tolerance: f64) -> Self {
        let open = |(place, rule)| Open { place, rule, products: vec![], first: 0, before: 0, change: f64::NAN };
        let mut group = Self { open: loops.map(open).collect(), tolerance, level: 1, total: 0 };
        group.number(rules);
        group
    }

    /// Points of the round; 0 when the group is done.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The most points that a group which has just begun may take.
    pub fn most(&self, rules: &[Nested]) -> u64 {
        self.open.iter().map(|o| rules[o.rule].nodes.len() as u64).sum()
    }

    /// Point i of the round: the loop's place, its rule, and the number of the point among the rule's nodes.
    pub fn get(&self, i: u64) -> (usize, usize, usize) {
        let open = &self.open[self.open.partition_point(|o| o.first <= i) - 1];
        (open.place, open.rule, open.before + (i - open.first) as usize)
    }

    /// Takes the products of point i of the round; points come in order.
    pub fn put(&mut self, i: u64, products: Products) {
        let nth = self.open.partition_point(|o| o.first <= i) - 1;
        self.open[nth].products.push(products);
    }

    /// After a round: loops whose error estimate is within the tolerance, or whose rule ends, or that are not finite, are handed to `done` with
    /// their place; the others go on to the next level. `variance(place)` is a^2 + sigma^2.
    pub fn settle(&mut self, rules: &[Nested], variance: impl Fn(usize) -> f64, mut done: impl FnMut(usize, Sums)) {
        let (level, tolerance) = (self.level, self.tolerance);
        self.open.retain_mut(|open| {
            let rule = &rules[open.rule];
            let sums = |level: usize| {
                let mut sums = Sums::default();
                let weighted = open.products.iter().zip(&rule.weights[level]);
                let variance = variance(open.place);
                weighted.for_each(|(&products, &weight)| sums.add(&Dots::read(products).marked(), weight, variance));
                sums
            };
            let now = sums(level);
            let change = (now.integral - sums(level - 1).integral).abs();
            let error = match rule.curve {
                Curve::Periodic => {
                    let values: Vec<f64> = open.products.iter().map(|&p| Dots::read(p).marked().sd).collect();
                    by_harmonics(rule, level, &values)
                }
                Curve::Arcs(_) => by_changes(change, open.change),
            };
            let wanted = tolerance * now.integral.abs().max(FLOOR * now.abs_terms);
            // No further level makes a number of what is not finite.
            if error <= wanted || error.is_nan() || level + 1 == rule.weights.len() {
                done(open.place, Sums { quadrature: error, evaluations: open.products.len() as f64, ..now });
                return false;
            }
            open.change = change;
            true
        });
        self.level += 1;
        self.number(rules);
    }

    /// Numbers the points of the next round.
    fn number(&mut self, rules: &[Nested]) {
        let level = self.level;
        self.total = 0;
        for open in &mut self.open {
            (open.first, open.before) = (self.total, open.products.len());
            self.total += (rules[open.rule].weights[level].len() - open.products.len()) as u64;
        }
    }
}
