//! A client of the fleet, for what the producer does not do: chosen messages, and their results.

use crate::bed::{amqp_url, runtime};
use ncs_broker::{Confirm, Connection, Consumer, Message, Publisher};
use ncs_protocol::{JobResult, ModelName, Properties, topology};
use std::future::Future;
use std::time::Duration;
use uuid::Uuid;

/// How long a single answer may take on a slow machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    pub(crate) connection: Connection,
    publisher: Publisher,
    results: Consumer,
    pub(crate) result_queue: String,
    pub(crate) model: ModelName,
}

/// Runs async code of a test.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("an async runtime").block_on(future)
}

impl Client {
    /// Connects to the broker of all tests, with a result queue of its own.
    pub(crate) async fn connect(model: &str) -> Self {
        Self::connect_to(&amqp_url(), model).await
    }

    /// Connects to a test's own broker.
    pub(crate) async fn connect_to(url: &str, model: &str) -> Self {
        let address = url.parse().expect("the broker's address");
        let connection = Connection::open(&address, "test")
            .await
            .expect("the broker answers");
        let result_queue = format!("ncs.results.{}", Uuid::now_v7());
        let queue = topology::for_producer(&result_queue);
        connection.declare(&queue).await.expect("declared");
        let publisher = connection.publisher().await.expect("a publisher");
        let results = connection
            .consumer(&result_queue, 1_000)
            .await
            .expect("a consumer");
        let model = model.parse().expect("a model's name");
        Self {
            connection,
            publisher,
            results,
            result_queue,
            model,
        }
    }

    /// Sends a message to the model's queue, whatever it is. Its answer comes to
    /// [`Self::result`], if it names `reply_to`.
    pub(crate) async fn send(&self, properties: Properties, body: Vec<u8>) {
        has_arrived(self.publish(properties, body).await).await;
    }

    /// [`Self::send`], without waiting until the broker has it: [`has_arrived`] does.
    pub(crate) async fn publish(&self, properties: Properties, body: Vec<u8>) -> Confirm {
        let message = Message {
            exchange: topology::JOBS_EXCHANGE.to_owned(),
            routing_key: self.model.to_string(),
            mandatory: true,
            properties,
            body,
        };
        self.publisher.publish(&message).await.expect("published")
    }

    /// Sends a bare image, or whatever calls itself one.
    pub(crate) async fn send_image(&self, id: &str, content_type: &str, body: Vec<u8>) {
        self.send(self.image(id, content_type), body).await;
    }

    /// The properties of a bare image that is to be answered to us.
    pub(crate) fn image(&self, id: &str, content_type: &str) -> Properties {
        Properties {
            content_type: Some(content_type.to_owned()),
            message_id: Some(id.to_owned()),
            reply_to: Some(self.result_queue.clone()),
            ..Properties::default()
        }
    }

    /// The next result.
    pub(crate) async fn result(&mut self) -> (Properties, JobResult) {
        let next = tokio::time::timeout(ANSWER_LIMIT, self.results.next()).await;
        let delivery = next
            .expect("an answer in time")
            .expect("a queue")
            .expect("a delivery");
        let result = JobResult::from_message(&delivery.properties, &delivery.body);
        delivery.ticket.ack().await.expect("acked");
        (delivery.properties, result.expect("a result"))
    }

    /// The first message of a shared queue that `wanted` recognises; all others are left there.
    pub(crate) async fn find(
        &self,
        queue: &str,
        wanted: impl Fn(&Properties) -> bool,
    ) -> (Properties, Vec<u8>) {
        let mut consumer = self
            .connection
            .consumer(queue, 1_000)
            .await
            .expect("a consumer");
        let finding = async {
            loop {
                // Dropping a delivery without acking it leaves it in the queue.
                let delivery = consumer.next().await.expect("a queue").expect("a delivery");
                if wanted(&delivery.properties) {
                    delivery.ticket.ack().await.expect("acked");
                    return (delivery.properties, delivery.body);
                }
            }
        };
        tokio::time::timeout(ANSWER_LIMIT, finding)
            .await
            .expect("the message is there in time")
    }

    /// Jobs that wait in the model's queue for a worker.
    pub(crate) async fn waiting(&self) -> u32 {
        self.ready(&topology::jobs_queue(&self.model)).await
    }

    /// Messages of any queue that wait to be consumed.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let state = self.connection.queue_state(queue).await;
        state.expect("the queue is there").messages
    }

    /// Leaves its result queue behind no longer.
    pub(crate) async fn close(self) {
        self.connection
            .delete_queue(&self.result_queue)
            .await
            .expect("deleted");
        self.connection.close().await;
    }
}

/// Waits until the broker has a message, in a queue.
pub(crate) async fn has_arrived(confirm: Confirm) {
    let confirmed = confirm.confirmed().await.expect("confirmed");
    assert!(
        confirmed.accepted && confirmed.returned.is_none(),
        "{confirmed:?}"
    );
}

/// Deletes the model's queues, when its workers have ended: they would declare them again.
pub(crate) fn clean_up(model: &str) {
    block_on(async {
        let client = Client::connect(model).await;
        for queue in [topology::jobs_queue, topology::suspects_queue] {
            let queue = queue(&client.model);
            let deleted = client.connection.delete_queue(&queue).await;
            deleted.expect("deleted");
        }
        client.close().await;
    });
}

/// `python -c … URL MODEL REPLY_TO ID`
const PUBLISH_17_MIB: &str = "
import pika, sys
url, model, reply_to, job = sys.argv[1:]
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
channel.confirm_delivery()
properties = pika.BasicProperties(content_type='image/jpeg', message_id=job, reply_to=reply_to)
try:
    channel.basic_publish('ncs.jobs', model, bytes(17 << 20), properties, mandatory=True)
    print('taken')
except pika.exceptions.ChannelClosedByBroker:
    print('refused')
";

/// Publishes a job of 17 MiB, which our own publisher refuses to; `false` if the broker does too.
pub(crate) fn publish_17_mib(url: &str, model: &str, reply_to: &str, id: &str) -> bool {
    let python = runtime()
        .python()
        .expect("run `cargo xtask test`, which makes it");
    let output = std::process::Command::new(python)
        .args(["-c", PUBLISH_17_MIB, url, model, reply_to, id])
        .output()
        .expect("Python runs");
    match String::from_utf8_lossy(&output.stdout).trim() {
        "taken" => true,
        "refused" => false,
        _ => panic!("{output:?}"),
    }
}
