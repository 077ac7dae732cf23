//! What these tests are played on: a broker with its figures, a worker on emulated sticks, a flood.

use crate::bed::{LIMIT, metric, runtime, unique};
use crate::client::Client;
use ncs_e2e::paths::GOOGLENET_U8;
use ncs_e2e::poll_until;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions, Release};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::Worker;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) const STICKS: u16 = 3;

pub(crate) struct Place {
    // In the order in which they end.
    pub(crate) worker: Worker,
    pub(crate) sticks: Sticks,
    pub(crate) node: RabbitMq,
    pub(crate) model: String,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    /// A worker on three sticks, ready. They do 25 images a second each: two cores have time left.
    pub(crate) fn new(release: Release) -> Self {
        // One at a time: what is measured here is shared.
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let node = RabbitMq::start(RabbitMqOptions {
            release,
            prometheus: true,
            ..RabbitMqOptions::default()
        });
        let node = node.expect("a node");
        let sticks = Sticks::plugged_in(STICKS).expect("sticks");
        let sticks = [
            ("STICKS_BOOT_MS", "0"),
            ("STICKS_COMPILE_MS", "0"),
            ("STICKS_LATENCY_MS", "90"),
            ("STICKS_SERVICE_MS", "40"),
        ]
        .into_iter()
        .fold(sticks, |sticks, (name, value)| sticks.with(name, value));
        let model = unique("watch");
        let ir = runtime().model(GOOGLENET_U8).expect("the model");
        let options = sticks
            .worker(ir, &node.amqp_url())
            .arguments(["--model-name", &model])
            .env("NCS_RESCAN", "500ms");
        let worker = Worker::start(&options).expect("ready");
        Self {
            worker,
            sticks,
            node,
            model,
            _alone: alone,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect_to(&self.node.amqp_url(), &self.model).await
    }

    /// A flood that keeps some hundred jobs waiting, for longer than any of these tests takes.
    pub(crate) fn flood(&self, metrics: Option<SocketAddr>) -> Producer {
        let photos = runtime().small_photos_dir().into_os_string();
        let mut options = FloodOptions::new(&self.model, &self.node.amqp_url())
            .arguments(["--images".into(), photos])
            .arguments(["--window", "300", "--duration", "600s", "--timeout", "60s"]);
        if let Some(addr) = metrics {
            options = options.arguments(["--metrics-addr".to_owned(), addr.to_string()]);
        }
        Producer::flood(&options).expect("started")
    }

    /// Waits until a figure of the worker's is as wanted.
    pub(crate) fn wait_for(&self, series: &str, wanted: impl Fn(f64) -> bool) {
        let reached = poll_until(LIMIT, || {
            metric(&self.worker, series).filter(|now| wanted(*now))
        });
        assert!(
            reached.is_some(),
            "{series} is {:?}{}",
            metric(&self.worker, series),
            self.worker.last_words()
        );
    }
}
