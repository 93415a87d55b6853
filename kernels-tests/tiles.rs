//! How many lanes a tile has: what is asked for, what there is to do, what memory holds; whole samples throughout. That results
//! do not depend on it is for other tests (`adapters`, `faults`, `circulation`).
use crate::circulation::{closed, images, options};
use crate::common::{bounds, choice, gpu};
use vorticity::evaluate::{Evaluator, Room};
use vorticity::field::tangent_evaluator;
use vorticity::gpu::{Bounds, Gpu};
use vorticity::measures::circulation::{CirculationRun, Options};
use vorticity::shape::Shape;

#[test]
fn a_tile_is_as_large_as_asked_and_as_there_is_work() {
    let (gpu, shape) = (gpu(), Shape::new(1, 3, 3));
    let (field, images) = (closed("field:rotor?omega=1", shape), images(shape, 2));
    let job = |tile| {
        let options = Options { tile, ..options(&["rotation"], &[501], 2, 12) };
        CirculationRun::new(&gpu, &field, &images, options)
    };
    let all = job(None).unwrap();
    let total = all.evaluations() as usize;
    assert_eq!(all.tiles(), [total]);
    assert_eq!(job(Some(5)).unwrap().tiles(), [5]);
    assert_eq!(job(Some(total + 1)).unwrap().tiles(), [total]);
    for (asked, expected) in [(0, "expected at least 1"), (usize::MAX, "the adapter's limits hold")] {
        let error = job(Some(asked)).err().unwrap().to_string();
        assert!(error.starts_with(&format!("tile: {asked} lanes")) && error.contains(expected), "{error}");
    }
}

/// Buffers are rounded up to whole rows of images, which tiles of a tight bound must not forget.
#[test]
fn a_tile_is_whole_samples_and_keeps_to_the_memory_there_is() {
    let _turn = gpu(); // software adapters use every core
    let field = closed("field:tilted?omega=0.5", Shape::new(3, 16, 16));
    let open = |memory: Option<u64>| -> Evaluator {
        let gpu = Gpu::open_within(&choice(), Bounds { memory, ..bounds() }).unwrap();
        tangent_evaluator(&gpu, &field, &[3], Room { samples: 64, tangents: 3, cotangents: 0 }).unwrap()
    };
    let all = open(None);
    assert_eq!((all.max_samples(), all.tangents()), (64, 3));
    let device = all.memory().device();
    let mut most = 64;
    for part in [2, 3, 4, 6, 8] {
        let bound = device / part;
        let fewer = open(Some(bound));
        let (samples, takes) = (fewer.max_samples(), fewer.memory().device());
        assert!(takes <= bound && fewer.tangents() == 3, "{samples} samples take {takes} of {bound} bytes");
        // No sample more would have fitted, but for the rounding of each buffer.
        let sample = device / 64;
        assert!(samples < most && takes + 3 * sample > bound, "{samples} samples take {takes} of {bound} bytes");
        most = samples;
    }
}

/// On CPUs a tile's buffers are near the caches, and larger where that would be a few lanes alone.
#[test]
fn a_tile_is_as_large_as_a_kind_of_adapter_likes_where_nobody_asks() {
    let gpu = gpu();
    let takes = |shape: Shape| {
        let room = Room { samples: 1 << 20, tangents: 1, cotangents: 0 };
        let all = tangent_evaluator(&gpu, &closed("field:tilted?omega=0.5", shape), &[3], room).unwrap();
        let memory = all.memory();
        (all.max_samples() as u64, memory.device() - memory.constants)
    };
    let near = if gpu.is_software() { 96 << 20 } else { 2 << 30 };
    let (samples, bytes) = takes(Shape::new(3, 64, 64));
    assert!(bytes <= near && bytes + 2 * bytes / samples > near, "{samples} samples take {bytes} bytes");
    let (samples, bytes) = takes(Shape::new(3, 1024, 1024));
    let room = near.max(256 << 20);
    assert!(bytes <= room && bytes + 2 * bytes / samples > room, "{samples} samples take {bytes} bytes");
}
