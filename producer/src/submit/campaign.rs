//! The batch as a campaign: which job comes next, and what becomes of a result.

use super::batch::Batch;
use super::budget::Share;
use super::keeper::{Keeper, Order};
use super::line::Verdict;
use super::reading::{Images, Next};
use crate::progress::{Progress, Status};
use crate::source::Image;
use crate::traffic::{self, Arrival, Campaign, Outgoing};
use ncs_broker::Message;
use ncs_protocol::{Encoding, Job, topology};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One run of a batch.
pub(super) struct Sending {
    batch: Arc<Batch>,
    keeper: Keeper,
    /// None before [`begin`](Self::begin).
    images: RefCell<Option<Images>>,
    /// The number that the next image has at least: those before were handed out, or passed over.
    cursor: Cell<u64>,
    /// From here on, images whose answer has come without our asking: to an earlier run that was
    /// killed. No more than that run had unanswered.
    early: RefCell<BTreeSet<u64>>,
    /// What was read of images that the broker does not have yet.
    shares: RefCell<HashMap<u64, Share>>,
    /// Images that the broker has, until the keeper knows.
    confirmed: RefCell<Vec<u64>>,
    /// Results that are not this batch's.
    foreign: Cell<u64>,
    start: Cell<Instant>,
    /// Lines that there were at the start.
    before: Cell<u64>,
    progress: RefCell<Option<Progress>>,
}

impl Sending {
    /// A run that has not begun: results are kept, and nothing is sent.
    pub(super) fn new(batch: &Arc<Batch>, keeper: Keeper) -> Self {
        Self {
            images: RefCell::default(),
            cursor: Cell::new(0),
            early: RefCell::default(),
            shares: RefCell::default(),
            confirmed: RefCell::default(),
            foreign: Cell::new(0),
            start: Cell::new(Instant::now()),
            before: Cell::new(keeper.lines()),
            progress: RefCell::default(),
            batch: Arc::clone(batch),
            keeper,
        }
    }

    /// From here on images are sent.
    pub(super) fn begin(&self, images: Images) {
        self.start.set(Instant::now());
        let lines = self.keeper.lines();
        self.before.set(lines);
        let progress = Progress::new(Some(self.batch.description.images));
        *self.progress.borrow_mut() = Some(progress.starting_at(lines));
        *self.images.borrow_mut() = Some(images);
    }

    /// How long it has been, and how many lines it has brought.
    pub(super) fn pace(&self) -> (Duration, u64) {
        let lines = self.keeper.lines().saturating_sub(self.before.get());
        (self.start.get().elapsed(), lines)
    }

    /// The end of it: what is to be kept goes to the disk, and so do the images that the broker has and the
    /// keeper does not know of yet.
    pub(super) fn into_keeper(self) -> (Keeper, Vec<u64>) {
        drop(self.progress);
        (self.keeper, self.confirmed.take())
    }

    /// Whether an image that comes next was answered meanwhile.
    fn is_early(&self, image: u64) -> bool {
        self.cursor.set(image + 1);
        let mut early = self.early.borrow_mut();
        *early = early.split_off(&image);
        early.remove(&image)
    }

    /// Tells the keeper what the broker has, if it has time to listen.
    fn tell_confirmed(&self) {
        if !self.confirmed.borrow().is_empty()
            && let Some(room) = self.keeper.room_now()
        {
            room.send(Order::Sent(self.confirmed.take()));
        }
    }

    fn message(&self, id: &str, image: &Image) -> anyhow::Result<Message> {
        let submitted_at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let description = &self.batch.description;
        let job = Job {
            id: id.into(),
            correlation_id: None,
            reply_to: Some(description.result_queue.as_str().into()),
            submitted_at_us: u64::try_from(submitted_at.as_micros()).ok(),
            accept: Encoding::Bincode,
            top_k: description.top_k,
            content: image.content(),
        };
        let (properties, body) = job.to_message(Encoding::Bincode)?;
        Ok(Message {
            exchange: topology::JOBS_EXCHANGE.to_owned(),
            routing_key: description.model.clone(),
            mandatory: true,
            properties,
            body,
        })
    }
}

impl Campaign for Sending {
    async fn next(&self) -> anyhow::Result<Option<Outgoing>> {
        loop {
            // First of all: what was taken from the list must not be lost.
            let room = self.keeper.room().await?;
            let next = poll_fn(|context| match self.images.borrow_mut().as_mut() {
                Some(images) => images.poll_next(context),
                None => Poll::Ready(Ok(None)),
            });
            let next = next.await?;
            let (image, message) = match next {
                None => return Ok(None),
                Some(Next::Sent(image) | Next::Read(image, ..)) if self.is_early(image) => continue,
                Some(Next::Sent(image)) => (image, None),
                Some(Next::Read(image, read, share)) => match *read {
                    Err(failure) => {
                        room.send(Order::Line(image, Verdict::Failed(failure)));
                        continue;
                    }
                    Ok(read) => {
                        let id = self.batch.description.job_id(image);
                        self.shares.borrow_mut().insert(image, share);
                        (image, Some(self.message(&id, &read)?))
                    }
                },
            };
            return Ok(Some(Outgoing {
                id: self.batch.description.job_id(image),
                image,
                due: Instant::now(),
                message,
            }));
        }
    }

    fn confirmed(&self, image: u64) -> anyhow::Result<()> {
        self.shares.borrow_mut().remove(&image);
        self.confirmed.borrow_mut().push(image);
        self.tell_confirmed();
        Ok(())
    }

    async fn room(&self) -> anyhow::Result<()> {
        self.keeper.room_for_result().await
    }

    fn answered(&self, arrival: Arrival) -> anyhow::Result<()> {
        let Arrival { result, job, .. } = arrival;
        let Some(image) = self.batch.description.image_of(&result.job_id) else {
            if self.foreign.replace(self.foreign.get() + 1) == 0 {
                tracing::warn!(
                    "a result that is none of this batch's; its job is '{}'",
                    result.job_id
                );
            }
            return Ok(());
        };
        self.shares.borrow_mut().remove(&image);
        // Before the beginning, what has a line is passed over by its mark.
        if self.images.borrow().is_some() && image >= self.cursor.get() {
            self.early.borrow_mut().insert(image);
        }
        let latency = job.map(|job| job.latency);
        self.keeper
            .result(image, Verdict::Answered(result, latency))
    }

    async fn secure(&self) -> anyhow::Result<()> {
        self.keeper.secure().await
    }

    fn show(&self, state: &traffic::State) {
        self.tell_confirmed();
        let lines = self.keeper.lines();
        let (elapsed, lines_of_this_run) = self.pace();
        #[expect(clippy::cast_precision_loss, reason = "a number of images fits")]
        let overall = lines_of_this_run as f64 / elapsed.as_secs_f64();
        if let Some(progress) = self.progress.borrow_mut().as_mut() {
            progress.show(&Status {
                done: lines,
                images: lines,
                overall: Some(overall),
                state: *state,
                ..Status::default()
            });
        }
    }
}
