//! The way of one job back into the queue of its model.

use super::reply_queues::ReplyQueues;
use crate::dead::letter::COUNTS_OF_LOOKS;
use anyhow::bail;
use ncs_broker::{Address, BrokerError, Confirmed, Connection, Message, Publisher, Tries};
use ncs_protocol::Properties;
use ncs_protocol::properties::{
    HEADER_DEAD_AT, HEADER_DEAD_CODE, HEADER_DEAD_REASON, HEADER_EARLIER_ATTEMPTS,
};
use ncs_protocol::topology::{DEAD, JOBS_EXCHANGE, RESULTS_QUEUE};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long to wait before a job is published again that a full queue has refused.
const REFUSED_DELAY: Duration = Duration::from_millis(250);
/// For how long a refused job is tried again. Workers take jobs meanwhile, if there are any.
const REFUSED_LIMIT: Duration = Duration::from_secs(30);
/// For how long the broker may block publishers (memory or disk alarm).
const BLOCKED_LIMIT: Duration = Duration::from_secs(30);

/// Headers that tell of a job's death, or count its attempts: what is put back begins anew.
const OF_ITS_FORMER_LIFE: [&str; 4] = [
    HEADER_DEAD_REASON,
    HEADER_DEAD_CODE,
    HEADER_DEAD_AT,
    HEADER_EARLIER_ATTEMPTS,
];
/// The same, of RabbitMQ's, which has several of each kind (`x-first-death-queue`).
const OF_ITS_DEATHS: [&str; 3] = ["x-death", "x-first-death-", "x-last-death-"];

/// Where jobs are published, and who is asked about their senders.
pub(super) struct WayBack<'a> {
    publisher: Publisher,
    reply_queues: ReplyQueues,
    shutdown: &'a CancellationToken,
}

/// What came of a job.
pub(super) enum PutBack {
    /// The broker has confirmed it in the queue of its model.
    Yes {
        /// Its reply queue is gone: its result shall go where those of jobs without an address go,
        /// since it would be dropped.
        readdressed: bool,
    },
    /// There is no such queue.
    NoQueue,
}

impl<'a> WayBack<'a> {
    pub(super) async fn open(
        publishing: &Connection,
        address: &Address,
        shutdown: &'a CancellationToken,
    ) -> Result<Self, BrokerError> {
        Ok(Self {
            publisher: publishing.publisher().await?,
            reply_queues: ReplyQueues::open(address).await?,
            shutdown,
        })
    }

    pub(super) async fn put_back(
        &mut self,
        model: &str,
        properties: Properties,
        body: Vec<u8>,
    ) -> anyhow::Result<PutBack> {
        let mut properties = begun_anew(properties);
        let readdressed = match &properties.reply_to {
            Some(queue) => !self.reply_queues.has(queue).await?,
            None => false,
        };
        if readdressed {
            // Not none: of a job without, most errors are told to nobody.
            properties.reply_to = Some(RESULTS_QUEUE.to_owned());
        }
        let message = Message {
            exchange: JOBS_EXCHANGE.to_owned(),
            routing_key: model.to_owned(),
            mandatory: true,
            properties,
            body,
        };
        Ok(if self.publish(&message).await? {
            PutBack::Yes { readdressed }
        } else {
            PutBack::NoQueue
        })
    }

    pub(super) async fn close(self) {
        self.reply_queues.close().await;
    }

    /// Publishes until the broker has the job; `false` if there is no queue for it.
    async fn publish(&self, message: &Message) -> anyhow::Result<bool> {
        let model = &message.routing_key;
        let mut tries = Tries::default();
        loop {
            let publishing = self.publisher.try_once(message, &mut tries);
            let Ok(confirmed) = timeout(BLOCKED_LIMIT, publishing).await else {
                let limit = humantime::format_duration(BLOCKED_LIMIT);
                bail!(
                    "the broker takes no messages for {limit} now, since its memory or disk is \
                     full; make room, then retry what is left"
                );
            };
            let Confirmed { accepted, returned } = confirmed?;
            if returned.is_some() {
                return Ok(false);
            }
            if accepted {
                return Ok(true);
            }
            if tries.refused_for() > REFUSED_LIMIT {
                let limit = humantime::format_duration(REFUSED_LIMIT);
                bail!(
                    "the queue of the model '{model}' is full, and has taken no job for {limit}; \
                     start more workers that serve it, then retry what is left"
                );
            }
            tokio::select! {
                () = sleep(REFUSED_DELAY) => {}
                () = self.shutdown.cancelled() => {
                    bail!("interrupted; what was not put back is still in {DEAD}");
                }
            }
        }
    }
}

/// A job as it was sent, without its deadline: it would be over.
fn begun_anew(mut properties: Properties) -> Properties {
    properties.expiration = None;
    properties.headers.retain(|name, _| {
        let name = name.as_str();
        !OF_ITS_FORMER_LIFE.contains(&name)
            && !COUNTS_OF_LOOKS.contains(&name)
            && !OF_ITS_DEATHS.iter().any(|kind| name.starts_with(kind))
    });
    properties
}

#[cfg(test)]
mod tests {
    use super::*;
    use ncs_protocol::HeaderValue;
    use ncs_protocol::properties::{HEADER_DELIVERY_COUNT, HEADER_SUBMITTED_AT, HEADER_TOP_K};

    #[test]
    fn a_job_begins_anew_with_what_its_sender_gave_it() {
        let sent = [HEADER_SUBMITTED_AT, HEADER_TOP_K, "x-trace-id"];
        let of_its_death = [
            "x-first-death-queue",
            "x-last-death-reason",
            "x-death",
            HEADER_DELIVERY_COUNT,
            HEADER_DEAD_CODE,
            HEADER_DEAD_AT,
            HEADER_DEAD_REASON,
            HEADER_EARLIER_ATTEMPTS,
        ];
        let headers = sent.iter().chain(&of_its_death);
        let headers = headers.map(|name| ((*name).to_owned(), HeaderValue::Integer(1)));
        let letter = Properties {
            message_id: Some("7".to_owned()),
            expiration: Some("100".to_owned()),
            headers: headers.collect(),
            ..Properties::default()
        };
        let job = begun_anew(letter);
        let kept: Vec<_> = job.headers.keys().map(String::as_str).collect();
        assert_eq!(kept, sent);
        assert_eq!(
            (job.message_id.as_deref(), job.expiration),
            (Some("7"), None)
        );
    }
}
