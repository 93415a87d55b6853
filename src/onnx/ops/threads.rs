//! The interpreter's large sums on every core. In: how many parts there are, and what makes one. Out: their numbers, in order.
use crate::dual::Dual;
use crate::threads::in_parallel;

/// Products below which starting threads takes longer.
const LEAST: usize = 1 << 18;

/// The numbers of all parts; `products` is what all of them multiply.
pub fn parts(count: usize, products: usize, part: impl Fn(usize) -> Vec<Dual> + Sync) -> Vec<Dual> {
    if products < LEAST {
        return (0..count).flat_map(part).collect();
    }
    in_parallel(count, part).concat()
}
