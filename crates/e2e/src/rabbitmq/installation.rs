//! Where the `RabbitMQ` programs of a release are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::tree::Tree;
use super::{Release, clean_command, epmd};
use crate::paths::Runtime;

/// Debian and Ubuntu, Fedora and SUSE, the generic archive and the Docker image, Homebrew.
const KNOWN_DIRS: [&str; 6] = [
    DEBIAN_DIR,
    "/usr/lib64/rabbitmq/bin",
    "/opt/rabbitmq/sbin",
    "/usr/local/lib/rabbitmq/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
];

const DEBIAN_DIR: &str = "/usr/lib/rabbitmq/bin";

/// The folder of `rabbitmq-server` and `rabbitmqctl` themselves.
///
/// Not the wrappers of the same names in `/usr/sbin`: they refuse every user but root and
/// rabbitmq, and write to the machine's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The unpacked Debian that it lies in, unless it is this machine's own.
    tree: Option<Tree>,
    /// As its own programs see it.
    dir: PathBuf,
}

impl Installation {
    /// This machine's own: looks in the places where distributions put it, then along `PATH`.
    #[must_use]
    pub fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).filter(|dir| !holds_wrappers(dir));
        KNOWN_DIRS
            .iter()
            .map(PathBuf::from)
            .chain(on_path)
            .find(|dir| dir.join("rabbitmq-server").is_file())
            .map(|dir| Self { tree: None, dir })
    }

    /// The one for nodes of `release`: this machine's own where it is of that release, else the
    /// unpacked one.
    ///
    /// # Errors
    /// When it is not there, with what to run.
    pub fn of(release: Release) -> Result<Self> {
        let own = Self::find();
        let Some(major) = release.major() else {
            return own.context("no RabbitMQ server is installed: run `cargo xtask setup`");
        };
        if let Some(own) = own.filter(|own| own.major() == Some(major)) {
            return Ok(own);
        }
        let root = Runtime::locate()?.rabbitmq_dir(major);
        let unpacked = version_of(&root.join(DEBIAN_DIR.trim_start_matches('/')));
        match unpacked.filter(|version| major_of(version) == Some(major)) {
            Some(_) => Ok(Self {
                tree: Some(Tree::open(root)?),
                dir: PathBuf::from(DEBIAN_DIR),
            }),
            None => bail!(
                "RabbitMQ {major} is neither installed nor unpacked in {}: run `cargo xtask setup`",
                root.display()
            ),
        }
    }

    /// The number before the first dot of its version, as far as the names of its folders tell.
    #[must_use]
    pub fn major(&self) -> Option<u8> {
        major_of(&version_of(&self.dir)?)
    }

    /// One of its programs, for example `rabbitmqctl`, in an environment without our own
    /// variables.
    pub(super) fn command(&self, program: &str) -> Command {
        self.foreign_command(&self.dir.join(program))
    }

    /// Erlang's port mapper, if it can be found.
    pub(super) fn epmd(&self) -> Option<Command> {
        let file = match self.tree {
            Some(_) => PathBuf::from("/usr/bin/epmd"),
            None => epmd::find()?,
        };
        Some(self.foreign_command(&file))
    }

    /// Where nodes keep their files; `None`: wherever they like.
    pub(super) fn work_dir(&self) -> Option<PathBuf> {
        self.tree.as_ref().map(Tree::work_dir)
    }

    /// What a folder of ours is for its programs.
    pub(super) fn seen_from_inside(&self, outer: &Path) -> PathBuf {
        match &self.tree {
            Some(tree) => tree.seen_from_inside(outer),
            None => outer.to_owned(),
        }
    }

    /// Whether its programs see `/proc`.
    pub(super) fn has_proc(&self) -> bool {
        self.tree.as_ref().is_none_or(Tree::has_proc)
    }

    fn foreign_command(&self, file: &Path) -> Command {
        match &self.tree {
            Some(tree) => tree.command(file),
            None => clean_command(file),
        }
    }
}

fn holds_wrappers(dir: &Path) -> bool {
    dir == Path::new("/usr/sbin") || dir == Path::new("/sbin")
}

/// The version of the programs in `dir`, for example `3.10.8`.
fn version_of(dir: &Path) -> Option<String> {
    // Homebrew and others link the folder from elsewhere: its neighbours are where it leads.
    let dir = dir.canonicalize().ok()?;
    let home = dir.parent()?;
    [("lib", "rabbitmq_server-"), ("plugins", "rabbit-")]
        .into_iter()
        .find_map(|(folder, prefix)| version_in(&home.join(folder), prefix))
}

fn major_of(version: &str) -> Option<u8> {
    version.split('.').next()?.parse().ok()
}

/// `4.0.5` where `dir` holds `rabbit-4.0.5` or `rabbit-4.0.5.ez`.
fn version_in(dir: &Path, prefix: &str) -> Option<String> {
    dir.read_dir().ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version = name.strip_prefix(prefix)?;
        Some(version.strip_suffix(".ez").unwrap_or(version).to_owned())
    })
}
