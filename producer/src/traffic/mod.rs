//! Jobs out, results in, over as many links as it takes: what `flood` and `submit` have in common.
//!
//! A [`Campaign`] says which job comes next and keeps what is answered; [`Traffic`] brings the one to the
//! broker and the other back. Jobs that the broker may not have are published again after a broken
//! connection, under their old ids; results are acked when the campaign has them safe.
//!
//! Reading order: this file, `books`, `window`, `sending`, `collecting`, `session`, `silence`.

mod books;
mod collecting;
mod sending;
mod session;
mod silence;
pub(crate) mod window;

#[cfg(unix)]
pub(crate) use session::no_queue;

use books::Books;
use ncs_broker::{Address, BrokerError, Message, Outage};
use ncs_protocol::{JobResult, ModelName};
use session::Session;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use window::Window;

/// How often a campaign is shown what there is, and results are acked at least.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

/// What to send, and what becomes of the answers.
///
/// All futures of a run are polled by one task: a campaign may keep its state in cells, as long as
/// no borrow lives across an await.
pub(crate) trait Campaign {
    /// Waits until another job is due; `None` when there are no more. Dropped while it waits, it has
    /// taken none.
    async fn next(&self) -> anyhow::Result<Option<Outgoing>>;

    /// The broker has the job that carries this image, which is not answered yet.
    fn confirmed(&self, _image: u64) -> anyhow::Result<()> {
        Ok(())
    }

    /// Waits until a result can be taken in.
    async fn room(&self) -> anyhow::Result<()>;

    /// A result has come, for which there is [`room`](Self::room).
    fn answered(&self, arrival: Arrival) -> anyhow::Result<()>;

    /// Makes the results safe that came until now: then they are acked.
    async fn secure(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Called every [`INTERVAL`], whatever else waits.
    fn show(&self, state: &State);
}

/// A job on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Its id, under which its result comes back.
    pub(crate) id: String,
    /// Which image it carries: the campaign's own number.
    pub(crate) image: u64,
    /// When it should have been sent: its latency counts from here, so that a stall shows.
    pub(crate) due: Instant,
    /// Absent when the broker has the job since an earlier run.
    pub(crate) message: Option<Message>,
}

/// A job whose first result has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answered {
    /// The image's number.
    pub(crate) image: u64,
    /// When it should have been sent.
    pub(crate) due: Instant,
    /// From then to its result.
    pub(crate) latency: Duration,
}

/// A result, as it came.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) result: JobResult,
    /// What is known about its job when this is the first result of one of this run's; further results
    /// have none, and neither have those of other runs.
    pub(crate) job: Option<Answered>,
    /// The broker has handed it out before: we may have it already.
    pub(crate) redelivered: bool,
}

/// What can be seen of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct State {
    /// Jobs sent and not answered.
    pub(crate) unanswered: usize,
    /// Publishes that the broker refused until now, because the queue is full; each was tried again.
    pub(crate) refused: u64,
    /// Jobs that wait in the queue, whoever sent them; unknown while there is no broker.
    pub(crate) queued: Option<u32>,
    /// Whether there is a link to the broker.
    pub(crate) connected: bool,
    /// How long the window had room that was not used, because too many messages waited for their confirms.
    pub(crate) held_by_confirms: Duration,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All jobs are answered that were sent: all that there are, or those until a signal.
    Answered,
    /// Nothing was answered for the timeout, or there was no broker for so long.
    GaveUp,
    /// The first signal came while there was no broker, or a second one while jobs were unanswered.
    Interrupted,
}

/// How to bring jobs to the broker.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The broker.
    pub(crate) address: Address,
    /// Whose jobs these are.
    pub(crate) model: ModelName,
    /// What the connections are called, for people.
    pub(crate) name: String,
    /// Where the results come; declared on each connection.
    pub(crate) result_queue: String,
    /// What the user wants of the window.
    pub(crate) window: window::Choice,
    /// Connections that publish.
    pub(crate) connections: u16,
    /// Results that are acked together at most: what is not acked when the connection breaks comes
    /// again.
    pub(crate) acked_together: u16,
    /// When nothing was answered for so long, the run ends.
    pub(crate) timeout: Duration,
}

/// One run of a campaign, over as many links as it takes.
///
/// All its futures run in one task, so the cells are never borrowed across an await.
pub(crate) struct Traffic<'a, C> {
    route: Route,
    campaign: &'a C,
    books: RefCell<Books>,
    window: Window,
    /// The campaign has no more jobs.
    all_sent: Cell<bool>,
    refused: Cell<u64>,
    /// The broker refuses jobs at the moment; said once until it takes them again.
    refusing: Cell<bool>,
    queued: Cell<Option<u32>>,
    connected: Cell<bool>,
    held_by_confirms: Cell<Duration>,
    last_progress: Cell<Instant>,
    /// Results wait for the campaign to take them: that is no silence of the fleet.
    held: Cell<bool>,
    /// When the broker was last asked whether it blocks publishers.
    asked: Cell<Instant>,
    signals: Signals,
}

/// What a person wants, or the system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    /// Send no more, and wait for what is unanswered.
    pub(crate) finish: CancellationToken,
    /// Do not wait any longer.
    pub(crate) stop: CancellationToken,
}

impl<'a, C: Campaign> Traffic<'a, C> {
    /// To be [`run`](Self::run).
    pub(crate) fn new(route: Route, campaign: &'a C, signals: Signals) -> Self {
        Self {
            window: Window::new(route.window),
            route,
            campaign,
            books: RefCell::default(),
            all_sent: Cell::new(false),
            refused: Cell::new(0),
            refusing: Cell::new(false),
            queued: Cell::new(None),
            connected: Cell::new(false),
            held_by_confirms: Cell::new(Duration::ZERO),
            last_progress: Cell::new(Instant::now()),
            held: Cell::new(false),
            asked: Cell::new(Instant::now()),
            signals,
        }
    }

    /// Connects, calls `begin` with what was found, and goes on until all jobs are answered, or nothing
    /// is for too long.
    ///
    /// When all that there are are answered, the result queue is deleted: its last user is done with it.
    /// Otherwise it stays, if `keep` says so, with the answers that are yet to come.
    pub(crate) async fn run(
        &self,
        keep: bool,
        begin: impl FnOnce(window::Found),
    ) -> anyhow::Result<End> {
        let mut session = None;
        let running = async {
            tokio::select! {
                connected = self.connect() => session = Some(connected?),
                () = self.signals.finish.cancelled() => return Ok(End::Interrupted),
            }
            if let Some(session) = &session {
                let consumers = self.look_at_queue(&session.link).await?;
                let found = self.window.settle(consumers);
                if self.route.window == window::Choice::ByConsumers {
                    tracing::info!("{found} (--window)");
                }
                begin(found);
            }
            self.run_from(&mut session).await
        };
        let end = tokio::select! {
            end = running => end,
            never = self.tell() => match never {},
            () = self.signals.stop.cancelled() => Ok(End::Interrupted),
        };
        let all_answered =
            matches!(end, Ok(End::Answered)) && self.books.borrow().unanswered() == 0;
        // After a signal, answers to jobs of an earlier run may be yet to come.
        let done = all_answered && !self.signals.finish.is_cancelled();
        let Some(session) = session else {
            return end;
        };
        if done || !keep {
            let queue = &self.route.result_queue;
            // Without this it would wait a day for its expiry.
            if let Err(error) = session.link.consuming.delete_queue(queue).await {
                tracing::debug!(%error, "cannot delete the result queue");
            }
        }
        session.close().await;
        end
    }

    /// Shows the campaign what there is, again and again, whatever else waits.
    async fn tell(&self) -> Infallible {
        loop {
            self.campaign.show(&self.state());
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// What can be seen now.
    pub(crate) fn state(&self) -> State {
        State {
            unanswered: self.books.borrow().unanswered(),
            refused: self.refused.get(),
            queued: self.queued.get(),
            connected: self.connected.get(),
            held_by_confirms: self.held_by_confirms.get(),
        }
    }

    /// From link to link. Between them there is none: whoever still had the old one would be handed
    /// results that nobody takes.
    async fn run_from(&self, session: &mut Option<Session>) -> anyhow::Result<End> {
        let mut outage = Outage::default();
        loop {
            outage.over();
            self.connected.set(true);
            let served = match session {
                Some(session) => self.serve(session).await,
                None => return Ok(End::Interrupted),
            };
            let error = match served {
                Err(error) if is_temporary(&error) => error,
                end => return end,
            };
            *session = None;
            self.connected.set(false);
            self.queued.set(None);
            if self.all_sent.get() && self.books.borrow().unanswered() == 0 {
                return Ok(End::Answered);
            }
            // Who has asked for the end before waits for what is unanswered, through this outage too.
            let was_asked = self.signals.finish.is_cancelled();
            tokio::select! {
                again = self.connect_again(error, &mut outage) => match again? {
                    Some(again) => *session = Some(again),
                    None => return Ok(End::GaveUp),
                },
                () = self.signals.finish.cancelled(), if !was_asked => return Ok(End::Interrupted),
            }
        }
    }

    /// Until the broker is back; `None` when it does not come back. May be dropped while it waits.
    async fn connect_again(
        &self,
        lost: anyhow::Error,
        outage: &mut Outage,
    ) -> Result<Option<Session>, BrokerError> {
        let timeout = self.route.timeout;
        let (since, last_progress) = (Instant::now(), self.last_progress.get());
        let trying = async {
            outage.wait(&lost).await;
            loop {
                match self.connect().await {
                    Err(error) if error.is_temporary() => {
                        // The fleet has had no chance to answer meanwhile. Where the broker is there at
                        // once, it had: a link that breaks again and again is silence, too.
                        self.last_progress.set(last_progress + since.elapsed());
                        outage.wait(&error).await;
                    }
                    connected => return connected,
                }
            }
        };
        match tokio::time::timeout(timeout, trying).await {
            Ok(session) => {
                let session = session?;
                tracing::info!("connected again");
                Ok(Some(session))
            }
            Err(_elapsed) => {
                let timeout = humantime::format_duration(timeout);
                tracing::error!("no broker for {timeout}; giving up");
                Ok(None)
            }
        }
    }

    /// Over one link: send and collect, side by side, and watch that something moves.
    async fn serve(&self, session: &mut Session) -> anyhow::Result<End> {
        let Session {
            link,
            more,
            publishers,
            consumer,
        } = session;
        let publishers = &*publishers;
        let exchanging = async {
            tokio::try_join!(self.send(publishers), self.collect(consumer))?;
            Ok(End::Answered)
        };
        let lost = async {
            let extra = more.iter().map(|connection| Box::pin(connection.lost()));
            tokio::select! {
                error = link.lost() => error,
                error = first_of(extra) => error,
            }
        };
        tokio::select! {
            end = exchanging => end,
            error = lost => Err(error.into()),
            end = self.watch(link, publishers) => end,
        }
    }
}

/// The first of the futures that completes; never, if there are none.
async fn first_of<F: Future + Unpin>(futures: impl Iterator<Item = F>) -> F::Output {
    let futures: Vec<F> = futures.collect();
    if futures.is_empty() {
        return std::future::pending().await;
    }
    futures_util::future::select_all(futures).await.0
}

fn is_temporary(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<BrokerError>()
        .is_some_and(BrokerError::is_temporary)
}
