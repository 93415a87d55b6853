//! The examples are built and run here as they are, and stay short; a field's own WGSL is found, and two of one name are
//! refused; a path of one's own gives what Green's formula says.
use crate::circulation::{closed, column, images, options, run};
use std::sync::Arc;
use vorticity::measures::circulation::{CirculationRun, Options};
use vorticity::shaders::assemble_with;
use vorticity::shape::Shape;

#[path = "../examples/asymmetry.rs"]
mod asymmetry;
#[path = "../examples/circulation.rs"]
mod circulation;
#[path = "../examples/curl.rs"]
mod curl;
#[path = "../examples/evaluate.rs"]
mod evaluate;
#[path = "../examples/evaluate_often.rs"]
mod evaluate_often;
#[path = "../examples/jacobian.rs"]
mod jacobian;
#[path = "../examples/jvp.rs"]
mod jvp;
#[path = "../examples/likelihood.rs"]
mod likelihood;
#[path = "../examples/open_model.rs"]
mod open_model;
#[path = "../examples/own_closure.rs"]
mod own_closure;
#[path = "../examples/own_field.rs"]
mod own_field;
#[path = "../examples/own_path.rs"]
mod own_path;
#[path = "../examples/planes.rs"]
mod planes;
#[path = "../examples/products.rs"]
mod products;
#[path = "../examples/spectrum.rs"]
mod spectrum;
#[path = "../examples/stein.rs"]
mod stein;

#[test]
fn examples_run_and_are_short() {
    let _one_at_a_time = crate::common::gpu();
    for (name, run) in [
        ("open_model", open_model::main as fn() -> vorticity::error::Result<()>),
        ("evaluate", evaluate::main),
        ("evaluate_often", evaluate_often::main),
        ("circulation", circulation::main),
        ("own_closure", own_closure::main),
        ("own_field", own_field::main),
        ("own_path", own_path::main),
        ("jvp", jvp::main),
        ("products", products::main),
        ("curl", curl::main),
        ("asymmetry", asymmetry::main),
        ("planes", planes::main),
        ("spectrum", spectrum::main),
        ("stein", stein::main),
        ("jacobian", jacobian::main),
        ("likelihood", likelihood::main),
    ] {
        run().unwrap_or_else(|e| panic!("{name}: {e}"));
        let file = format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        let lines = std::fs::read_to_string(file).unwrap().lines().count();
        assert!(lines < 60, "{name}: {lines} lines");
    }
}

#[test]
fn a_path_of_ones_own_goes_around_its_area_beside_others() {
    let (gpu, shape, n) = (crate::common::gpu(), Shape::new(1, 3, 3), 24);
    let (field, images) = (closed("field:rotor?omega=1", shape), images(shape, 2));
    let at = |tile| {
        let mut options = Options { tile, verify_points: 40, ..options(&["rotation"], &[100, 900], 2, n) };
        options.paths.push(Arc::new(own_path::Circle));
        run(&gpu, &field, &images, options)
    };
    let result = at(None);
    for (t, k) in [100, 900].into_iter().enumerate() {
        let radius = 3.0 * field.process().noise(k).unwrap().1;
        let area = 0.5 * n as f64 * radius * radius * (std::f64::consts::TAU / n as f64).sin();
        for place in [4 + 2 * t, 5 + 2 * t] {
            let [got, s, r, arithmetic] =
                ["integral", "abs_terms", "score_norm_sum", "arithmetic"].map(|name| column(&result, name)[place]);
            assert!((got + 2.0 * area).abs() <= 1e-5 * s, "{got}, expected {} of S = {s}", -2.0 * area);
            assert!(arithmetic <= 1e-5 * r, "{arithmetic} of {r}");
        }
    }
    for name in ["integral", "arithmetic"] {
        assert_eq!(column(&result, name), column(&at(Some(5)), name), "tiles change {name}");
    }
    let mut twice = options(&["rotation"], &[100], 2, n);
    twice.paths.push(twice.paths[0].clone());
    let refused = CirculationRun::new(&gpu, &field, &images, twice).err().unwrap();
    assert!(refused.to_string().contains("paths: 'rotation' is given twice"), "{refused}");
}

#[test]
fn a_programs_own_shaders_are_found_by_name() {
    let own = [("mine", "#import lib/grid.wgsl\n#import part\nfn f() {}"), ("part", "const PART = 3;")];
    let text = assemble_with("mine", &[], &own).unwrap();
    assert!(text.contains("fn workgroup_index") && text.contains("const PART = 3;") && text.contains("fn f() {}"));
    let refused = |name: &str, own: &[(&str, &str)]| assemble_with(name, &[], own).unwrap_err().to_string();
    assert!(refused("other", &own).contains("other"));
    assert!(refused("silu", &[("silu", "")]).contains("2 files have this name"));
    assert!(refused("a", &[("a", "fn f() {}"), ("a", "fn g() {}")]).contains("2 files have this name"));
}
