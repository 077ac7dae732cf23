//! A folder for as long as one child process lives: its output, or a broker's data.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::paths::Runtime;

static CREATED: AtomicU32 = AtomicU32::new(0);

/// `<name>-<our process id>-<number>`, in `.runtime/run` or elsewhere. Dropping it removes the folder, unless a test
/// is failing: then it is kept for whoever looks into the failure, until the next run.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    pub(crate) fn create(name: &str) -> Result<Self> {
        Self::create_in(&Runtime::locate()?.dir().join("run"), name)
    }

    /// For a process that sees only a part of the file system.
    pub(crate) fn create_in(parent: &Path, name: &str) -> Result<Self> {
        remove_orphans(parent);
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{name}-{}-{number}", std::process::id()));
        // Left by a process that had the same id before a reboot.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes the folders whose owner is gone: it was killed, or kept them for a failed test.
fn remove_orphans(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if owner(&entry.file_name().to_string_lossy()).is_some_and(|owner| !is_alive(owner)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The process id in `rabbitmq-4711-0`.
fn owner(name: &str) -> Option<Pid> {
    Pid::from_raw(name.rsplit('-').nth(1)?.parse().ok()?)
}

fn is_alive(process: Pid) -> bool {
    test_kill_process(process) != Err(Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_name() {
        assert_eq!(owner("rabbitmq-4711-0"), Pid::from_raw(4711));
        assert_eq!(owner("ncs-worker-12-3"), Pid::from_raw(12));
        assert_eq!(owner("rabbitmq"), None);
    }

    #[test]
    fn our_own_process_is_alive() {
        assert!(is_alive(rustix::process::getpid()));
    }
}
