//! Starting: what a driver compiles in a first run, a second one finds.
use crate::cli::{DIGITS, MODEL, text, vorticity};
use crate::common::gpu;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every file below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.extend([path]) }
    }
    found
}

#[test]
fn a_second_run_compiles_nothing() {
    if !gpu().name().contains("llvmpipe") {
        return; // other drivers keep elsewhere what they compile
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    // Two lanes, of which some tensors fill a power of two of an image's rows: such images are kernels of their own to this driver.
    let runs = ["first", "second"].map(|name| {
        let out = folder.path().join(name);
        let mut arguments = vec!["circulation", MODEL, "--data", DIGITS, "--out", text(&out)];
        arguments.extend("--paths rotation --timesteps 400 --samples 1 --points 2 --tile 2".split(' '));
        arguments.extend("--quadrature-check 0 --verify-fraction 0".split(' '));
        vorticity(&arguments).env("MESA_SHADER_CACHE_DIR", &cache).assert().success();
        (files(&cache), std::fs::read(out.join("circulation.csv")).unwrap())
    });
    assert!(runs[0].0.len() > 8, "{:?}", runs[0].0);
    assert_eq!(runs[0], runs[1]);
}
