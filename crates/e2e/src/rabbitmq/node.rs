//! One node's ports, files and environment.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Installation, RabbitMqOptions};
use crate::free_port;
use crate::place::Place;
use crate::process::{Output, Process};

/// - No busy waiting: broker, worker and producer share the machine's cores.
/// - The distribution port, like the AMQP port, for this machine only.
const SERVER_ARGUMENTS: &str = "+sbwt none +sbwtdcpu none +sbwtdio none \
                                -kernel inet_dist_use_interface {127,0,0,1}";

/// No epmd but ours. For rabbitmqctl too: where ours has ended, it would start one that stays.
const ERLANG_ARGUMENTS: &str = "-start_epmd false";

/// What Erlang nodes that talk to each other have in common, in each one's home.
const COOKIE: &str = ".erlang.cookie";

/// Where a node stores what must outlive it.
const DATA: &str = "data";

#[derive(Debug)]
pub(super) struct Node {
    /// Its files, as we see them.
    pub(super) dir: PathBuf,
    pub(super) amqp_port: u16,
    pub(super) epmd_port: u16,
    pub(super) prometheus_port: Option<u16>,
    pub(super) management_port: Option<u16>,
    /// Its host.
    pub(super) place: Place,
    distribution_port: u16,
    installation: Installation,
}

impl Node {
    /// Chooses the ports and writes the configuration into `dir`. A peer is a node to make a cluster with:
    /// they must have a port mapper and a cookie in common.
    pub(super) fn prepare(
        installation: Installation,
        dir: PathBuf,
        options: &RabbitMqOptions,
        peer: Option<&Self>,
    ) -> Result<Self> {
        if let Some(peer) = peer {
            fs::copy(peer.dir.join(COOKIE), dir.join(COOKIE)).context("cannot copy the cookie")?;
        }
        let node = Self {
            dir,
            amqp_port: free_port()?,
            epmd_port: peer.map_or_else(free_port, |peer| Ok(peer.epmd_port))?,
            prometheus_port: options.prometheus.then(free_port).transpose()?,
            management_port: options.management.then(free_port).transpose()?,
            place: options.place.clone(),
            distribution_port: free_port()?,
            installation,
        };
        let plugins: Vec<_> = [
            ("rabbitmq_prometheus", options.prometheus),
            ("rabbitmq_management", options.management),
        ]
        .into_iter()
        .filter_map(|(plugin, wanted)| wanted.then_some(plugin))
        .chain(options.plugins.iter().copied())
        .collect();
        let plugins = format!("[{}].", plugins.join(","));
        node.write("enabled_plugins", &plugins)?;
        // Given explicitly, so that /etc/rabbitmq's is not read.
        node.write("advanced.config", "[].")?;
        node.write("rabbitmq.conf", &node.config(options))?;
        Ok(node)
    }

    pub(super) fn launch(&self) -> Result<Process> {
        let command = self.command("rabbitmq-server");
        let output = Output::Files(self.dir.clone());
        self.place
            .run(|| Process::spawn("rabbitmq", command, output))?
    }

    /// Removes what the node has stored; it must have ended.
    pub(super) fn forget(&self) -> Result<()> {
        let data = self.dir.join(DATA);
        fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))
    }

    /// Its name among Erlang's nodes.
    pub(super) fn name(&self) -> String {
        // An address instead of a host name: nothing has to be resolved, which a bare container without
        // /etc/hosts could not.
        format!("ncs-{}@127.0.0.1", self.amqp_port)
    }

    /// Erlang's port mapper, not yet told where to listen.
    pub(super) fn epmd(&self) -> Option<Command> {
        self.installation.epmd()
    }

    /// One of `RabbitMQ`'s programs, in this node's environment.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = self.installation.command(program);
        let dir = self.installation.seen_from_inside(&self.dir);
        command
            .current_dir(&self.dir)
            // The cookie is made in there by the node itself, and read by rabbitmqctl.
            .env("HOME", &dir)
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", self.name())
            .env("RABBITMQ_USE_LONGNAME", "true")
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", dir.join("none"))
            .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", dir.join("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("enabled_plugins"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", dir.join("generated"))
            .env("RABBITMQ_MNESIA_BASE", dir.join(DATA))
            .env("RABBITMQ_LOG_BASE", dir.join("log"))
            .env("RABBITMQ_LOGS", "-")
            // Writing one takes seconds, and nobody reads it.
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            // The script then becomes the Erlang machine instead of a shell that waits for it.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("ERL_ZFLAGS", ERLANG_ARGUMENTS)
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", SERVER_ARGUMENTS);
        command
    }

    fn config(&self, options: &RabbitMqOptions) -> String {
        let mut lines = vec![
            format!(
                "listeners.tcp.1 = {}:{}",
                self.place.listen_address(),
                self.amqp_port
            ),
            // The default refuses to work on the small disks of test machines.
            "disk_free_limit.absolute = 50MB".to_owned(),
        ];
        if !self.installation.has_proc() {
            // What it would read there: how much memory is its own, and how much there is. Left
            // alone it measures nothing, and takes 1 GiB for the whole machine.
            lines.push("vm_memory_calculation_strategy = erlang".to_owned());
            lines.push("total_memory_available_override_value = 4GB".to_owned());
        }
        if let Some(port) = self.prometheus_port {
            lines.push("prometheus.tcp.ip = 127.0.0.1".to_owned());
            lines.push(format!("prometheus.tcp.port = {port}"));
        }
        if let Some(port) = self.management_port {
            lines.push("management.tcp.ip = 127.0.0.1".to_owned());
            lines.push(format!("management.tcp.port = {port}"));
        }
        lines.extend(options.config.iter().cloned());
        lines.push(String::new());
        lines.join("\n")
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let file = self.dir.join(name);
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))
    }
}
