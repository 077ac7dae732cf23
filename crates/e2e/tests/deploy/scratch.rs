//! A folder of its own for a test.

use std::fs;
use std::path::{Path, PathBuf};

use ncs_e2e::paths::Runtime;

/// Dropping it removes it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let runtime = Runtime::locate().expect("the runtime");
        let name = format!("deploy-{name}-{}", std::process::id());
        let dir = runtime.dir().join("run").join(name);
        fs::create_dir_all(&dir).expect("a folder");
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.0.join(name);
        fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("a folder");
        fs::write(&file, content).expect("a file");
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
