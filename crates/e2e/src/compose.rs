//! Docker Compose's own program, which reads and merges its files without an engine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::paths::Runtime;

/// Of what the files use, `!reset` and `start_interval` came last.
const OLDEST: (u32, u32) = (2, 24);

/// Where Debian puts it, in the tree that `cargo xtask setup` unpacks for `RabbitMQ` 4.
const IN_TREE: &str = "usr/libexec/docker/cli-plugins/docker-compose";

/// A Docker Compose that is new enough.
#[derive(Debug, Clone)]
pub struct Compose {
    program: PathBuf,
    arguments: &'static [&'static str],
}

impl Compose {
    /// This machine's own, else the unpacked one.
    ///
    /// # Errors
    /// When there is none that is new enough.
    pub fn find() -> Result<Self> {
        let unpacked = Runtime::locate()?.rabbitmq_dir(4).join(IN_TREE);
        let candidates = [
            Self {
                program: PathBuf::from("docker"),
                arguments: &["compose"],
            },
            Self {
                program: PathBuf::from("docker-compose"),
                arguments: &[],
            },
            Self {
                program: unpacked,
                arguments: &[],
            },
        ];
        let found = candidates
            .into_iter()
            .find(|candidate| candidate.version() >= Some(OLDEST));
        match found {
            Some(found) => Ok(found),
            None => bail!(
                "there is no Docker Compose {}.{} or newer: run `cargo xtask setup`",
                OLDEST.0,
                OLDEST.1
            ),
        }
    }

    /// The program, for arguments such as `config`.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.arguments);
        command
    }

    /// None where it does not run, or is the one in Python, which says more than a version.
    fn version(&self) -> Option<(u32, u32)> {
        let output = self.command().args(["version", "--short"]).output().ok()?;
        parse_version(&String::from_utf8(output.stdout).ok()?)
    }
}

/// `2.26.1-4` or `v2.39.1`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(parse_version("2.26.1-4\n") >= Some(OLDEST));
        assert!(parse_version("v5.0.1") >= Some(OLDEST));
        assert!(parse_version("1.29.2") < Some(OLDEST));
        assert!(parse_version("2.9.0") < Some(OLDEST));
        assert!(parse_version("docker-compose version 1.29.2") < Some(OLDEST));
    }
}
