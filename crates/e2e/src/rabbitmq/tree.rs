//! A Debian unpacked into a folder, to run programs of a release that this machine does not have.
//!
//! `RabbitMQ` needs `/proc`: it reads the machine's memory and its own there, and `df`, which it
//! asks for the free disk space, the mounted file systems. So each program gets a mount namespace
//! of its own with `/proc` in the tree. The kernel forgets it with the last process in it: nothing
//! can stay mounted, however the processes ended.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::clean_command;

/// Where nodes keep their files, as they see it. `cargo xtask setup` makes it, writable for
/// everybody.
const WORK_DIR: &str = "ncs";

/// With the tree and the program as arguments. `--rbind`, because a user namespace may not show
/// less of `/proc` than it was given.
const ENTER: &str = r#"mount --rbind /proc "$0/proc" && exec chroot "$0" "$@""#;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where nodes keep their files, as we see it.
    pub(super) fn work_dir(&self) -> PathBuf {
        self.root.join(WORK_DIR)
    }

    /// What `inner` is for us, for example `/usr/bin/epmd`.
    pub(super) fn seen_from_outside(&self, inner: &Path) -> PathBuf {
        self.root.join(inner.strip_prefix("/").unwrap_or(inner))
    }

    /// What a folder of ours is for the programs in the tree.
    pub(super) fn seen_from_inside(&self, outer: &Path) -> PathBuf {
        let inner = outer.strip_prefix(&self.root).unwrap_or(outer);
        Path::new("/").join(inner)
    }

    /// `program`, a path in the tree, with the tree as its whole file system.
    ///
    /// It all ends in an exec: the process that we start becomes the program itself, which is what
    /// signals and measurements need.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = clean_command("unshare");
        if !rustix::process::geteuid().is_root() {
            // In a user namespace of its own, everybody may mount and change the root.
            command.arg("--map-root-user");
        }
        command
            .args(["--mount", "/bin/sh", "-c", ENTER])
            .arg(&self.root)
            .arg(program);
        command
    }

    /// Whether programs can be run in it.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(super) fn check(&self) -> Result<()> {
        let output = self
            .command(Path::new("/bin/true"))
            .output()
            .context("cannot start unshare, which belongs to util-linux")?;
        if !output.status.success() {
            bail!(
                "cannot run programs in {} ({}): that takes a kernel that lets this user make \
                 mount namespaces, as it does for root outside of containers",
                self.root.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_name_on_either_side() {
        let tree = Tree::at(PathBuf::from("/r/rabbitmq-4"));
        let outside = tree.work_dir().join("rabbitmq-1-0");
        let inside = tree.seen_from_inside(&outside);
        assert_eq!(inside, Path::new("/ncs/rabbitmq-1-0"));
        assert_eq!(tree.seen_from_outside(&inside), outside);
    }
}
