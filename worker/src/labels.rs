//! The names of the classes.

use anyhow::{Context, bail};
use std::path::Path;

/// One name per output of the network, or none at all.
#[derive(Debug, Clone, Default)]
pub struct Labels(Vec<String>);

impl Labels {
    /// Reads one label per line; there must be as many as the network has outputs.
    pub fn read(path: &Path, classes: usize) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the labels in {}", path.display()))?;
        let labels: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        if labels.len() != classes {
            bail!(
                "{} has {} lines, but the network has {classes} classes; give the labels that \
                 belong to this network, one per line",
                path.display(),
                labels.len()
            );
        }
        Ok(Self(labels))
    }

    /// The label of a class.
    #[must_use]
    pub fn of(&self, index: u32) -> Option<&str> {
        self.0.get(usize::try_from(index).ok()?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_another_network_are_refused() {
        let path = std::env::temp_dir().join(format!("ncs-labels-{}", std::process::id()));
        std::fs::write(&path, "cat\ndog \n").unwrap();
        assert_eq!(Labels::read(&path, 2).unwrap().of(1), Some("dog"));
        let error = Labels::read(&path, 3).unwrap_err().to_string();
        assert!(
            error.contains("has 2 lines") && error.contains("3 classes"),
            "{error}"
        );
        std::fs::remove_file(&path).unwrap();
    }
}
