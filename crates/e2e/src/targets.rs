//! `ncs-producer targets` as a child process: it tells Prometheus which workers there are.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Output, Process};
use crate::run_dir::RunDir;
use crate::worker::without_inherited_settings;
use crate::{paths, poll_until};

/// It only has to bind an address.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running one, on a port of its own. It derefs to its [`Process`]; dropping it kills it.
#[derive(Debug)]
pub struct Targets {
    process: Process,
    addr: SocketAddr,
    _dir: RunDir,
}

impl Targets {
    /// Starts it, with further arguments, and waits until it serves.
    ///
    /// # Errors
    /// When the program is not built or does not start, with what it wrote.
    pub fn start(amqp_url: &str, arguments: &[&str]) -> Result<Self> {
        let dir = RunDir::create("ncs-producer-targets")?;
        let mut command = Command::new(paths::binary("ncs-producer")?);
        without_inherited_settings(&mut command)
            .args(["targets", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("NCS_AMQP_URL", amqp_url);
        let output = Output::Files(dir.path().to_owned());
        let process = Process::spawn("ncs-producer", command, output)?;
        let port = poll_until(START_LIMIT, || {
            let said = process.stderr();
            let (_, rest) = said.split_once("127.0.0.1:")?;
            // Followed by something, so that it is whole.
            let (port, _) = rest.split_once(|next: char| !next.is_ascii_digit())?;
            port.parse::<u16>().ok()
        });
        let port = port.with_context(|| format!("it does not serve{}", process.last_words()))?;
        Ok(Self {
            process,
            addr: (Ipv4Addr::LOCALHOST, port).into(),
            _dir: dir,
        })
    }

    /// Where it serves `/targets`.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Deref for Targets {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Targets {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
