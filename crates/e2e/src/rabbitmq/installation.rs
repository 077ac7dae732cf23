//! Where this machine's `RabbitMQ` programs are.

use std::env;
use std::path::{Path, PathBuf};

/// Debian and Ubuntu, Fedora and SUSE, the generic archive and the Docker image, Homebrew.
const KNOWN_DIRS: [&str; 6] = [
    "/usr/lib/rabbitmq/bin",
    "/usr/lib64/rabbitmq/bin",
    "/opt/rabbitmq/sbin",
    "/usr/local/lib/rabbitmq/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
];

/// The folder of `rabbitmq-server` and `rabbitmqctl` themselves.
///
/// Not the wrappers of the same names in `/usr/sbin`: they refuse every user but root and
/// rabbitmq, and write to the machine's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    dir: PathBuf,
}

impl Installation {
    /// Looks in the places where distributions put it, then along `PATH`.
    #[must_use]
    pub fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).filter(|dir| !holds_wrappers(dir));
        KNOWN_DIRS
            .iter()
            .map(PathBuf::from)
            .chain(on_path)
            .find(|dir| dir.join("rabbitmq-server").is_file())
            .map(|dir| Self { dir })
    }

    /// One of its programs, for example `rabbitmqctl`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn holds_wrappers(dir: &Path) -> bool {
    dir == Path::new("/usr/sbin") || dir == Path::new("/sbin")
}
