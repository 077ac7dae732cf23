//! Which network a program sees.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where a program runs and what network it sees: this machine's, or a host's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// `None`: this machine's.
    namespace: Option<PathBuf>,
}

impl Place {
    /// The network namespace with this file.
    #[must_use]
    pub fn in_namespace(file: PathBuf) -> Self {
        Self {
            namespace: Some(file),
        }
    }

    /// Where a server listens that other hosts shall reach: nobody but them is in a host's own network.
    #[must_use]
    pub fn listen_address(&self) -> Ipv4Addr {
        match &self.namespace {
            None => Ipv4Addr::LOCALHOST,
            Some(_) => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// Does something there: sockets that are opened, and threads and processes that are started, belong
    /// to that network for good. It is done on a thread of its own, since a thread that has moved does not
    /// come back.
    ///
    /// # Errors
    /// When the namespace is gone, or we may not enter it.
    pub fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> Result<T> {
        let Some(file) = &self.namespace else {
            return Ok(what());
        };
        let inside = || -> Result<T> {
            enter(file)?;
            Ok(what())
        };
        let done = std::thread::scope(|threads| threads.spawn(inside).join());
        match done {
            Ok(done) => done.with_context(|| format!("cannot enter {}", file.display())),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

#[cfg(target_os = "linux")]
fn enter(namespace: &Path) -> Result<()> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd;

    let namespace = std::fs::File::open(namespace)?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn enter(_namespace: &Path) -> Result<()> {
    anyhow::bail!("only Linux has network namespaces")
}
