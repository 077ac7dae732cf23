//! A broker without dead letters, a model's queues on it, and the command that looks after them.

use crate::bed::{LIMIT, runtime, unique};
use crate::client::block_on;
use ncs_broker::{Connection, Delivery, Message};
use ncs_e2e::paths::{self, GOOGLENET_U8};
use ncs_e2e::poll_until;
use ncs_e2e::process::{Output, Process};
use ncs_e2e::rabbitmq::{RabbitMq, Release};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::Worker;
use ncs_protocol::properties::{HEADER_DEAD_AT, HEADER_DEAD_CODE, HEADER_DEAD_REASON};
use ncs_protocol::topology::{
    self, DEAD, JOBS_EXCHANGE, RESULTS_QUEUE, SUSPECT_DELIVERY_LIMIT, UNANSWERED,
};
use ncs_protocol::{HeaderValue, JobResult, ModelName, Properties};
use serde_json::Value;
use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Messages that wait for their confirm at once.
const UNCONFIRMED: usize = 64;

/// The broker of all these tests, for one of them at a time. The last that waits for it ends it.
pub(crate) struct Place {
    pub(crate) model: String,
    /// Where the command may write.
    pub(crate) dir: PathBuf,
    pub(crate) node: Arc<RabbitMq>,
    commands: Cell<u32>,
    _alone: MutexGuard<'static, ()>,
}

/// A command under way.
pub(crate) struct Running(pub(crate) Process);

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// With the queues that a worker declares, all empty.
    pub(crate) fn on(release: Release) -> Self {
        let place = Self::untouched_on(release);
        let model = place.name();
        place.with_connection(async |connection| {
            let topology = topology::for_worker(&model);
            connection.declare(&topology).await.expect("declared");
        });
        place
    }

    /// Where no worker has ever run.
    pub(crate) fn untouched_on(release: Release) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        // Before the waiting, so that it outlives whoever has it now.
        let node = RabbitMq::shared(release).expect("a node");
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = std::env::temp_dir().join(unique("ncs-dead"));
        fs::create_dir_all(&dir).expect("a folder");
        let place = Self {
            model: unique("dead"),
            dir,
            node,
            commands: Cell::new(0),
            _alone: alone,
        };
        place.with_connection(async |connection| {
            for queue in [DEAD, UNANSWERED, RESULTS_QUEUE] {
                connection.delete_queue(queue).await.expect("deleted");
            }
        });
        place
    }

    pub(crate) fn url(&self) -> String {
        self.node.amqp_url()
    }

    pub(crate) fn name(&self) -> ModelName {
        self.model.parse().expect("a model's name")
    }

    pub(crate) fn with_connection<T>(&self, work: impl AsyncFnOnce(&Connection) -> T) -> T {
        block_on(async {
            let address = self.url().parse().expect("an address");
            let connection = Connection::open(&address, "test").await.expect("open");
            let done = work(&connection).await;
            connection.close().await;
            done
        })
    }

    /// Publishes messages, each of which reaches a queue.
    pub(crate) fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        messages: impl IntoIterator<Item = (Properties, Vec<u8>)>,
    ) {
        self.with_connection(async |connection| {
            let publisher = connection.publisher().await.expect("a publisher");
            let mut confirms = Vec::new();
            let mut messages = messages.into_iter();
            loop {
                for (properties, body) in messages.by_ref().take(UNCONFIRMED) {
                    let message = Message {
                        exchange: exchange.to_owned(),
                        routing_key: routing_key.to_owned(),
                        mandatory: true,
                        properties,
                        body,
                    };
                    confirms.push(publisher.publish(&message).await.expect("published"));
                }
                if confirms.is_empty() {
                    break;
                }
                for confirm in confirms.drain(..) {
                    let confirmed = confirm.confirmed().await.expect("confirmed");
                    let fine = confirmed.accepted && confirmed.returned.is_none();
                    assert!(fine, "{confirmed:?}");
                }
            }
        });
    }

    /// Sends a message to the model's queue.
    pub(crate) fn send(&self, properties: Properties, body: &[u8]) {
        let message = (properties, body.to_owned());
        self.publish(JOBS_EXCHANGE, &self.model, [message]);
    }

    /// Sends a job that expires at once: nobody takes jobs yet.
    pub(crate) fn expire(&self, properties: Properties, body: &[u8]) {
        let before = self.ready(DEAD);
        let expiration = Some("1".to_owned());
        let expiring = Properties {
            expiration,
            ..properties
        };
        self.send(expiring, body);
        self.wait_for(DEAD, before + 1);
    }

    /// Sends a job that comes back until the broker gives it up, as one that kills its workers.
    pub(crate) fn give_up(&self, properties: Properties, body: &[u8]) {
        let suspects = topology::suspects_queue(&self.name());
        let before = self.ready(DEAD);
        self.publish("", &suspects, [(properties, body.to_owned())]);
        for _ in 0..=SUSPECT_DELIVERY_LIMIT {
            self.wait_for(&suspects, 1);
            self.with_connection(async |connection| {
                let getter = connection.getter(&suspects).await.expect("a getter");
                let job = getter.get().await.expect("an answer").expect("the job");
                job.ticket.requeue().await.expect("returned");
            });
        }
        self.wait_for(DEAD, before + 1);
    }

    /// Dead letters as a worker writes them.
    pub(crate) fn bury(&self, letters: impl IntoIterator<Item = (Properties, Vec<u8>)>) {
        self.publish(DEAD, &self.model, letters);
    }

    /// Messages that are ready in a queue.
    pub(crate) fn ready(&self, queue: &str) -> u32 {
        self.with_connection(async |connection| {
            let state = connection.queue_state(queue).await;
            state.expect("the queue is there").messages
        })
    }

    pub(crate) fn wait_for(&self, queue: &str, messages: u32) {
        let there = poll_until(LIMIT, || (self.ready(queue) == messages).then_some(()));
        assert!(
            there.is_some(),
            "{queue} has {}, not {messages}",
            self.ready(queue)
        );
    }

    /// The first messages of a queue. They stay there.
    pub(crate) fn peek(&self, queue: &str, messages: u16) -> Vec<Delivery> {
        self.with_connection(async |connection| {
            let mut consumer = connection.consumer(queue, messages).await.expect("taking");
            let mut taken = Vec::new();
            for _ in 0..messages {
                let next = tokio::time::timeout(LIMIT, consumer.next()).await;
                let next = next.expect("in time").expect("a queue");
                taken.push(next.expect("a delivery"));
            }
            taken
        })
    }

    /// Takes one result out of a queue.
    pub(crate) fn result(&self, queue: &str) -> JobResult {
        self.with_connection(async |connection| {
            let mut consumer = connection.consumer(queue, 1).await.expect("taking");
            let next = tokio::time::timeout(LIMIT, consumer.next()).await;
            let delivery = next.expect("in time").expect("a queue").expect("one");
            let result = JobResult::from_message(&delivery.properties, &delivery.body);
            delivery.ticket.ack().await.expect("acked");
            result.expect("a result")
        })
    }

    /// A worker that serves the model on emulated sticks.
    pub(crate) fn worker(&self) -> (Sticks, Worker) {
        let sticks = Sticks::plugged_in(1)
            .expect("sticks")
            .with("STICKS_COMPILE_MS", "10");
        let ir = runtime().model(GOOGLENET_U8).expect("the model");
        let options = sticks
            .worker(ir, &self.url())
            .arguments(["--model-name", &self.model]);
        let worker = Worker::start(&options).expect("a worker");
        (sticks, worker)
    }

    /// `ncs-producer dead …`, to its end.
    pub(crate) fn dead(&self, arguments: &[&str]) -> Said {
        self.start(arguments).finish()
    }

    /// The same, to be disturbed.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let number = self.commands.get();
        self.commands.set(number + 1);
        let logs = self.dir.join(format!("logs-{number}"));
        fs::create_dir(&logs).expect("a folder");
        let command = self.command(arguments);
        let process = Process::spawn("dead", command, Output::Files(logs));
        Running(process.expect("started"))
    }

    /// The command, in its place.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(paths::binary("ncs-producer").expect("built"));
        command.arg("dead").args(arguments);
        self.settle(&mut command);
        command
    }

    /// The same, as the last arguments of another command, which gives it a terminal.
    pub(crate) fn command_under(&self, mut other: Command, arguments: &[&str]) -> Command {
        let command = self.command(arguments);
        other.arg(command.get_program()).args(command.get_args());
        self.settle(&mut other);
        other
    }

    /// It knows this broker and nothing else of ours.
    fn settle(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NCS_") {
                command.env_remove(name);
            }
        }
        command
            .env("NCS_AMQP_URL", self.url())
            .current_dir(&self.dir);
    }

    /// `dead list --json` with further arguments.
    pub(crate) fn list(&self, arguments: &[&str]) -> Value {
        let said = self.dead(&[&["list", "--json"], arguments].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str(&said.stdout).expect("JSON")
    }

    /// How the letters are called, in their order.
    pub(crate) fn names(&self) -> Vec<String> {
        let list = self.list(&["--limit", "10000"]);
        let letters = list["letters"].as_array().expect("letters");
        let names = letters.iter().map(|letter| letter["name"].as_str());
        names.map(|name| name.expect("a name").to_owned()).collect()
    }

    pub(crate) fn jobs_queue(&self) -> String {
        topology::jobs_queue(&self.name())
    }
}

impl Running {
    /// Waits until it has ended.
    pub(crate) fn finish(mut self) -> Said {
        let status = self.0.wait_with_limit(LIMIT).expect("it ends");
        Said {
            code: status.code(),
            stdout: self.0.stdout(),
            stderr: self.0.stderr(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A bare image, as a client without our library sends it.
pub(crate) fn image(id: &str) -> Properties {
    Properties {
        content_type: Some("image/jpeg".to_owned()),
        message_id: Some(id.to_owned()),
        persistent: true,
        ..Properties::default()
    }
}

/// What a worker writes on a letter.
pub(crate) fn written(properties: Properties, code: &str) -> Properties {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_us = now.expect("after 1970").as_micros();
    let mut written = properties;
    written.headers.extend([
        (
            HEADER_DEAD_CODE.to_owned(),
            HeaderValue::Text(code.to_owned()),
        ),
        (
            HEADER_DEAD_REASON.to_owned(),
            HeaderValue::Text(format!("it is {code}")),
        ),
        (
            HEADER_DEAD_AT.to_owned(),
            HeaderValue::Integer(i64::try_from(now_us).expect("small")),
        ),
    ]);
    written
}

/// Any photo of the network's size.
pub(crate) fn photo() -> Vec<u8> {
    let mut photos: Vec<_> = fs::read_dir(runtime().small_photos_dir())
        .expect("run `cargo xtask test`, which makes them")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|it| it == "jpg"))
        .collect();
    photos.sort();
    fs::read(&photos[0]).expect("a photo")
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
