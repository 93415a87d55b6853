//! Attention's values on CPU adapters, which read keys from workgroup memory (`shaders/attention_cc.wgsl`). In: the op's pairs. Out: a
//! dispatch for each chunk of keys.
use super::Lowering;
use super::pairs::{Lanes, Pairs, blocks};
use crate::error::Result;
use crate::program::{Access, Grid, Kernel, LaneRole, Step, named};
use crate::target::KernelFamily;

/// Blocks of keys and values that are staged: the workgroup memory that the kernels of CPU adapters count on.
const STAGED: usize = (32 << 10) / 16;

/// Most keys of a chunk: the code of more takes seconds to compile, and saves nothing.
const KEYS: usize = 128;

/// Fewest keys for which it is worth the staging, where there are as many queries. Queries have no say: a band of them goes as all do.
const FEWEST: usize = 64;

/// Most threads of a workgroup.
const THREADS: usize = 256;

/// Whether it is faster than a loop over all keys, whose threads load four of them for four queries each.
pub(super) fn pays(cx: &Lowering, pairs: &Pairs) -> bool {
    cx.family() == KernelFamily::Cpu && both(pairs) <= STAGED / 64 && pairs.pixels[1] >= FEWEST
}

/// Blocks of a key and its value.
fn both(pairs: &Pairs) -> usize {
    pairs.sizes.map(blocks).iter().sum()
}

/// Appends the dispatches for the values of these lanes.
pub(super) fn push(pairs: &Pairs, cx: &mut Lowering, role: LaneRole) -> Result<()> {
    let (place, access, heads) = (cx.output.clone(), cx.x_access(), pairs.heads);
    let [own, others] = pairs.pixels;
    let most = (STAGED / both(pairs)).min(KEYS) / 4 * 4;
    let keys = others.div_ceil(others.div_ceil(most)).next_multiple_of(4);
    let chunks = others.div_ceil(keys);
    let workgroup = own.div_ceil(own.div_ceil(THREADS)).next_multiple_of(8);
    let runs = own.div_ceil(workgroup);
    let found = cx.shared("attention sums", (8 * heads * own) as u64);
    for chunk in 0..chunks {
        let words = pairs.words(cx, &Lanes::Tangents)?;
        let words = words.into_iter().chain(named(["runs", "first"], [runs, chunk * keys].map(|n| n as u32)));
        let reads: Vec<_> =
            pairs.inputs.iter().zip(&cx.inputs).map(|(&name, view)| (name, view.buffer, access)).collect();
        let writes = [("y", place.buffer, Access::Write), ("found", found, Access::Write)];
        let constants = [
            ("HEADS", heads),
            ("FEATURES", pairs.sizes[0]),
            ("VALUES", pairs.sizes[1]),
            ("SLICES", 1),
            ("POINTS", 1),
            ("KEYS", keys),
            ("WORKGROUP", workgroup),
            ("LATER", usize::from(chunk > 0)),
            ("MASKED", usize::from(chunks * keys > others)),
            ("KEEP", usize::from(role == LaneRole::Primals)),
            ("SLOPED", 0),
        ];
        let constants = constants.map(|(name, value)| (name, value as i64));
        let count = keys.min(others - chunk * keys);
        cx.program.push(Step {
            label: cx.label("attention"),
            op: "attention",
            kernel: Kernel {
                shader: "attention_cc",
                constants: [cx.family().constant()].into_iter().chain(constants).collect(),
            },
            bindings: reads.into_iter().chain(writes).collect(),
            role,
            immediates: words.collect(),
            grid: Grid { items: (heads * runs) as u32, workgroup: 1, groups: 1 },
            flops: pairs.flops * count as u64 / others as u64,
            bytes: (16
                * heads
                * (2 * own * blocks(pairs.sizes[1]) + own * blocks(pairs.sizes[0]) + count * both(pairs)))
                as u64,
        });
    }
    Ok(())
}
