//! Sending: new jobs within the window, and again what the last connection left unconfirmed.

use super::books::Unconfirmed;
use super::window::Choice;
use super::{Campaign, Traffic};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ncs_broker::{Publisher, Tries};
use std::time::{Duration, Instant};

/// Messages that wait for the broker's confirm at once, of a window of 128 unanswered jobs or less.
/// Enough to hide the round trip; more only make the broker serve the producer before the workers.
const MAX_UNCONFIRMED: usize = 8;
/// A wider window is there for a faster fleet, which takes more messages per round trip. So many
/// jobs of the window for one unconfirmed message. With 20 kB each and a window of 1024, 64 unconfirmed messages
/// bring 1.2 times as many jobs to the fleet as 32 do, and 128 no more than 64, with answers ten times as late.
const WINDOW_PER_UNCONFIRMED: usize = 16;
/// At most, on each connection.
const MOST_UNCONFIRMED: usize = 8 * MAX_UNCONFIRMED;
/// Without a window nothing but this holds a producer back, so it goes by what the broker has to carry. With
/// 150 kB each, 2 messages fill a queue as fast as 4 or 8 do, which take more from the workers.
const MAX_UNCONFIRMED_BYTES: usize = 256 << 10;
/// Without a window, and with so many jobs in the queue that no worker runs out of them, each place among the
/// unconfirmed rests for as long as its confirm took: what makes a broker slow then is its disk, which each
/// job has to go through, and workers that have to wait for it too. The queue fills all the same, later.
const PLENTY: u32 = 1_000;
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// What may wait for its confirm.
#[derive(Debug, Clone, Copy)]
struct Unconfirmable {
    messages: usize,
    bytes: usize,
}

impl Unconfirmable {
    /// With so many unanswered jobs, over so many connections.
    fn of((choice, window): (Choice, u32), connections: usize) -> Self {
        let (messages, bytes) = match choice {
            Choice::Unlimited => (MOST_UNCONFIRMED, MAX_UNCONFIRMED_BYTES),
            // What is due is sent; a schedule that the broker cannot follow is what is to be found out.
            Choice::BySchedule => (MOST_UNCONFIRMED * connections, usize::MAX),
            Choice::ByConsumers | Choice::Jobs(_) => {
                let messages = window as usize / WINDOW_PER_UNCONFIRMED;
                (
                    messages.clamp(MAX_UNCONFIRMED, MOST_UNCONFIRMED),
                    usize::MAX,
                )
            }
        };
        Self { messages, bytes }
    }
}

/// How long to wait before a job is published again that the broker has refused.
const REFUSED_DELAY: Duration = Duration::from_millis(100);

impl<C: Campaign> Traffic<'_, C> {
    /// Publishes what the last connection left unconfirmed, then new jobs until there are no more.
    pub(super) async fn send(&self, publishers: &[Publisher]) -> anyhow::Result<()> {
        let mut confirming = FuturesUnordered::new();
        let allowed = Unconfirmable::of(self.window.choice(), publishers.len());
        let mut bytes = 0;
        let mut publishers = publishers.iter().cycle();
        let mut again = self.books.borrow().unconfirmed().into_iter();
        loop {
            let job = if let Some(job) = again.next() {
                Some(job)
            } else {
                tokio::select! {
                    job = self.next_job() => match job? {
                        Next::Job(job) => job,
                        Next::NoMore => break,
                    },
                    Some(confirmed) = confirming.next() => {
                        bytes -= confirmed?;
                        continue;
                    }
                }
            };
            // `None`: the broker has it since an earlier run.
            if let Some((job, publisher)) = job.zip(publishers.next()) {
                bytes += job.message.body.len();
                confirming.push(self.publish(publisher, job));
            }
            while confirming.len() >= allowed.messages || bytes >= allowed.bytes {
                let held = self.window.has_room().then(Instant::now);
                bytes -= confirming.next().await.transpose()?.unwrap_or(bytes);
                let held = held.map_or(Duration::ZERO, |since| since.elapsed());
                self.held_by_confirms
                    .set(self.held_by_confirms.get() + held);
            }
        }
        while let Some(confirmed) = confirming.next().await {
            confirmed?;
        }
        self.all_sent.set(true);
        Ok(())
    }

    /// Waits until another job may be sent, and enters it in the books. May be dropped while it waits:
    /// a job is only taken when it is returned.
    async fn next_job(&self) -> anyhow::Result<Next> {
        if self.all_sent.get() {
            return Ok(Next::NoMore);
        }
        let next = async {
            self.window.room().await;
            self.campaign.next().await
        };
        let next = tokio::select! {
            next = next => next?,
            () = self.signals.finish.cancelled() => None,
        };
        let Some(job) = next else {
            return Ok(Next::NoMore);
        };
        self.window.take();
        let mut books = self.books.borrow_mut();
        if books.unanswered() == 0 {
            self.last_progress.set(Instant::now());
        }
        Ok(Next::Job(books.sent(job)))
    }

    /// Publishes one job until the broker has it, and returns how many bytes that were.
    async fn publish(&self, publisher: &Publisher, job: Unconfirmed) -> anyhow::Result<usize> {
        let mut tries = Tries::default();
        loop {
            let start = Instant::now();
            let confirmed = publisher.try_once(&job.message, &mut tries).await?;
            let took = start.elapsed();
            if confirmed.returned.is_some() {
                return Err(self.no_queue());
            }
            if confirmed.accepted {
                self.refusing.set(false);
                let unanswered = self.books.borrow_mut().confirmed(&job.id);
                if unanswered {
                    self.campaign.confirmed(job.image)?;
                }
                let (choice, _) = self.window.choice();
                if choice == Choice::Unlimited && self.queued.get() > Some(PLENTY) {
                    tokio::time::sleep(took.min(LONGEST_REST)).await;
                }
                return Ok(job.message.body.len());
            }
            self.refused.set(self.refused.get() + 1);
            if !self.refusing.replace(true) {
                tracing::warn!("the queue is full: the broker refuses jobs; trying until it takes");
            }
            tokio::time::sleep(REFUSED_DELAY).await;
        }
    }
}

/// What comes next.
enum Next {
    /// A job, to be published unless the broker has it.
    Job(Option<Unconfirmed>),
    NoMore,
}
