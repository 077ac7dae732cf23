//! The names of the classes.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// One name per output of the network, or none at all.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// Empty where there are none.
    path: PathBuf,
    labels: Vec<String>,
}

impl Labels {
    /// Reads one label per line.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the labels in {}", path.display()))?;
        let labels = text.lines().map(|line| line.trim().to_owned()).collect();
        Ok(Self {
            path: path.to_owned(),
            labels,
        })
    }

    /// There must be as many as the network has outputs, unless there are none.
    pub fn check(&self, classes: usize) -> anyhow::Result<()> {
        let lines = self.labels.len();
        if !self.path.as_os_str().is_empty() && lines != classes {
            bail!(
                "{} has {lines} lines, but the network has {classes} classes; give the labels that \
                 belong to this network, one per line",
                self.path.display(),
            );
        }
        Ok(())
    }

    /// The label of a class.
    #[must_use]
    pub fn of(&self, index: u32) -> Option<&str> {
        self.labels
            .get(usize::try_from(index).ok()?)
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_another_network_are_refused() {
        let path = std::env::temp_dir().join(format!("ncs-labels-{}", std::process::id()));
        std::fs::write(&path, "cat\ndog \n").unwrap();
        let labels = Labels::read(&path).unwrap();
        assert_eq!(labels.of(1), Some("dog"));
        labels.check(2).unwrap();
        let error = labels.check(3).unwrap_err().to_string();
        assert!(
            error.contains("has 2 lines") && error.contains("3 classes"),
            "{error}"
        );
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn without_labels_any_network_will_do() {
        Labels::default().check(1000).unwrap();
    }
}
