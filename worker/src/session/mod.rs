//! One link's life: consume → queue; finished → publish → confirm → ack.
//!
//! `taking` is where jobs come from: the model's queue, and the suspects, one at a time. `settling`
//! is what becomes of them. `looking` finds out whether there are suspects, and whether more jobs should be
//! taken at once. `obituaries` tells the submitters of jobs that the broker gave up. `announcing` tells whoever
//! listens that this worker is there.

mod announcing;
mod looking;
mod obituaries;
mod settling;
mod taking;

use crate::answer::Answers;
use crate::in_hand::InHand;
use crate::metrics::Metrics;
use crate::pool::Jobs;
use crate::prefetch::Growth;
use crate::supervisor::Service;
pub use announcing::MetricsAddress;
use ncs_broker::{Address, BrokerError, Consumer, Getter, Link, Publisher};
use ncs_protocol::{Topology, topology};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Room for the answers of all jobs that may be in hand: AMQP's prefetch is no larger, and while it
/// changes, the jobs of the old and of the new one are.
const MOST_IN_HAND: usize = 2 * u16::MAX as usize;

/// Dead letters in hand at once. Each is answered in a few milliseconds, but for those whose submitter's
/// queue is full.
const OBITUARIES_PREFETCH: u16 = 8;

/// What to serve, and how.
pub struct Settings {
    /// The broker.
    pub address: Address,
    /// The worker's name, as RabbitMQ's own UI shows it.
    pub name: String,
    /// What to declare.
    pub topology: Topology,
    /// How to answer, and for which model.
    pub answers: Arc<Answers>,
    /// How long to finish what is in hand after shutdown.
    pub drain_timeout: Duration,
    /// How many results may wait at once for the broker's confirm.
    pub max_unconfirmed_results: usize,
    /// The worker's figures.
    pub metrics: Metrics,
    /// Where others find them.
    pub metrics_address: MetricsAddress,
    /// Where jobs wait for an infer request.
    pub jobs: Arc<Jobs>,
    /// What this host can do for them.
    pub service: watch::Receiver<Service>,
    /// How the prefetch grows, if it may. The futures of a session share it within one task, and no
    /// borrow lives across an await.
    pub growth: Option<RefCell<Growth>>,
}

/// An open session: connected, declared, ready to consume.
pub struct Session<'a> {
    settings: &'a Settings,
    link: Link,
    sources: Sources,
    publisher: Publisher,
}

/// Where messages come from. Their channels also carry the acks, so they live as long as the session.
struct Sources {
    jobs: Consumer,
    suspects: Getter,
    unanswered: Consumer,
}

/// How a session ended that was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Jobs that the drain timeout did not cover; the broker hands them out again.
    pub left: u64,
}

/// What a session does; its futures share it within one task.
struct Work<'a> {
    settings: &'a Settings,
    in_hand: InHand,
    /// There are suspects to be tried, or there may be.
    suspects: Cell<bool>,
    /// There was one, or, while there are, a job was settled; or more jobs are to be taken at once.
    news: Notify,
}

impl<'a> Session<'a> {
    /// Connects and declares.
    pub async fn open(settings: &'a Settings) -> Result<Self, BrokerError> {
        let model = &settings.answers.model;
        let link = Link::open(&settings.address, &settings.name).await?;
        link.consuming.declare(&settings.topology).await?;
        let publisher = link.publishing.publisher().await?;
        let sources = Sources {
            jobs: link
                .consuming
                .idle_consumer(&topology::jobs_queue(model))
                .await?,
            suspects: link
                .consuming
                .getter(&topology::suspects_queue(model))
                .await?,
            unanswered: link
                .consuming
                .consumer(topology::UNANSWERED, OBITUARIES_PREFETCH)
                .await?,
        };
        Ok(Self {
            settings,
            link,
            sources,
            publisher,
        })
    }

    /// The broker, or the node of it that answered.
    #[must_use]
    pub fn broker(&self) -> &Address {
        self.link.consuming.node()
    }

    /// Serves until `shutdown`, then finishes what is in hand.
    ///
    /// On an error, what was in hand is delivered again by the broker. Dropping this future is
    /// like losing the link.
    pub async fn serve(self, shutdown: &CancellationToken) -> anyhow::Result<Drained> {
        let Self {
            settings,
            link,
            sources,
            publisher,
        } = self;
        let Sources {
            mut jobs,
            suspects,
            mut unanswered,
        } = sources;
        let work = Work {
            settings,
            in_hand: InHand::begin(&settings.metrics),
            // Those that were set aside when the last worker was lost come first.
            suspects: Cell::new(true),
            news: Notify::new(),
        };
        let (finished, to_publish) = mpsc::channel(MOST_IN_HAND);
        let local_ip = link.publishing.local_ip();
        let overdue = async {
            shutdown.cancelled().await;
            tokio::time::sleep(settings.drain_timeout).await;
        };
        let end = tokio::select! {
            done = work.publish_results(&publisher, to_publish) => done.map(|()| Drained { left: 0 }),
            Err(error) = work.take_jobs(&mut jobs, &suspects, finished, shutdown) => Err(error),
            Err(error) = work.look_for_suspects(&link.consuming, shutdown) => Err(error),
            Err(error) = work.grow_prefetch(&link.consuming, shutdown) => Err(error),
            Err(error) = work.answer_dead(&mut unanswered, &publisher, shutdown) => Err(error),
            Err(error) = work.announce(&publisher, local_ip) => Err(error),
            error = link.lost() => Err(error),
            () = overdue => Ok(Drained { left: work.in_hand.count() }),
        };
        drop(work);
        // Their session is over.
        drop(settings.jobs.take_waiting());
        if end.is_ok() {
            announcing::say_goodbye(settings, &publisher, local_ip).await;
            link.close().await;
        }
        Ok(end?)
    }
}
