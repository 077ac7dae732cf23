//! A Debian unpacked into a folder, to run programs of a release that this machine does not have.
//!
//! Nothing stays mounted in it. `RabbitMQ` wants `/proc`: it reads the machine's memory and its own
//! there, and `df`, which it asks for the free disk space, the mounted file systems. So each
//! program gets a mount namespace of its own with `/proc` in the tree, and the kernel forgets that
//! with the last process in it, however they ended. In a container without the right to mount,
//! root can still change the root, and the node is told what it cannot see.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use super::clean_command;

/// The folder in the tree for nodes' files, which `cargo xtask setup` makes.
pub const WORK_DIR: &str = "ncs";

/// With the tree and the program as arguments. `--rbind`, because a user namespace may not show
/// less of `/proc` than it was given.
const ENTER: &str = r#"mount --rbind /proc "$0/proc" && exec chroot "$0" "$@""#;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    root: PathBuf,
    way: Way,
}

/// How its programs are started. Each ends in an exec: the process that we start becomes the
/// program itself, which is what signals and measurements need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In a mount namespace of its own, with `/proc`.
    Namespace,
    /// By changing the root only.
    Chroot,
}

impl Tree {
    /// The tree at `root`, in the best way that works here.
    ///
    /// # Errors
    /// When none does, with the reason.
    pub(super) fn open(root: PathBuf) -> Result<Self> {
        let namespace = Self {
            root,
            way: Way::Namespace,
        };
        let Err(error) = namespace.try_out() else {
            return Ok(namespace);
        };
        let chroot = Self {
            way: Way::Chroot,
            ..namespace
        };
        if geteuid().is_root() && chroot.try_out().is_ok() {
            return Ok(chroot);
        }
        Err(error).with_context(|| {
            format!(
                "cannot run programs in {}: become root, or let this user make user namespaces",
                chroot.root.display()
            )
        })
    }

    /// Where nodes keep their files, as we see it.
    pub(super) fn work_dir(&self) -> PathBuf {
        self.root.join(WORK_DIR)
    }

    /// Whether its programs see `/proc`.
    pub(super) fn has_proc(&self) -> bool {
        self.way == Way::Namespace
    }

    /// What a folder of ours is for the programs in the tree.
    pub(super) fn seen_from_inside(&self, outer: &Path) -> PathBuf {
        let inner = outer.strip_prefix(&self.root).unwrap_or(outer);
        Path::new("/").join(inner)
    }

    /// `program`, a path in the tree, with the tree as its whole file system.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = match self.way {
            Way::Namespace => {
                let mut unshare = clean_command("unshare");
                if !geteuid().is_root() {
                    // In a user namespace of its own, everybody may mount and change the root.
                    unshare.arg("--map-root-user");
                }
                unshare.args(["--mount", "/bin/sh", "-c", ENTER]);
                unshare
            }
            Way::Chroot => clean_command("chroot"),
        };
        command.arg(&self.root).arg(program);
        command
    }

    fn try_out(&self) -> Result<()> {
        let output = self
            .command(Path::new("/bin/true"))
            .output()
            .context("unshare and chroot, which every Linux has, are not on the PATH")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}
