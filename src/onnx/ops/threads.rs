//! The interpreter's large sums on every core. In: how many parts there are, and what makes one. Out: their numbers, in order: as many
//! threads as there are change nothing, for each number is made by one of them.
use crate::dual::Dual;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Products below which starting threads takes longer.
const LEAST: usize = 1 << 18;

/// The numbers of all parts; `products` is what all of them multiply.
pub fn parts(count: usize, products: usize, part: impl Fn(usize) -> Vec<Dual> + Sync) -> Vec<Dual> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count);
    if threads < 2 || products < LEAST {
        return (0..count).flat_map(part).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || -> Vec<(usize, Vec<Dual>)> {
        let taken = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        taken.take_while(|&i| i < count).map(|i| (i, part(i))).collect()
    };
    let mut made = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut made = work();
        for other in others {
            made.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        made
    });
    made.sort_unstable_by_key(|(i, _)| *i);
    made.into_iter().flat_map(|(_, numbers)| numbers).collect()
}
