//! Remembers what a step has made, and from what.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ncs_e2e::paths::Runtime;

/// `.runtime/stamps/<step>`, written when everything else is. It holds a hash of whatever the
/// step's outputs depend on.
#[derive(Debug)]
pub(super) struct Stamp {
    file: PathBuf,
    fingerprint: u64,
    outputs: Vec<PathBuf>,
}

impl Stamp {
    pub(super) fn new(runtime: &Runtime, step: &str) -> Self {
        Self {
            file: runtime.dir().join("stamps").join(step),
            fingerprint: 0,
            outputs: Vec::new(),
        }
    }

    /// The outputs depend on this text.
    pub(super) fn depends_on(mut self, ingredient: impl AsRef<[u8]>) -> Self {
        // Not the same in every release of Rust, which at worst does a step once more.
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.fingerprint);
        hasher.write(ingredient.as_ref());
        self.fingerprint = hasher.finish();
        self
    }

    /// The outputs depend on this file's content; a missing one counts as empty.
    pub(super) fn depends_on_file(self, file: &Path) -> Self {
        self.depends_on(fs::read(file).unwrap_or_default())
    }

    /// The step makes this file or folder.
    pub(super) fn makes(mut self, output: PathBuf) -> Self {
        self.outputs.push(output);
        self
    }

    /// Whether the step was done, from the same ingredients, and its outputs are still there.
    pub(super) fn is_current(&self) -> bool {
        let written = fs::read_to_string(&self.file).unwrap_or_default();
        written == self.text() && self.outputs.iter().all(|output| output.exists())
    }

    /// Before the step begins: what it is about to change is not to be relied on.
    pub(super) fn remove(&self) -> Result<()> {
        remove_if_there(&self.file)
    }

    /// After the step has ended well.
    pub(super) fn write(&self) -> Result<()> {
        let dir = self.file.parent().context("a stamp lies in a folder")?;
        let unfinished = self.file.with_extension("part");
        fs::create_dir_all(dir)
            .and_then(|()| fs::write(&unfinished, self.text()))
            .and_then(|()| fs::rename(&unfinished, &self.file))
            .with_context(|| format!("cannot write {}", self.file.display()))
    }

    fn text(&self) -> String {
        format!("{:016x}\n", self.fingerprint)
    }
}

/// Removes a file or a whole folder.
pub(super) fn remove_if_there(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(what) if what.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_done_while_ingredients_and_outputs_stay() {
        let dir = std::env::temp_dir().join(format!("ncs-stamp-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        let output = dir.join("output");
        let stamp = |ingredient: &str| {
            Stamp {
                file: dir.join("stamps").join("test"),
                fingerprint: 0,
                outputs: vec![output.clone()],
            }
            .depends_on("1.0")
            .depends_on(ingredient)
        };

        assert!(!stamp("a").is_current(), "never done");
        stamp("a").write().expect("a stamp");
        assert!(!stamp("a").is_current(), "the output is missing");
        fs::write(&output, "made").expect("an output");
        assert!(stamp("a").is_current());
        assert!(!stamp("b").is_current(), "another ingredient");
        stamp("a").remove().expect("no stamp");
        assert!(!stamp("a").is_current(), "begun again");
        remove_if_there(&dir).expect("no folder");
    }

    #[test]
    fn the_border_between_ingredients_counts() {
        let stamp = || Stamp {
            file: PathBuf::new(),
            fingerprint: 0,
            outputs: Vec::new(),
        };
        let left = stamp().depends_on("ab").depends_on("c");
        let right = stamp().depends_on("a").depends_on("bc");
        assert_ne!(left.text(), right.text());
    }
}
