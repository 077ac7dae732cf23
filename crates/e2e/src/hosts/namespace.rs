//! Network namespaces: a network stack for each host, on one kernel.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, anyhow, bail};
use rustix::process::{Pid, getpid, test_kill_process};

use crate::leash;
use crate::place::Place;

/// Where `ip netns` keeps them.
const NAMED: &str = "/var/run/netns";
/// What the names of ours begin with; then follow our process id and a number.
const PREFIX: &str = "ncs-e2e";

static CREATED: AtomicU32 = AtomicU32::new(0);

/// A namespace of ours. Dropping it removes it, with the network in it, as soon as the last process in it
/// has ended.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// A network of its own that has its loopback interface and nothing else.
    pub(super) fn create() -> Result<Self> {
        remove_orphans();
        // The shell that ends our processes outlives them: it is to be none of a namespace's.
        leash::begin()?;
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}", std::process::id());
        run("ip", &["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn place(&self) -> Place {
        Place::in_namespace(Path::new(NAMED).join(&self.name))
    }

    /// `ip <arguments>` in it.
    pub(super) fn ip(&self, arguments: &[&str]) -> Result<()> {
        run("ip", &[&["-n", &self.name][..], arguments].concat())
    }

    /// `tc <arguments>` in it.
    pub(super) fn tc(&self, arguments: &[&str]) -> Result<()> {
        run("tc", &[&["-n", &self.name][..], arguments].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody is left who could be told; the next run removes what is left.
        let _ = run("ip", &["netns", "del", &self.name]);
    }
}

/// Those of processes that were killed.
fn remove_orphans() {
    let Ok(entries) = fs::read_dir(NAMED) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = owner(&name).filter(|owner| *owner != getpid());
        if owner.is_some_and(|owner| test_kill_process(owner).is_err()) {
            let _ = run("ip", &["netns", "del", &name]);
        }
    }
}

/// The process id in `ncs-e2e-4711-0`.
fn owner(name: &str) -> Option<Pid> {
    let (process, _number) = name
        .strip_prefix(PREFIX)?
        .strip_prefix('-')?
        .split_once('-')?;
    Pid::from_raw(process.parse().ok()?)
}

pub(super) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| anyhow!("cannot start {program}, of iproute2: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), said.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_name() {
        assert_eq!(owner("ncs-e2e-4711-0"), Pid::from_raw(4711));
        for other in ["ncs-e2e-", "ncs-e2e-x-1", "ncs-4711-0", "blue"] {
            assert_eq!(owner(other), None, "{other}");
        }
    }
}
