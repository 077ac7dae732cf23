//! The thread that has the batch's files: what is written must not hold up the messages.
//!
//! Results are acked when [`Keeper::secure`] says that their lines are on the disk. So what is not on
//! the disk comes again, and what comes again is known by its mark.

use super::batch::Batch;
use super::line::{Code, Failure, Verdict};
use super::marks::Mark;
use super::output::Output;
use super::place::Place;
use super::tally::Tally;
use anyhow::{Context, bail};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Orders that may wait for the disk; then collecting waits too.
const WAITING: usize = 256;
/// Lines that are secured by themselves, where no result asks for it: files that cannot be read.
const UNSECURED: usize = 4_096;

/// What is to be kept.
#[derive(Debug)]
pub(super) enum Order {
    /// The broker has the jobs of these images.
    Sent(Vec<u64>),
    /// What became of an image; the first word counts.
    Line(u64, Verdict),
    /// Tell when all that came before is on the disk.
    Secure(oneshot::Sender<()>),
}

/// A handle on the thread. It ends when this is dropped, or [finished](Self::finish).
pub(super) struct Keeper {
    orders: mpsc::Sender<Order>,
    /// Room for the next result, which others that wait for room must not take meanwhile.
    for_result: RefCell<Option<mpsc::OwnedPermit<Order>>>,
    thread: JoinHandle<anyhow::Result<Kept>>,
    lines: Arc<AtomicU64>,
}

/// The batch's files, in the hands of one thread.
pub(super) struct Kept {
    batch: Arc<Batch>,
    output: Output,
    pub(super) tally: Tally,
    /// Images whose line is not known to be on the disk.
    unsecured: HashSet<u64>,
    lines: Arc<AtomicU64>,
}

impl Keeper {
    /// Starts the thread.
    pub(super) fn start(kept: Kept) -> anyhow::Result<Self> {
        let (orders, waiting) = mpsc::channel(WAITING);
        let lines = Arc::clone(&kept.lines);
        let thread = std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || kept.obey(waiting))
            .context("cannot start a thread")?;
        Ok(Self {
            orders,
            for_result: RefCell::default(),
            thread,
            lines,
        })
    }

    /// Room for one order. An error says that nothing can be written any more; why, [`Self::finish`]
    /// tells. May be dropped while it waits.
    pub(super) async fn room(&self) -> anyhow::Result<mpsc::Permit<'_, Order>> {
        self.orders.reserve().await.context(GONE)
    }

    /// Room for one order, if there is some at once.
    pub(super) fn room_now(&self) -> Option<mpsc::Permit<'_, Order>> {
        self.orders.try_reserve().ok()
    }

    /// Room for one result, kept until [`result`](Self::result) uses it. May be dropped while it waits.
    pub(super) async fn room_for_result(&self) -> anyhow::Result<()> {
        if self.for_result.borrow().is_none() {
            let room = self.orders.clone().reserve_owned().await;
            self.for_result.replace(Some(room.ok().context(GONE)?));
        }
        Ok(())
    }

    /// Gives the line of a result, for which there must be [room](Self::room_for_result).
    pub(super) fn result(&self, image: u64, verdict: Verdict) -> anyhow::Result<()> {
        let room = self.for_result.take();
        let room = room.context("a result came without room for it")?;
        room.send(Order::Line(image, verdict));
        Ok(())
    }

    /// Waits until what came before is on the disk.
    pub(super) async fn secure(&self) -> anyhow::Result<()> {
        let (secured, told) = oneshot::channel();
        self.room().await?.send(Order::Secure(secured));
        told.await.context(GONE)
    }

    /// Lines that there are, those of earlier runs included.
    pub(super) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Blocks until everything is on the disk; the broker has the jobs of these images, too.
    pub(super) fn finish(self, sent: Vec<u64>) -> anyhow::Result<Kept> {
        // If it cannot be written, the thread tells why.
        let _ = self.orders.blocking_send(Order::Sent(sent));
        // The thread ends when nobody can give orders any more.
        drop((self.orders, self.for_result));
        match self.thread.join() {
            Ok(kept) => kept,
            Err(_panic) => bail!("the thread that writes the results panicked"),
        }
    }
}

const GONE: &str = "the results can no longer be written";

impl Kept {
    /// What a batch has until now: reads its output, if there is one.
    pub(super) fn open(batch: &Arc<Batch>) -> anyhow::Result<Self> {
        let mut tally = Tally::default();
        let output = batch.open_output(&mut tally)?;
        let lines = Arc::new(AtomicU64::new(tally.answered()));
        Ok(Self {
            batch: Arc::clone(batch),
            output,
            tally,
            unsecured: HashSet::new(),
            lines,
        })
    }

    fn obey(mut self, mut waiting: mpsc::Receiver<Order>) -> anyhow::Result<Self> {
        while let Some(order) = waiting.blocking_recv() {
            match order {
                Order::Sent(images) => self.sent(&images)?,
                Order::Line(image, verdict) => self.line(image, &verdict)?,
                Order::Secure(secured) => {
                    self.secure()?;
                    // Who asked may have gone.
                    let _ = secured.send(());
                }
            }
            if waiting.is_empty() {
                self.output.flush()?;
            }
        }
        self.secure()?;
        Ok(self)
    }

    fn sent(&self, images: &[u64]) -> anyhow::Result<()> {
        let marks = &self.batch.marks;
        for image in images {
            // Its result may have been faster.
            if marks.get(*image)? == Mark::Unsent {
                marks
                    .set(*image, Mark::Sent)
                    .context("cannot write the batch's progress")?;
            }
        }
        Ok(())
    }

    /// Adds an image's line, unless it has one.
    pub(super) fn line(&mut self, image: u64, verdict: &Verdict) -> anyhow::Result<()> {
        if self.unsecured.contains(&image) || self.batch.marks.get(image)? == Mark::Done {
            self.tally.duplicates += 1;
            return Ok(());
        }
        self.write(image, verdict)?;
        self.unsecured.insert(image);
        self.lines.fetch_add(1, Ordering::Relaxed);
        if self.unsecured.len() >= UNSECURED {
            self.secure()?;
        }
        Ok(())
    }

    /// Brings what was written to the disk, then the marks that say so.
    pub(super) fn secure(&mut self) -> anyhow::Result<()> {
        if self.unsecured.is_empty() {
            return Ok(());
        }
        self.output.sync()?;
        for image in self.unsecured.drain() {
            let marked = self.batch.marks.set(image, Mark::Done);
            marked.context("cannot write the batch's progress")?;
        }
        Ok(())
    }

    /// Gives each image without a line one that says so, and why: `sent` for those that the broker has,
    /// `unsent` for the others. Their marks stay, so that they are not taken for done.
    pub(super) fn give_up(&mut self, sent: &str, unsent: &str) -> anyhow::Result<()> {
        self.secure()?;
        let batch = Arc::clone(&self.batch);
        for (image, mark) in (0..).zip(batch.marks.all()) {
            let message = match mark? {
                Mark::Done => continue,
                Mark::Sent | Mark::Overdue => sent,
                Mark::Unsent => unsent,
            };
            let verdict = Verdict::Failed(Failure {
                code: Code::Unanswered,
                message: message.to_owned(),
            });
            self.write(image, &verdict)?;
        }
        self.output.sync()
    }

    /// Bytes of the output, if it is a file; an error where nobody finds them.
    pub(super) fn output_len(&self) -> anyhow::Result<u64> {
        match self.batch.place() {
            Place::File(path) => self.output.len(path),
            Place::Standard => Ok(0),
        }
    }

    fn write(&mut self, image: u64, verdict: &Verdict) -> anyhow::Result<()> {
        let path = self
            .batch
            .list
            .path(image)
            .context("cannot read the batch's list of images")?;
        let format = self.batch.description.format;
        self.output
            .add(|lines| format.write(lines, image, &path, verdict))?;
        let counted = self.batch.named(image, verdict.counted())?;
        self.tally.count(counted);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{Found, Wanted};
    use super::super::line::Format;
    use super::super::list::Listing;
    use super::super::scratch::Scratch;
    use super::*;
    use std::path::Path;

    fn wanted(format: Format) -> Wanted {
        Wanted {
            name: None,
            model: "m".to_owned(),
            broker: "amqp://localhost:5672".to_owned(),
            format,
            top_k: None,
            prepare: None,
            paths: vec!["photos".into()],
        }
    }

    fn begin(output: &Path, format: Format, images: u8) -> Arc<Batch> {
        let place = Place::of(output);
        let folder = place.take(false).unwrap();
        let mut listing = Listing::begin(&folder).unwrap();
        for image in 0..images {
            listing.add(&[b'a' + image]).unwrap();
        }
        Arc::new(Batch::begin(&place, folder, wanted(format), listing).unwrap())
    }

    fn again(output: &Path, format: Format) -> Arc<Batch> {
        let place = Place::of(output);
        match Batch::find(&place, place.take(true).unwrap(), &wanted(format)).unwrap() {
            Found::Begun(batch) => Arc::new(*batch),
            other => panic!("{other:?}"),
        }
    }

    fn failed() -> Verdict {
        Verdict::Failed(Failure {
            code: Code::NotAnImage,
            message: "why".to_owned(),
        })
    }

    fn marks(batch: &Batch) -> Vec<Mark> {
        batch.marks.all().map(Result::unwrap).collect()
    }

    #[test]
    fn each_image_gets_one_line_over_all_runs() {
        for format in [Format::Json, Format::Csv] {
            let scratch = Scratch::new();
            let output = scratch.path().join("r");
            let batch = begin(&output, format, 4);
            let mut kept = Kept::open(&batch).unwrap();
            kept.sent(&[0, 1, 2]).unwrap();
            for image in [2, 2, 0] {
                kept.line(image, &failed()).unwrap();
            }
            assert_eq!(kept.tally.duplicates, 1);
            assert_eq!(
                marks(&batch)[2],
                Mark::Sent,
                "the line is not on the disk yet"
            );
            kept.secure().unwrap();
            // The confirm came after the result.
            kept.sent(&[2]).unwrap();
            let expected = [Mark::Done, Mark::Sent, Mark::Done, Mark::Unsent];
            assert_eq!(marks(&batch), expected);
            // What follows does not reach the disk.
            kept.line(1, &failed()).unwrap();
            drop((kept, batch));

            let batch = again(&output, format);
            let mut kept = Kept::open(&batch).unwrap();
            assert_eq!(marks(&batch), expected);
            assert_eq!(
                (kept.tally.failed, kept.lines.load(Ordering::Relaxed)),
                (2, 2)
            );
            kept.line(0, &failed()).unwrap();
            assert_eq!(kept.tally.duplicates, 1);
            kept.give_up("sent", "not sent").unwrap();
            assert_eq!(kept.tally.unanswered, 2);
            let lines = std::fs::read_to_string(&output).unwrap();
            assert_eq!(lines.matches("unanswered").count(), 2, "{lines}");
            drop((kept, batch));

            let batch = again(&output, format);
            let mut kept = Kept::open(&batch).unwrap();
            let expected = [Mark::Done, Mark::Overdue, Mark::Done, Mark::Unsent];
            assert_eq!(marks(&batch), expected, "the broker may have one of them");
            for image in [3, 1] {
                kept.line(image, &failed()).unwrap();
            }
            kept.secure().unwrap();
            assert_eq!(marks(&batch), [Mark::Done; 4]);
            assert_eq!(kept.tally.answered(), 4);
        }
    }

    #[test]
    fn a_line_that_somebody_took_away_is_missing_and_one_too_many_is_told() {
        let scratch = Scratch::new();
        let output = scratch.path().join("r");
        let batch = begin(&output, Format::Json, 2);
        let mut kept = Kept::open(&batch).unwrap();
        kept.line(0, &failed()).unwrap();
        kept.line(1, &failed()).unwrap();
        kept.secure().unwrap();
        drop((kept, batch));
        let both = std::fs::read_to_string(&output).unwrap();
        let second = both.lines().nth(1).unwrap().to_owned() + "\n";
        std::fs::write(&output, &second).unwrap();
        let batch = again(&output, Format::Json);
        Kept::open(&batch).unwrap();
        assert_eq!(marks(&batch), [Mark::Unsent, Mark::Done]);
        std::fs::write(&output, both + &second).unwrap();
        let told = format!("{:#}", Kept::open(&batch).err().unwrap());
        assert!(
            told.contains("line 3: image 1 has a line already"),
            "{told}"
        );
    }

    #[tokio::test]
    async fn room_for_a_result_is_its_own_however_many_others_wait_for_room() {
        let scratch = Scratch::new();
        let batch = begin(&scratch.path().join("r"), Format::Json, 1);
        let kept = Kept::open(&batch).unwrap();
        let lines = Arc::clone(&kept.lines);
        let (orders, mut waiting) = mpsc::channel(1);
        let keeper = Keeper {
            orders,
            for_result: RefCell::default(),
            thread: std::thread::spawn(|| Ok(kept)),
            lines,
        };
        keeper.room().await.unwrap().send(Order::Sent(Vec::new()));
        let result = async {
            keeper.room_for_result().await.unwrap();
            keeper.room_for_result().await.unwrap();
            tokio::task::yield_now().await;
            keeper.result(0, failed()).unwrap();
        };
        let other = async {
            let room = keeper.room().await.unwrap();
            room.send(Order::Sent(vec![0]));
        };
        let thread = async {
            let mut orders = Vec::new();
            for _ in 0..3 {
                orders.push(waiting.recv().await.unwrap());
                tokio::task::yield_now().await;
            }
            orders
        };
        let ((), (), orders) = tokio::join!(result, other, thread);
        assert!(matches!(orders[1], Order::Line(0, _)), "{orders:?}");
    }

    #[tokio::test]
    async fn what_is_secured_is_on_the_disk() {
        let scratch = Scratch::new();
        let output = scratch.path().join("r");
        let batch = begin(&output, Format::Json, 2);
        let keeper = Keeper::start(Kept::open(&batch).unwrap()).unwrap();
        let room = keeper.room().await.unwrap();
        room.send(Order::Line(1, failed()));
        keeper.secure().await.unwrap();
        assert_eq!(std::fs::read_to_string(&output).unwrap().lines().count(), 1);
        assert_eq!(marks(&batch), [Mark::Unsent, Mark::Done]);
        let finishing = tokio::task::spawn_blocking(|| keeper.finish(vec![0]));
        assert_eq!(finishing.await.unwrap().unwrap().tally.failed, 1);
        assert_eq!(marks(&batch), [Mark::Sent, Mark::Done]);
    }
}
