//! `RabbitMQ` in a container, for machines that cannot install it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};
use ncs_e2e::paths::Runtime;
use ncs_e2e::process::{Output, Process};
use ncs_e2e::rabbitmq::speaks_amqp;
use ncs_e2e::{free_port, poll_until};

const IMAGE: &str = "rabbitmq:4";
/// The image of some 100 MB may have to be fetched first.
const START_LIMIT: Duration = Duration::from_secs(300);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A container; dropping it removes it.
#[derive(Debug)]
pub(crate) struct DockerRabbitMq {
    /// `docker run` in the foreground: it passes SIGTERM on to the container.
    client: Process,
    name: String,
    addr: SocketAddr,
}

/// Whether a Docker daemon answers us.
pub(crate) fn works() -> bool {
    let mut info = Command::new("docker");
    info.arg("info").stdout(Stdio::null()).stderr(Stdio::null());
    info.status().is_ok_and(|status| status.success())
}

impl DockerRabbitMq {
    pub(crate) fn start() -> Result<Self> {
        let addr: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()?).into();
        let name = format!("ncs-fleet-{}", std::process::id());
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--name", &name]).args([
            "--publish",
            &format!("{addr}:5672"),
            IMAGE,
        ]);
        let logs = Runtime::locate()?.dir().join("logs");
        fs::create_dir_all(&logs)?;
        let client = Process::spawn("docker-rabbitmq", command, Output::Files(logs))?;
        let mut started = Self { client, name, addr };
        started.wait_until_it_answers()?;
        Ok(started)
    }

    pub(crate) fn amqp_url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.addr)
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        self.client.terminate()?;
        self.client.wait_with_limit(STOP_LIMIT).map(drop)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let ended = poll_until(START_LIMIT, || match self.client.try_wait() {
            Ok(None) => speaks_amqp(self.addr).then_some(false),
            Ok(Some(_)) | Err(_) => Some(true),
        });
        match ended {
            Some(false) => Ok(()),
            Some(true) => bail!("`docker run {IMAGE}` failed{}", self.client.last_words()),
            None => bail!("RabbitMQ in Docker did not answer within {START_LIMIT:?}"),
        }
    }
}

impl Drop for DockerRabbitMq {
    fn drop(&mut self) {
        // A client that is killed leaves its container running. After a clean stop there is none.
        let mut remove = Command::new("docker");
        remove
            .args(["rm", "--force", &self.name])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let _ = remove.status();
    }
}
