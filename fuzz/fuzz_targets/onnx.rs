//! Any bytes to the reader of the same name in kernels-tests/readers.rs, in a folder of this process below TMPDIR.
#![no_main]
#[path = "../../kernels-tests/readers.rs"]
#[allow(dead_code)] // those of the other targets
mod readers;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("TMPDIR is writable"));

fuzz_target!(|bytes: &[u8]| readers::onnx(FOLDER.path(), bytes));
