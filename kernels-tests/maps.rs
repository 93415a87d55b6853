//! Laws of maps: a rotor turns every pixel alike, a tilted field beside a known symmetric half, a gradient nothing beyond the
//! error; rows of the whole Jacobian's halves; what is drawn of them.
use crate::circulation::{closed, images, write_mixture};
use crate::common::{gpu, measured};
use crate::curl::small_network;
use std::sync::Arc;
use vorticity::data::Images;
use vorticity::diagnostics::Selection;
use vorticity::field::Field;
use vorticity::gpu::Gpu;
use vorticity::measures::jacobian::JacobianOptions;
use vorticity::measures::map::MapOptions;
use vorticity::run::{Numbers, Table, Verdict, verdicts};
use vorticity::shape::Shape;

/// Odd, and not a multiple of four.
const SHAPE: Shape = Shape::new(3, 5, 5);
const D: usize = 75;

fn map(gpu: &Gpu, field: &Arc<dyn Field>, images: &Images, probes: Option<usize>) -> Table {
    let selection = Selection { timesteps: vec![1, 300, 900], samples: 3, seed: 5 };
    measured(gpu, field, images, &MapOptions { selection, probes, verified: 3 }).unwrap()
}

fn values<'a>(table: &'a Table, name: &str) -> &'a [f64] {
    &table.column(name).unwrap().values
}

fn picture<'a>(table: &'a Table, name: &str) -> &'a [f32] {
    match &table.array(name).unwrap().values {
        Numbers::F32(values) => values,
        _ => panic!("{name} is not in f32"),
    }
}

#[test]
fn a_rotor_turns_every_pixel_alike() {
    let (gpu, images) = (gpu(), images(SHAPE, 3));
    // Every row of A has two entries of size w, H is -1 or nothing.
    for (spec, turns, rest) in [
        ("field:rotor?omega=0.7", 0.98f32, 0f32),
        ("field:tilted?omega=0.5", 0.5, 1.0),
        ("field:tilted?omega=2", 8.0, 1.0),
    ] {
        let field = closed(spec, SHAPE);
        let exact = map(&gpu, &field, &images, None);
        for (name, want) in [("r", turns), ("q", rest), ("r_mean", turns), ("q_mean", rest)] {
            let got = picture(&exact, name);
            assert!(got.iter().all(|v| (v - want).abs() <= 1e-5 * turns), "{spec}: {name} {:?}", &got[..3]);
        }
        for name in ["r_se", "q_se"] {
            assert!(picture(&exact, name).iter().all(|v| *v == 0.0), "{spec}: {name}");
        }
        let nasym = f64::from(turns / (turns + rest));
        for place in 0..9 {
            let [share, anti2, sym2] = ["nasym", "anti2", "sym2"].map(|name| values(&exact, name)[place]);
            assert!((share - nasym).abs() <= 1e-5, "{spec}: {share} instead of {nasym}");
            assert!((anti2 - 75.0 * f64::from(turns)).abs() <= 1e-3 && (sym2 - 75.0 * f64::from(rest)).abs() <= 1e-3);
        }
        assert!(verdicts(&exact).unwrap().iter().all(|v| *v == Verdict::Resolved), "{spec}");
        // Probes: within five standard errors of each pixel.
        let probed = map(&gpu, &field, &images, Some(64));
        for (r, se) in picture(&probed, "r").iter().zip(picture(&probed, "r_se")) {
            assert!((r - turns).abs() <= 5.0 * se && *se < 0.3 * turns, "{spec}: {r} ± {se}");
        }
        for (place, own) in picture(&probed, "r").chunks(D).enumerate() {
            let (sum, anti2) = (own.iter().map(|r| f64::from(*r)).sum::<f64>(), values(&probed, "anti2")[place]);
            assert!((sum - anti2).abs() <= 1e-5 * anti2, "{spec}: {sum} {anti2}");
        }
        // H of the tilted field is -1: sign vectors see that without scatter.
        assert!(picture(&probed, "q").iter().all(|q| (q - rest).abs() <= 1e-5 * turns));
    }
    let exact = map(&gpu, &closed("field:rotor", SHAPE), &images, None);
    assert_eq!(exact.array("r").unwrap().shape, [3, 3, 3, 5, 5]);
    assert_eq!(exact.array("r_mean").unwrap().shape, [3, 3, 5, 5]);
    assert_eq!(picture(&exact, "clean"), images.values);
}

#[test]
fn a_gradient_turns_nothing_beyond_the_error() {
    let (gpu, folder, images) = (gpu(), tempfile::tempdir().unwrap(), images(SHAPE, 3));
    let file = folder.path().join("mixture.safetensors");
    write_mixture(&file, SHAPE, 4);
    let field = closed(&format!("field:mixture?file={}", file.display()), SHAPE);
    let table = map(&gpu, &field, &images, None);
    assert!(verdicts(&table).unwrap().iter().all(|v| *v == Verdict::NotResolved));
    let errors = table.measure.errors(&table).unwrap();
    let own = |name: &str| &errors.iter().find(|e| e.0 == name).unwrap().1;
    for place in 0..9 {
        let of = |name: &str| Verdict::of(values(&table, name)[place], own(name).iter().map(|e| e.1[place]));
        assert_eq!((of("anti2"), of("sym2")), (Verdict::NotResolved, Verdict::Resolved));
    }
}

/// Of the trained network, against every entry of its Jacobian.
#[test]
fn maps_are_the_rows_of_the_halves() {
    let (gpu, folder) = (gpu(), tempfile::tempdir().unwrap());
    let (field, images) = small_network(folder.path());
    let (d, selection) = (64, Selection { timesteps: vec![100, 600], samples: 2, seed: 5 });
    let whole = measured(
        &gpu,
        &field,
        &images,
        &JacobianOptions { selection: selection.clone(), verified: 0, ..Default::default() },
    )
    .unwrap();
    let of = |probes| MapOptions { selection: selection.clone(), probes, verified: 2 };
    let [exact, probed] = [None, Some(64)].map(|probes| measured(&gpu, &field, &images, &of(probes)).unwrap());
    for (place, block) in picture(&whole, "jacobian").chunks(d * d).enumerate() {
        let at = |a: usize, b: usize| f64::from(block[a * d + b]);
        let row = |i: usize, sign: f64| (0..d).map(|j| ((at(i, j) + sign * at(j, i)) / 2.0).powi(2)).sum::<f64>();
        let size: f64 = block.iter().map(|v| f64::from(*v).powi(2)).sum();
        for (name, sign) in [("r", -1.0), ("q", 1.0)] {
            let mut far = 0;
            for i in 0..d {
                let (want, got) = (row(i, sign), f64::from(picture(&exact, name)[place * d + i]));
                assert!((got - want).abs() <= 1e-5 * size / d as f64 + 1e-4 * want, "{name} {i}: {got} {want}");
                let (got, se) =
                    (picture(&probed, name)[place * d + i], picture(&probed, &format!("{name}_se"))[place * d + i]);
                far += usize::from((f64::from(got) - want).abs() > 3.0 * f64::from(se));
            }
            // Squares of sums of signs have long tails: of 64 pixels one in thirty may be beyond three standard errors.
            assert!(far <= 4, "{name}: {far} of {d} pixels are beyond three standard errors");
        }
    }
    assert!(verdicts(&exact).unwrap().iter().all(|v| *v == Verdict::Resolved));
}

/// What is drawn: colours end at what is resolved, pixels under their error stay grey, and without a check it is said.
#[cfg(feature = "cli")]
#[test]
fn pictures_of_maps_leave_out_what_is_not_resolved() {
    use vorticity::run::{Array, Pictures};
    use vorticity::summary::maps::columns;
    let (gpu, images) = (gpu(), images(SHAPE, 3));
    let mut table = map(&gpu, &closed("field:tilted?omega=0.5", SHAPE), &images, None);
    let Some(Pictures::Maps(maps)) = table.measure.info().pictures else { panic!() };
    let drawn = columns(&table, &maps).unwrap();
    assert_eq!(drawn.iter().map(|c| c.timestep).collect::<Vec<_>>(), [1, 300, 900]);
    for column in &drawn {
        // Three channels of 2 w^2 = 0.5 each, a third of the whole.
        let ends = column.tiles.each_ref().map(|t| t.end);
        assert!((ends[0] - 1.5).abs() < 1e-4 && (ends[1] - 1.0 / 3.0).abs() < 1e-4 && (ends[2] - 1.5).abs() < 1e-4);
        assert!(column.tiles.iter().all(|t| t.checked && t.size == [5, 5] && t.about.contains("25 of 25 pixels")));
    }
    let change = |table: &mut Table, name: &str, values: Vec<f32>| {
        let array = table.arrays.iter_mut().find(|a| a.name == name).unwrap();
        *array = Array { name: array.name, shape: array.shape.clone(), values: Numbers::F32(values) };
    };
    // One pixel is not resolved in any sample.
    let errors = (0..9 * D).map(|i| if i % D == 7 { 1.0 } else { 0.0 }).collect();
    change(&mut table, "r_se", errors);
    let drawn = columns(&table, &maps).unwrap();
    assert!(drawn[0].tiles.iter().all(|t| t.about.contains("24 of 25 pixels")), "{}", drawn[0].tiles[0].about);
    // Nothing is.
    change(&mut table, "r_se", vec![1.0; 9 * D]);
    assert!(columns(&table, &maps).unwrap().iter().flat_map(|c| &c.tiles).all(|t| t.end == 0.0));
    let component = table.columns.iter_mut().find(|c| c.about.name == maps.component).unwrap();
    component.values = vec![f64::NAN; 9];
    assert!(columns(&table, &maps).unwrap().iter().flat_map(|c| &c.tiles).all(|t| !t.checked));
    change(&mut table, "q", vec![1.0; 7]);
    assert!(columns(&table, &maps).err().unwrap().to_string().contains("not of one size"));
}
