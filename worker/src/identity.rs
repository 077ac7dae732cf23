//! Who this worker is, in results and in RabbitMQ's own UI.

use std::fmt;
use uuid::Uuid;

/// A worker's name: its host and its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The host's name.
    pub host: String,
    /// Unique among the workers: `<host>/<process id>-<four random digits>`, because in containers
    /// every process has the same id.
    pub worker: String,
}

impl Identity {
    /// This process on this host.
    #[must_use]
    pub fn of_this_process() -> Self {
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        let random = Uuid::now_v7().as_u128() & 0xffff;
        let worker = format!("{host}/{}-{random:04x}", std::process::id());
        Self { host, worker }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.worker)
    }
}
