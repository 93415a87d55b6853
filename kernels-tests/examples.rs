//! The examples are built and run here as they are, and stay short; a field's own WGSL is found, and two of one name are
//! refused.
use vorticity::shaders::assemble_with;

#[path = "../examples/asymmetry.rs"]
mod asymmetry;
#[path = "../examples/circulation.rs"]
mod circulation;
#[path = "../examples/curl.rs"]
mod curl;
#[path = "../examples/evaluate.rs"]
mod evaluate;
#[path = "../examples/jacobian.rs"]
mod jacobian;
#[path = "../examples/jvp.rs"]
mod jvp;
#[path = "../examples/likelihood.rs"]
mod likelihood;
#[path = "../examples/open_model.rs"]
mod open_model;
#[path = "../examples/own_field.rs"]
mod own_field;
#[path = "../examples/stein.rs"]
mod stein;

#[test]
fn examples_run_and_are_short() {
    let _one_at_a_time = crate::common::gpu();
    for (name, run) in [
        ("open_model", open_model::main as fn() -> vorticity::error::Result<()>),
        ("evaluate", evaluate::main),
        ("circulation", circulation::main),
        ("own_field", own_field::main),
        ("jvp", jvp::main),
        ("curl", curl::main),
        ("asymmetry", asymmetry::main),
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
fn a_programs_own_shaders_are_found_by_name() {
    let own = [("mine", "#import lib/grid.wgsl\n#import part\nfn f() {}"), ("part", "const PART = 3;")];
    let text = assemble_with("mine", &[], &own).unwrap();
    assert!(text.contains("fn workgroup_index") && text.contains("const PART = 3;") && text.contains("fn f() {}"));
    let refused = |name: &str, own: &[(&str, &str)]| assemble_with(name, &[], own).unwrap_err().to_string();
    assert!(refused("other", &own).contains("other"));
    assert!(refused("silu", &[("silu", "")]).contains("2 files have this name"));
    assert!(refused("a", &[("a", "fn f() {}"), ("a", "fn g() {}")]).contains("2 files have this name"));
}
