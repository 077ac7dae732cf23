//! What these tests are played on: a broker of the test's own, emulated sticks, a model's name.

use crate::bed::{LIMIT, metric, runtime, unique};
use crate::client::Client;
use ncs_broker::Delivery;
use ncs_e2e::paths::GOOGLENET_U8;
use ncs_e2e::poll_until;
use ncs_e2e::process::Process;
use ncs_e2e::producer::FloodOptions;
use ncs_e2e::rabbitmq::{RabbitMq, Release};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::{Worker, WorkerOptions};
use std::time::Instant;

/// Jobs received and not yet settled.
pub(crate) const IN_HAND: &str = "ncs_worker_jobs_in_hand";

pub(crate) struct Stage {
    pub(crate) node: RabbitMq,
    pub(crate) sticks: Sticks,
    pub(crate) model: String,
}

impl Stage {
    /// A new broker of this release, and these sticks.
    pub(crate) fn new(release: Release, sticks: Sticks) -> Self {
        Self {
            node: RabbitMq::start(release).expect("a node"),
            sticks,
            model: unique("promise"),
        }
    }

    /// So many sticks that take no time to boot or to be loaded.
    pub(crate) fn with_sticks(release: Release, count: u16) -> Self {
        let sticks = Sticks::plugged_in(count).expect("sticks");
        let sticks = sticks.with("STICKS_BOOT_MS", "0");
        Self::new(release, sticks.with("STICKS_COMPILE_MS", "0"))
    }

    /// How a worker on them is started.
    pub(crate) fn options(&self, arguments: &[&str]) -> WorkerOptions {
        self.options_at(&self.node.amqp_url(), arguments)
    }

    /// The same, by another way to the broker.
    pub(crate) fn options_at(&self, amqp_url: &str, arguments: &[&str]) -> WorkerOptions {
        let ir = runtime().model(GOOGLENET_U8).expect("the model");
        self.sticks
            .worker(ir, amqp_url)
            // An argument may still say otherwise.
            .env("NCS_MODEL_NAME", &self.model)
            .env("NCS_RESCAN", "100ms")
            .arguments(arguments.iter().copied())
    }

    /// A worker on them, ready.
    pub(crate) fn worker(&self, arguments: &[&str]) -> Worker {
        Worker::start(&self.options(arguments)).expect("ready")
    }

    /// Unplugs the sticks, so that jobs wait at the broker until [`Self::plug_in`].
    pub(crate) fn unplug(&self, worker: &Worker) {
        self.sticks.unplug_all().expect("unplugged");
        wait_for(worker, "ncs_worker_prefetch", |now| now < 0.5);
    }

    pub(crate) fn plug_in(&self) {
        self.sticks.plug_in_all().expect("plugged in");
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect_to(&self.node.amqp_url(), &self.model).await
    }

    /// A flood of small photos, to be told how many.
    pub(crate) fn flood(&self, arguments: &[&str]) -> FloodOptions {
        let photos = runtime().small_photos_dir().into_os_string();
        FloodOptions::new(&self.model, &self.node.amqp_url())
            .arguments(["--images".into(), photos])
            .arguments(arguments.iter().copied())
    }

    /// Ends what is left.
    pub(crate) fn end(self) {
        self.node.stop().expect("stopped");
    }
}

/// Waits until a figure of the worker's is as wanted, and returns it.
pub(crate) fn wait_for(worker: &Worker, series: &str, wanted: impl Fn(f64) -> bool) -> f64 {
    let reached = poll_until(LIMIT, || metric(worker, series).filter(|now| wanted(*now)));
    reached.unwrap_or_else(|| {
        let now = metric(worker, series);
        panic!("{series} is {now:?}{}", worker.last_words())
    })
}

/// Waits until the worker has so many jobs in hand.
pub(crate) fn wait_until_in_hand(worker: &Worker, jobs: u32) {
    wait_for(worker, IN_HAND, |now| (now - f64::from(jobs)).abs() < 0.5);
}

/// Waits until the program has written these words to its standard error.
pub(crate) fn wait_until_it_says(program: &Process, words: &str) {
    let said = poll_until(LIMIT, || program.stderr().contains(words).then_some(()));
    assert!(said.is_some(), "not '{words}'{}", program.last_words());
}

/// Waits until so many messages in the queue are ready for delivery.
pub(crate) async fn wait_until_ready(client: &Client, queue: &str, messages: u32) {
    let start = Instant::now();
    loop {
        let ready = client.ready(queue).await;
        if ready == messages {
            return;
        }
        assert!(start.elapsed() < LIMIT, "{ready} messages in {queue}");
    }
}

/// All messages of a queue that nobody consumes meanwhile. They are left there.
pub(crate) async fn messages(client: &Client, queue: &str) -> Vec<Delivery> {
    let getter = client.connection.getter(queue).await.expect("a getter");
    let mut messages = Vec::new();
    while let Some(message) = getter.get().await.expect("an answer") {
        messages.push(message);
    }
    messages
}
