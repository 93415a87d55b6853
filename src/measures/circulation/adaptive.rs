//! Adaptive quadrature on smooth paths: some loops at a time climb the levels of their nested rules, one level a round, and make
//! room for others when they have converged, so that tiles stay full. In: the products at the points of a round. Out: `Sums` of
//! every loop with its error estimate. The points of a loop are kept until it is done: MEMORY bounds how many are on their way.
use super::columns::{Dots, Products, Sums};
use super::nested::Nested;
use crate::diagnostics::largest;
use crate::paths::Curve;
use std::collections::{BTreeSet, VecDeque};

/// Bytes of products that loops on their way may keep.
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
    /// The level that the round takes it to.
    level: usize,
    /// What the last level changed.
    change: f64,
}

/// Error of a level that changed the result by `change`, the level before it by `previous`. Nested rules on smooth
/// curves gain digits in proportion to their points: the next change is at most change^2 / previous, here with a factor
/// 2 for safety; where changes do not shrink so, the change itself.
fn by_changes(change: f64, previous: f64) -> f64 {
    if 2.0 * change < previous { 2.0 * change * change / previous } else { change }
}

/// Errors of a level of n points on a periodic curve: what is expected, by which a loop ends, and what is told. The level takes
/// harmonic n for a constant and sees those up to n/2. On smooth curves they fall in proportion from some k on: from n/4 to n/2 by `last / before`, and so by its square from n/2 to n, here
/// with a factor 2 for safety; where they do not fall, the last ones themselves. Two of them are the last ones, for one alone may be
/// small by chance: of harmonic n/2 only the part in phase with the points is seen. Harmonics of a field with kinks fall more and more
/// slowly: what is told lets them fall once by that factor, not twice.
fn by_harmonics(rule: &Nested, level: usize, values: &[f64]) -> [f64; 2] {
    let n = rule.weights[level].len();
    let of = |k: usize| rule.harmonic(level, values, k);
    let last = largest((n / 2 - 1..=n / 2).map(of));
    let before = largest((n / 4..n / 2 - 1).map(of).chain([last]));
    let fall = last / before;
    if 2.0 * fall < 1.0 { [2.0 * last * fall.powi(2), 2.0 * last * fall] } else { [last; 2] }
}

/// Loops that are integrated adaptively, between two rounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    open: Vec<Open>,
    /// Place and rule of those that have not begun.
    waiting: VecDeque<(usize, usize)>,
    tolerance: f64,
    /// Points of the round that is under way.
    total: u64,
    /// The most points that the loops which are done might have taken.
    done: u64,
}

impl Group {
    /// Loops (place, rule), none of which has begun.
    pub fn new(loops: impl Iterator<Item = (usize, usize)>, tolerance: f64) -> Self {
        Self { waiting: loops.collect(), tolerance, ..Self::default() }
    }

    /// Points of the round; 0 when all loops are done.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The most points that loops which have not begun may take.
    pub fn most(&self, rules: &[Nested]) -> u64 {
        self.waiting.iter().map(|&(_, rule)| rules[rule].nodes.len() as u64).sum()
    }

    /// Points before the round: of loops that are done the most that they might have taken.
    pub fn before(&self) -> u64 {
        self.done + self.open.iter().map(|o| o.products.len() as u64).sum::<u64>()
    }

    /// Leaves out loops that are done already.
    pub fn leave_out(&mut self, places: &BTreeSet<usize>, rules: &[Nested]) {
        let known = |&(place, _): &(usize, usize)| places.contains(&place);
        self.done += self.waiting.iter().filter(|own| known(own)).map(|o| rules[o.1].nodes.len() as u64).sum::<u64>();
        self.waiting.retain(|own| !known(own));
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
        let (tolerance, spent) = (self.tolerance, &mut self.done);
        self.open.retain_mut(|open| {
            let (rule, level) = (&rules[open.rule], open.level);
            let sums = |level: usize| {
                let mut sums = Sums::default();
                let weighted = open.products.iter().zip(&rule.weights[level]);
                let variance = variance(open.place);
                weighted.for_each(|(&products, &weight)| sums.add(&Dots::read(products).marked(), weight, variance));
                sums
            };
            let now = sums(level);
            let change = (now.integral - sums(level - 1).integral).abs();
            let [expected, told] = match rule.curve {
                Curve::Periodic => {
                    let values: Vec<f64> = open.products.iter().map(|&p| Dots::read(p).marked().sd).collect();
                    by_harmonics(rule, level, &values)
                }
                Curve::Arcs(_) => [by_changes(change, open.change); 2],
            };
            let wanted = tolerance * now.integral.abs().max(FLOOR * now.abs_terms);
            // No further level makes a number of what is not finite.
            if expected <= wanted || expected.is_nan() || level + 1 == rule.weights.len() {
                *spent += rule.nodes.len() as u64;
                done(open.place, Sums { quadrature: told, evaluations: open.products.len() as f64, ..now });
                return false;
            }
            (open.change, open.level) = (change, level + 1);
            true
        });
    }

    /// Begins a round of about `size` points, or more where loops on their way have more: they go on, and others begin, with two
    /// levels, which an error estimate needs.
    pub fn round(&mut self, rules: &[Nested], size: u64) {
        self.total = 0;
        for open in &mut self.open {
            (open.first, open.before) = (self.total, open.products.len());
            self.total += (rules[open.rule].weights[open.level].len() - open.products.len()) as u64;
        }
        let points = rules.iter().map(|r| r.nodes.len()).max().unwrap_or(1);
        let most = (MEMORY / size_of::<Products>() / points).max(1);
        while self.total < size.max(1) && self.open.len() < most {
            let Some((place, rule)) = self.waiting.pop_front() else { break };
            let (first, change) = (self.total, f64::NAN);
            self.open.push(Open { place, rule, products: vec![], first, before: 0, level: 1, change });
            self.total += rules[rule].weights[1].len() as u64;
        }
    }
}
