//! Reading ahead: what comes next in the list is read and prepared while the earlier ones are sent.
//!
//! One thread goes through the list and hands each file to the readers, in order; what they make of it
//! is taken in the same order. The files in memory are bounded by their bytes: a file takes its share
//! before it is read, and the share goes back when the broker has the job.

use super::batch::Batch;
use super::budget::{Budget, Share};
use super::line::{Code, Failure};
use super::marks::Mark;
use crate::source::{self, Image, Preparation, Prepare, PrepareError, ReadError};
use anyhow::Context;
use crossbeam_channel as channel;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use tokio::sync::{mpsc, oneshot};

/// Bytes of images in memory: read ahead, or not yet with the broker. Four of the largest that are sent as
/// they are, or one of the largest that are prepared; decoding takes memory of its own.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// Images that are read ahead, however small they are.
const AHEAD: usize = 64;
/// A file of no bytes needs some, too.
const LEAST_BYTES: usize = 4 * 1024;

/// The next image that is not done.
#[derive(Debug)]
pub(super) enum Next {
    /// The broker has its job since an earlier run.
    Sent(u64),
    /// Its file was read; the share is held as long as the image is.
    Read(u64, Box<Result<Image, Failure>>, Share),
}

/// All images of a batch that are not done, in order.
pub(super) struct Images {
    turns: mpsc::Receiver<anyhow::Result<Turn>>,
    /// Whose file is still being read.
    turn: Option<Turn>,
}

/// An image's place in the order.
enum Turn {
    Sent(u64),
    Reading(
        u64,
        oneshot::Receiver<Result<Image, Failure>>,
        Option<Share>,
    ),
}

/// A file to read.
struct Work {
    path: PathBuf,
    done: oneshot::Sender<Result<Image, Failure>>,
}

impl Images {
    /// Begins to read. The threads end when this is dropped.
    pub(super) fn read(batch: &Arc<Batch>, preparation: &Preparation) -> anyhow::Result<Self> {
        let (to_take, turns) = mpsc::channel(AHEAD);
        let (to_read, work) = channel::bounded(AHEAD);
        for number in 1..=readers(preparation) {
            let (work, preparation) = (work.clone(), preparation.clone());
            let prepare = Prepare::new(&preparation)?;
            std::thread::Builder::new()
                .name(format!("reader {number}"))
                .spawn(move || read_all(&work, &preparation, prepare))
                .context("cannot start a thread")?;
        }
        let (batch, preparation) = (Arc::clone(batch), preparation.clone());
        std::thread::Builder::new()
            .name("list".to_owned())
            .spawn(move || {
                if let Err(error) = walk(&batch, &preparation, &to_take, &to_read) {
                    // Nobody waits for it any more, at worst.
                    let _ = to_take.blocking_send(Err(error));
                }
            })
            .context("cannot start a thread")?;
        Ok(Self { turns, turn: None })
    }

    /// The next one, or `None` after the last. Gives none away while it is pending.
    pub(super) fn poll_next(
        &mut self,
        context: &mut TaskContext<'_>,
    ) -> Poll<anyhow::Result<Option<Next>>> {
        if self.turn.is_none() {
            match ready!(self.turns.poll_recv(context)) {
                Some(turn) => self.turn = Some(turn?),
                None => return Poll::Ready(Ok(None)),
            }
        }
        let next = match &mut self.turn {
            Some(Turn::Sent(image)) => Next::Sent(*image),
            Some(Turn::Reading(image, read, share)) => {
                let read = ready!(Pin::new(read).poll(context));
                let read = read.context("a thread that reads files has ended")?;
                let share = share.take().context("an image's bytes were given away")?;
                Next::Read(*image, Box::new(read), share)
            }
            None => return Poll::Ready(Ok(None)),
        };
        self.turn = None;
        Poll::Ready(Ok(Some(next)))
    }
}

/// One reads as fast as any fleet classifies; preparing takes all the cores that there are.
fn readers(preparation: &Preparation) -> usize {
    match preparation {
        Preparation::Original => 1,
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Goes through the list until its end, or until nobody wants more.
fn walk(
    batch: &Batch,
    preparation: &Preparation,
    to_take: &mpsc::Sender<anyhow::Result<Turn>>,
    to_read: &channel::Sender<Work>,
) -> anyhow::Result<()> {
    let budget = Budget::of(MAX_BYTES);
    let listed = batch.list.paths().zip(batch.marks.all());
    for (image, (path, mark)) in (0..).zip(listed) {
        let path = path.context("cannot read the batch's list of images")?;
        let turn = match mark.context("cannot read the batch's progress")? {
            Mark::Done => continue,
            Mark::Sent | Mark::Overdue => Turn::Sent(image),
            Mark::Unsent => {
                let path = batch.find_file(path);
                let share = budget.take(bytes_of(&path, preparation));
                let (done, read) = oneshot::channel();
                if to_read.send(Work { path, done }).is_err() {
                    return Ok(());
                }
                Turn::Reading(image, read, Some(share))
            }
        };
        if to_take.blocking_send(Ok(turn)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What an image takes in memory, at most: what is larger is not read.
fn bytes_of(path: &Path, preparation: &Preparation) -> usize {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    preparation.bytes_of(bytes.clamp(LEAST_BYTES, preparation.max_file_bytes()))
}

fn read_all(work: &channel::Receiver<Work>, preparation: &Preparation, mut prepare: Prepare) {
    for Work { path, done } in work {
        // Nobody waits for it any more, at worst.
        let _ = done.send(read(&path, preparation, &mut prepare));
    }
}

fn read(path: &Path, preparation: &Preparation, prepare: &mut Prepare) -> Result<Image, Failure> {
    let image = source::read(path, preparation.max_file_bytes()).map_err(|error| Failure {
        code: match error {
            ReadError::Unreadable(_) | ReadError::NotAFile(_) => Code::Unreadable,
            ReadError::Empty | ReadError::NotAnImage(_) => Code::NotAnImage,
            ReadError::TooLarge { .. } => Code::TooLarge,
        },
        message: format!("the file {error}"),
    })?;
    prepare.apply(image).map_err(|error| Failure {
        code: match error {
            PrepareError::TooLarge(_) => Code::TooLarge,
            PrepareError::Image(_) | PrepareError::Encode(_) => Code::Undecodable,
        },
        message: error.to_string(),
    })
}
