//! The built library, and a program that loads it: this test itself, started again as a child with
//! the environment it wants, since the library reads that once per process.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) mod openvino;

/// The library that cargo has built for this test, beside it. A copy of it in the folder above comes
/// from `cargo build` and may be older.
pub(crate) fn library() -> PathBuf {
    let test = std::env::current_exe().expect("the running test");
    let file = test.with_file_name("libncs_stick_emulator.so");
    assert!(file.is_file(), "there is no {}", file.display());
    file
}

const CHILD: &str = "STICKS_TEST_CHILD";

/// Runs `body` in a child process with these variables. `name` is that of the calling test.
pub(crate) fn in_child(name: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    if std::env::var(CHILD).as_deref() == Ok(name) {
        body();
        return;
    }
    let test = std::env::current_exe().expect("the running test");
    let output = Command::new(test)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, name)
        .envs(variables.iter().copied())
        .output()
        .expect("a child of this test");
    let written = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}",
        written(&output.stdout),
        written(&output.stderr)
    );
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// A folder for one test and its child, removed when the test drops it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The same for the test and its child.
    pub(crate) fn of(name: &str) -> Self {
        let test = if is_child() {
            parent_id()
        } else {
            std::process::id()
        };
        let folder = std::env::temp_dir().join(format!("ncs-stick-emulator-{test}-{name}"));
        fs::create_dir_all(&folder).expect("a folder in the temporary folder");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    /// Sets the states.
    pub(crate) fn set(&self, lines: &str) {
        let new = self.0.join("sticks.new");
        fs::write(&new, lines).expect("a file is written");
        fs::rename(&new, self.0.join("sticks")).expect("a file is renamed");
    }

    /// The counts of this process.
    pub(crate) fn stats(&self) -> String {
        let file = self.0.join(format!("stats-{}.json", std::process::id()));
        fs::read_to_string(file).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !is_child() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An IR with an input `[1, 2, 4, 8]` u8 and 10 classes, with weights that are never read.
pub(crate) fn model(folder: &Path) -> PathBuf {
    let xml = folder.join("model.xml");
    let text = r#"<?xml version="1.0"?><net name="n" version="11"><layers>
        <layer id="0" name="data" type="Parameter" version="opset1">
            <data shape="1,2,4,8" element_type="u8"/></layer>
        <layer id="1" name="result" type="Result" version="opset1"><input>
            <port id="0" precision="FP32"><dim>1</dim><dim>10</dim></port></input></layer>
        </layers></net>"#;
    fs::write(&xml, text).expect("a file is written");
    fs::write(folder.join("model.bin"), "").expect("a file is written");
    xml
}
