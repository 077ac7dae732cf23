//! A private `RabbitMQ` node: its own ports, data folder, Erlang name, cookie and epmd, so that
//! the machine's own node is never touched, and gone without a trace when it is stopped.

mod cluster;
mod epmd;
mod installation;
mod node;
mod release;
mod tree;

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::poll_until;
use crate::process::{Process, Usage};
use crate::proxy::Proxy;
use crate::run_dir::RunDir;

pub use cluster::Cluster;
pub use installation::Installation;
pub use release::Release;
pub use tree::WORK_DIR as TREE_WORK_DIR;

/// A clean stop takes under a second; a node that is busy replaying its log may take longer.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// How a node shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RabbitMqOptions {
    /// Which `RabbitMQ` it is.
    pub release: Release,
    /// Whether it serves metrics, with the `rabbitmq_prometheus` plugin.
    pub prometheus: bool,
    /// Whether it has the management API, with the `rabbitmq_management` plugin.
    pub management: bool,
    /// Further plugins of `RabbitMQ`'s own.
    pub plugins: Vec<&'static str>,
    /// Further lines of `rabbitmq.conf`. A node in an unpacked Debian sees no file of this machine.
    pub config: Vec<String>,
    /// On which host it runs.
    pub place: Place,
    /// How long it may take to answer. It takes 3 to 5 seconds on two idle cores.
    pub start_limit: Duration,
}

impl From<Release> for RabbitMqOptions {
    /// A node of this release, and otherwise as by default.
    fn from(release: Release) -> Self {
        Self {
            release,
            ..Self::default()
        }
    }
}

impl Default for RabbitMqOptions {
    fn default() -> Self {
        Self {
            release: Release::default(),
            prometheus: false,
            management: false,
            plugins: Vec::new(),
            config: Vec::new(),
            place: Place::default(),
            start_limit: Duration::from_secs(90),
        }
    }
}

/// A running node, or one that was killed and can be started again with its data.
///
/// Dropping it kills it and removes its data; [`RabbitMq::stop`] lets it end in order.
#[derive(Debug)]
pub struct RabbitMq {
    // In the order in which they must end: the node talks to epmd, both write to the folder.
    server: Process,
    /// Its own; those who join it in a cluster use it too.
    epmd: Option<Process>,
    node: node::Node,
    options: RabbitMqOptions,
    _dir: RunDir,
}

impl RabbitMq {
    /// Starts a node without any data, and waits until it answers.
    ///
    /// # Errors
    /// When that `RabbitMQ` is not there, or does not answer in time, with the end of its log.
    pub fn start(options: impl Into<RabbitMqOptions>) -> Result<Self> {
        let mut started = Self::launch(options.into(), None)?;
        started.wait_until_it_answers()?;
        Ok(started)
    }

    /// Starts a node and does not wait. With a peer, it finds that one, and has its cookie.
    fn launch(options: RabbitMqOptions, peer: Option<&Self>) -> Result<Self> {
        let installation = Installation::of(options.release)?;
        let dir = match installation.work_dir() {
            Some(parent) => RunDir::create_in(&parent, "rabbitmq")?,
            None => RunDir::create("rabbitmq")?,
        };
        let peer = peer.map(|peer| &peer.node);
        let node = node::Node::prepare(installation, dir.path().to_owned(), &options, peer)?;
        let epmd = match peer {
            None => Some(epmd::start(&node)?),
            Some(_) => None,
        };
        let server = node.launch()?;
        Ok(Self {
            server,
            epmd,
            node,
            options,
            _dir: dir,
        })
    }

    /// For AMQP clients: user guest, virtual host `/`.
    #[must_use]
    pub fn amqp_url(&self) -> String {
        url_at(self.amqp_addr())
    }

    /// The same over a network that can be cut: a [`Proxy`] to [`RabbitMq::amqp_addr`].
    #[must_use]
    pub fn amqp_url_through(&self, proxy: &Proxy) -> String {
        url_at(proxy.addr())
    }

    /// Where it listens for AMQP clients on its own host.
    #[must_use]
    pub fn amqp_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.node.amqp_port).into()
    }

    /// Where it serves `/metrics`, if that was asked for.
    #[must_use]
    pub fn prometheus_addr(&self) -> Option<SocketAddr> {
        self.node
            .prometheus_port
            .map(|port| (Ipv4Addr::LOCALHOST, port).into())
    }

    /// Where it serves the management API, if that was asked for.
    #[must_use]
    pub fn management_addr(&self) -> Option<SocketAddr> {
        self.node
            .management_port
            .map(|port| (Ipv4Addr::LOCALHOST, port).into())
    }

    /// `rabbitmqctl <arguments>` against this node; its standard output.
    ///
    /// # Errors
    /// When it fails, with what it wrote.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.node.command("rabbitmqctl");
        command.arg("--quiet").args(arguments);
        let output = self.node.place.run(|| command.output())?;
        let output = output.context("cannot start rabbitmqctl")?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let said = [stdout.trim(), stderr.trim()].join(" ");
            bail!(
                "rabbitmqctl {}: {}: {said}",
                arguments.join(" "),
                output.status
            );
        }
        Ok(stdout.into_owned())
    }

    /// What the node has used since it was last started.
    ///
    /// # Errors
    /// When it is not running.
    pub fn usage(&self) -> Result<Usage> {
        self.server.usage()
    }

    /// What it has logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.stdout()
    }

    /// `kill -9`, as when the machine loses power. The data stays, for [`RabbitMq::restart`].
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill().map(drop)
    }

    /// Lets the node end in order. The data stays, for [`RabbitMq::restart`].
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn shut_down(&mut self) -> Result<()> {
        self.server.stop(STOP_LIMIT).map(drop)
    }

    /// Starts the node again on the same ports with the data it has, and waits until it answers.
    /// If it still runs, it is shut down first.
    ///
    /// # Errors
    /// When it does not answer in time, with the end of its log.
    pub fn restart(&mut self) -> Result<()> {
        self.shut_down()?;
        if let Some(epmd) = &mut self.epmd
            && epmd.try_wait()?.is_some()
        {
            *epmd = epmd::start(&self.node)?;
        }
        self.server = self.node.launch()?;
        self.wait_until_it_answers()
    }

    /// One node of this release for all in this process that need one at the same time; it ends with the
    /// last of them.
    ///
    /// # Errors
    /// As [`RabbitMq::start`].
    pub fn shared(release: Release) -> Result<Arc<Self>> {
        static NODES: Mutex<Vec<(Release, Weak<RabbitMq>)>> = Mutex::new(Vec::new());
        let mut nodes = NODES.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = nodes.iter().filter(|(of, _)| *of == release);
        if let Some(node) = running.find_map(|(_, node)| node.upgrade()) {
            return Ok(node);
        }
        let node = Arc::new(Self::start(release)?);
        nodes.retain(|(of, _)| *of != release);
        nodes.push((release, Arc::downgrade(&node)));
        Ok(node)
    }

    /// As [`RabbitMq::restart`], but without the data: a new node in place of this one.
    ///
    /// # Errors
    /// When the data cannot be removed, or it does not answer in time, with the end of its log.
    pub fn restart_empty(&mut self) -> Result<()> {
        self.shut_down()?;
        self.node.forget()?;
        self.restart()
    }

    /// Lets the node end in order, and removes its data.
    ///
    /// # Errors
    /// When it cannot be signalled; it is killed then.
    pub fn stop(mut self) -> Result<()> {
        self.shut_down()
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let addr = self.amqp_addr();
        let answers = || self.node.place.run(|| speaks_amqp(addr));
        let answered = poll_until(self.options.start_limit, || match self.server.try_wait() {
            Ok(None) => answers().is_ok_and(|answers| answers).then_some(Ok(())),
            Ok(Some(status)) => Some(Err(format!("RabbitMQ ended while starting, {status}"))),
            Err(error) => Some(Err(format!("{error:#}"))),
        });
        match answered {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => bail!("{why}{}", self.server.last_words()),
            None => bail!(
                "RabbitMQ did not answer on {addr} within {:?}{}",
                self.options.start_limit,
                self.server.last_words()
            ),
        }
    }
}

pub(crate) fn url_at(addr: impl Display) -> String {
    format!("amqp://guest:guest@{addr}/%2f")
}

/// Waits until queues that were just declared survive a `kill -9` of their node.
///
/// A `RabbitMQ` that is killed within about a second after a quorum queue was declared for the first time
/// forgets the queue, with what it has confirmed in it: seen on 3.10.8 and on 4.0.5. It happens once in a
/// queue's life, and nothing outside the broker can help it or see that it is over.
pub fn wait_out_young_queues() {
    let _ = poll_until(Duration::from_secs(3), || None::<()>);
}

/// Whether an AMQP 0-9-1 server answers there: to the protocol's header it says
/// `connection.start`, a method frame (type 1) on channel 0.
#[must_use]
pub fn speaks_amqp(addr: SocketAddr) -> bool {
    let limit = Duration::from_secs(1);
    let ask = || -> std::io::Result<[u8; 3]> {
        let mut stream = TcpStream::connect_timeout(&addr, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut frame = [0; 3];
        stream.read_exact(&mut frame)?;
        Ok(frame)
    };
    ask().is_ok_and(|frame| frame == [1, 0, 0])
}

/// A command that sees nothing of our environment but where programs are: an inherited
/// `RABBITMQ_…` or `ERL_…` variable would lead to the machine's own node.
fn clean_command(program: impl AsRef<OsStr>) -> Command {
    let inherited = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env(
            "PATH",
            format!("{inherited}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
        )
        // rabbitmqctl complains without it.
        .env("LANG", "C.UTF-8");
    command
}
