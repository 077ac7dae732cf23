//! Which `RabbitMQ` a node shall be of.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail};

/// A release that nodes can be of. What holds on one need not hold on the other: the fleet must
/// work on both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Release {
    /// Whichever this machine has installed.
    #[default]
    Installed,
    /// 3.x: the installed one if it is of that release, else the one that `cargo xtask setup` has
    /// unpacked.
    V3,
    /// 4.x: the same.
    V4,
}

impl Release {
    /// The number before the first dot, if this is a certain one.
    #[must_use]
    pub fn major(self) -> Option<u8> {
        match self {
            Self::Installed => None,
            Self::V3 => Some(3),
            Self::V4 => Some(4),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.major() {
            None => f.pad("installed"),
            Some(major) => write!(f, "{major}"),
        }
    }
}

impl FromStr for Release {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "installed" => Ok(Self::Installed),
            "3" => Ok(Self::V3),
            "4" => Ok(Self::V4),
            _ => bail!("{text:?} is no release of RabbitMQ: expected 3, 4 or installed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_as_it_is_written() {
        for release in [Release::Installed, Release::V3, Release::V4] {
            let read: Release = release.to_string().parse().expect("a release");
            assert_eq!(read, release);
        }
    }

    #[test]
    fn an_unknown_release_is_refused_with_those_that_there_are() {
        let error = "3.10".parse::<Release>().expect_err("not by its minor");
        assert_eq!(
            error.to_string(),
            "\"3.10\" is no release of RabbitMQ: expected 3, 4 or installed"
        );
    }
}
