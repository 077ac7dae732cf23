//! Properties that AMQP clients should not write, and can: a worker reads them all, and goes on.

use crate::bed::{drain, runtime, wait_for_metric};
use crate::client::{Client, block_on};
use crate::stage::{Stage, messages, wait_until_ready};
use ncs_e2e::rabbitmq::Release;
use ncs_protocol::Outcome;
use ncs_protocol::topology::{DEAD, UNANSWERED};
use std::collections::BTreeMap;
use std::process::Command;

/// What a worker says of each link.
const CONNECTED: &str = " connected broker=";

/// Sends tensors whose properties our own client could not: strings that are not UTF-8, headers as
/// large as a frame allows, a count that only the broker should write.
const SEND: &str = r"
import pika, sys
url, model, reply_to, expiration = sys.argv[1:]
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
channel.confirm_delivery()
def send(key=model, exchange='ncs.jobs', **properties):
    properties = pika.BasicProperties(
        content_type='application/octet-stream', reply_to=reply_to,
        expiration=expiration or None, delivery_mode=2, **properties)
    channel.basic_publish(exchange, key, bytes(224 * 224 * 3), properties, mandatory=True)
send(message_id=b'\xe9t\xe9')
send(message_id='key', headers={b'\xff': 1, 'nested': {'table': {b'\xfe': [1, b'\xff']}}})
send(message_id='large', headers={'large': 'a' * 130_700, 'ncs-top-k': 3})
send(message_id='many', headers={f'{number:04}': number for number in range(9_000)})
send(message_id='count', headers={'x-delivery-count': 7})
";

const IDS: [&str; 5] = ["?t?", "count", "key", "large", "many"];

fn send(stage: &Stage, client: &Client, expiration: &str) {
    let python = runtime()
        .python()
        .expect("run `cargo xtask test`, which makes it");
    let output = Command::new(python)
        .args(["-c", SEND, &stage.node.amqp_url(), &stage.model])
        .args([&client.result_queue, expiration])
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{output:?}");
}

async fn outcomes(client: &mut Client) -> BTreeMap<String, Outcome> {
    let mut outcomes = BTreeMap::new();
    while outcomes.len() < IDS.len() {
        let (_, result) = client.result().await;
        outcomes.insert(result.job_id, result.outcome);
    }
    assert!(outcomes.keys().eq(IDS), "{outcomes:?}");
    outcomes
}

#[test]
fn whatever_a_client_writes_into_properties_is_answered_and_costs_no_connection_on_rabbitmq_3() {
    costs_no_connection(Release::V3);
}

#[test]
fn whatever_a_client_writes_into_properties_is_answered_and_costs_no_connection_on_rabbitmq_4() {
    costs_no_connection(Release::V4);
}

fn costs_no_connection(release: Release) {
    let stage = Stage::with_sticks(release, 1);
    let worker = stage.worker(&[]);
    block_on(async {
        let mut client = stage.client().await;
        send(&stage, &client, "");
        for (id, outcome) in outcomes(&mut client).await {
            assert!(matches!(outcome, Outcome::Classes(_)), "{id}: {outcome:?}");
        }
        // It was never handed out before, whatever its sender says.
        wait_for_metric(&worker, "ncs_worker_jobs_total{outcome=\"set_aside\"} 0");

        // The broker adds to the headers of those that expire, which then are larger than a frame.
        stage.unplug(&worker);
        send(&stage, &client, "1");
        for (id, outcome) in outcomes(&mut client).await {
            assert!(matches!(outcome, Outcome::Error(_)), "{id}: {outcome:?}");
        }
        wait_until_ready(&client, UNANSWERED, 0).await;
        // They can be looked at.
        let letters = messages(&client, DEAD).await;
        assert_eq!(letters.len(), IDS.len());
        for letter in letters {
            assert_eq!(letter.death.expect("a death").reason, "expired");
        }
        client.close().await;
    });
    let said = worker.stderr();
    assert_eq!(said.matches(CONNECTED).count(), 1, "{said}");
    drain(worker);
    stage.end();
}
