//! A broker of a test's own, a model's queues on it, and the command that looks at them.

use crate::bed::{LIMIT, runtime, unique};
use crate::client::block_on;
use ncs_broker::{BrokerError, Connection, Message};
use ncs_e2e::paths::{self, GOOGLENET_U8};
use ncs_e2e::poll_until;
use ncs_e2e::process::{Output, Process};
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions, Release};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::Worker;
use ncs_protocol::topology::{self, DEAD, JOBS_EXCHANGE};
use ncs_protocol::{ModelName, Properties};
use serde_json::Value;
use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

pub(crate) struct Place {
    pub(crate) node: RabbitMq,
    pub(crate) model: String,
    dir: PathBuf,
    commands: Cell<u32>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// A new broker where no worker has ever run.
    pub(crate) fn on(options: impl Into<RabbitMqOptions>) -> Self {
        let dir = std::env::temp_dir().join(unique("ncs-status"));
        fs::create_dir_all(&dir).expect("a folder");
        Self {
            node: RabbitMq::start(options).expect("a node"),
            model: unique("status"),
            dir,
            commands: Cell::new(0),
        }
    }

    /// The same, with the management API.
    pub(crate) fn managed(release: Release) -> Self {
        Self::on(RabbitMqOptions {
            management: true,
            ..release.into()
        })
    }

    pub(crate) fn name(&self) -> ModelName {
        self.model.parse().expect("a model's name")
    }

    pub(crate) fn management_url(&self) -> String {
        let addr = self.node.management_addr().expect("it was asked for");
        format!("http://{addr}")
    }

    pub(crate) fn with_connection<T>(&self, work: impl AsyncFnOnce(&Connection) -> T) -> T {
        block_on(async {
            let address = self.node.amqp_url().parse().expect("an address");
            let connection = Connection::open(&address, "test").await.expect("open");
            let done = work(&connection).await;
            connection.close().await;
            done
        })
    }

    /// The queues that a worker declares.
    pub(crate) fn declare(&self) {
        let topology = topology::for_worker(&self.name());
        self.with_connection(async |connection| {
            connection.declare(&topology).await.expect("declared");
        });
    }

    /// Whether there is such a queue.
    pub(crate) fn has(&self, queue: &str) -> bool {
        self.with_connection(
            async |connection| match connection.queue_state(queue).await {
                Ok(_) => true,
                Err(BrokerError::NotFound(_)) => false,
                Err(error) => panic!("{error}"),
            },
        )
    }

    /// Sends so many jobs, which say nothing that a worker could read.
    pub(crate) fn send(&self, jobs: u32, properties: &Properties) {
        self.with_connection(async |connection| {
            let publisher = connection.publisher().await.expect("a publisher");
            for _ in 0..jobs {
                let message = Message {
                    exchange: JOBS_EXCHANGE.to_owned(),
                    routing_key: self.model.clone(),
                    mandatory: true,
                    properties: properties.clone(),
                    body: b"no image".to_vec(),
                };
                let confirm = publisher.publish(&message).await.expect("published");
                let confirmed = confirm.confirmed().await.expect("confirmed");
                assert!(confirmed.accepted && confirmed.returned.is_none());
            }
        });
    }

    /// Makes a dead letter: a job that expires at once. Nobody takes jobs yet.
    pub(crate) fn expire(&self) {
        let expiring = Properties {
            expiration: Some("1".to_owned()),
            ..Properties::default()
        };
        self.send(1, &expiring);
        let dead = poll_until(LIMIT, || {
            let state = self.with_connection(async |connection| connection.queue_state(DEAD).await);
            (state.expect("there").messages == 1).then_some(())
        });
        dead.expect("it expires");
    }

    /// A worker that serves the model on so many emulated sticks.
    pub(crate) fn worker(&self, sticks: u16) -> (Sticks, Worker) {
        let sticks = Sticks::plugged_in(sticks)
            .expect("sticks")
            .with("STICKS_BOOT_MS", "0")
            .with("STICKS_COMPILE_MS", "10");
        let ir = runtime().model(GOOGLENET_U8).expect("the model");
        let options = sticks
            .worker(ir, &self.node.amqp_url())
            .env("NCS_RESCAN", "100ms")
            .arguments(["--model-name", &self.model]);
        let worker = Worker::start(&options).expect("a worker");
        (sticks, worker)
    }

    /// `ncs-producer status …`, under way.
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        self.spawn(self.command(arguments))
    }

    /// It knows this broker and nothing else of ours.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(paths::binary("ncs-producer").expect("built"));
        command.arg("status").args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NCS_") {
                command.env_remove(name);
            }
        }
        command.env("NCS_AMQP_URL", self.node.amqp_url());
        command
    }

    pub(crate) fn spawn(&self, command: Command) -> Process {
        let number = self.commands.get();
        self.commands.set(number + 1);
        let logs = self.dir.join(format!("logs-{number}"));
        fs::create_dir(&logs).expect("a folder");
        Process::spawn("status", command, Output::Files(logs)).expect("started")
    }

    /// `ncs-producer status …`, to its end.
    pub(crate) fn status(&self, arguments: &[&str]) -> Said {
        finish(self.start(arguments))
    }

    /// `status --json` with further arguments.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.status(&[&["--json"], arguments].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str(&said.stdout).expect("JSON")
    }

    /// Looks until the figures are as wanted. RabbitMQ counts what its management API tells each 5 s.
    pub(crate) fn wait_for(&self, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let seen = poll_until(LIMIT, || {
            last = self.json(arguments);
            wanted(&last).then_some(())
        });
        assert!(seen.is_some(), "not as wanted: {last:#}");
        last
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Waits until it has ended.
pub(crate) fn finish(mut process: Process) -> Said {
    let status = process.wait_with_limit(LIMIT).expect("it ends");
    Said {
        code: status.code(),
        stdout: process.stdout(),
        stderr: process.stderr(),
    }
}

/// One of the queues of a look.
pub(crate) fn queue<'a>(look: &'a Value, name: &str) -> &'a Value {
    let queues = look["queues"].as_array().expect("queues");
    let queue = queues.iter().find(|queue| queue["name"] == name);
    queue.unwrap_or(&Value::Null)
}

impl Said {
    pub(crate) fn assert_ends_with(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{self:?}");
    }

    pub(crate) fn assert_says(&self, words: &str) {
        let said = [&*self.stdout, &self.stderr].concat();
        assert!(said.contains(words), "no {words:?} in {self:?}");
    }
}
