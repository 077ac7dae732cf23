//! What the tests against references share, here and in the engine.

#![allow(
    dead_code,
    reason = "each test file is a crate of its own and uses a part of this"
)]

use std::fs;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

/// Said by every test that cannot run: it fails, it is never skipped.
pub(crate) const REMEDY: &str = "run `cargo xtask test`, which sets it up";

/// A path below `NCS_RUNTIME_DIR`.
pub(crate) fn runtime(below: &str) -> PathBuf {
    let root = std::env::var_os("NCS_RUNTIME_DIR")
        .unwrap_or_else(|| panic!("NCS_RUNTIME_DIR is not set; {REMEDY}"));
    let path = PathBuf::from(root).join(below);
    assert!(path.exists(), "{} is missing; {REMEDY}", path.display());
    path
}

pub(crate) fn bytes(below: &str) -> Vec<u8> {
    fs::read(runtime(below)).expect("a readable file")
}

pub(crate) fn json<T: DeserializeOwned>(below: &str) -> T {
    serde_json::from_slice(&bytes(below)).expect("an index of this version of the tests")
}
