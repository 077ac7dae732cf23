//! `dead retry`.
//!
//! A job is published, confirmed, and only then taken out of the dead letters. Bodies are kept from
//! their looking at to their publishing, so this goes in rounds: each looks at all letters from the
//! oldest on, keeps the bodies of as many as [`MOST_BYTES_IN_HAND`] allows, and puts these back.

mod reply_queues;
mod way_back;

use super::letter::Letter;
use super::look::{Look, MOST_IN_HAND};
use super::select::Selection;
use super::{NEVER_ANY, connection_name, letters, no_such, outcome, print};
use crate::cli::RetryArgs;
use anyhow::bail;
use ncs_broker::{Connection, Delivery, Link};
use ncs_protocol::topology::{DEAD, RESULTS_QUEUE};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;
use way_back::{PutBack, WayBack};

/// Bodies of jobs that are about to be put back, in bytes; one more is kept in any case.
pub const MOST_BYTES_IN_HAND: usize = 64 * 1024 * 1024;

pub(super) async fn run(
    arguments: &RetryArgs,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let address = arguments.broker.address()?;
    let link = Link::open(&address, &connection_name("retry")).await?;
    let mut retry = Retry {
        consuming: &link.consuming,
        way_back: WayBack::open(&link.publishing, &address, shutdown).await?,
        shutdown,
        selection: Selection::new(&arguments.select),
        tally: Tally::default(),
        without_queue: BTreeSet::new(),
    };
    let end = retry.rounds().await;
    let Retry {
        way_back,
        tally,
        selection,
        ..
    } = retry;
    way_back.close().await;
    let all_done = tally.left.is_empty() && selection.has_seen_all(tally.not_looked_at);
    let missing = no_such(&selection.missing());
    link.close().await;
    // Whatever ended it, what was done until then is told.
    print(&tally.to_string())?;
    let there = end?;
    print(&missing)?;
    match there {
        None => print(&format!("{NEVER_ANY}\n"))?,
        Some(there) if tally.put_back.is_empty() && tally.left.is_empty() => {
            let seen = letters((there - tally.not_looked_at) as usize);
            print(&format!("nothing was put back: none of {seen} is meant\n"))?;
        }
        Some(_) => {}
    }
    Ok(outcome(all_done))
}

struct Retry<'a> {
    consuming: &'a Connection,
    way_back: WayBack<'a>,
    shutdown: &'a CancellationToken,
    selection: Selection<'a>,
    tally: Tally,
    /// Models whose jobs the broker has returned.
    without_queue: BTreeSet<String>,
}

/// What became of the letters that are meant.
#[derive(Default)]
struct Tally {
    /// In the queues of their models, by model.
    put_back: BTreeMap<String, u32>,
    /// Of these, those whose reply queue is gone.
    readdressed: u32,
    /// Still dead letters, by the reason.
    left: BTreeMap<String, u32>,
    /// Dead letters behind the last that was looked at.
    not_looked_at: u32,
}

impl Retry<'_> {
    /// Puts back what is meant of the letters that were there when it began, and tells how many these
    /// were. `None`: there is no queue.
    async fn rounds(&mut self) -> anyhow::Result<Option<u32>> {
        let mut there_at_first = None;
        loop {
            let before = self.tally.count();
            let most = there_at_first.map_or(u32::MAX, |there: u32| there - before);
            let Some(mut look) = Look::begin(self.consuming, most, self.shutdown).await? else {
                return Ok(None);
            };
            let there = *there_at_first.get_or_insert(look.there);
            // Each round sees them again.
            self.tally.left.clear();
            let round = self.round(&mut look).await;
            let ended = look.end().await;
            let more = round?;
            ended?;
            let behind = (there - before).saturating_sub(MOST_IN_HAND);
            self.tally.not_looked_at = behind;
            let nearer = behind > 0 && self.tally.count() > before;
            if !more && !nearer {
                return Ok(Some(there));
            }
        }
    }

    /// Puts back as many as fit into the memory; `true` if there are more. It never does nothing then:
    /// at least one is put back, or another model turns out to have no queue.
    async fn round(&mut self, look: &mut Look<'_>) -> anyhow::Result<bool> {
        let mut kept = Vec::new();
        let (mut bytes, mut more) = (0, false);
        while let Some(delivery) = look.next().await? {
            let letter = Letter::of(&delivery);
            if !self.selection.takes(&letter) {
                continue;
            }
            match letter.destination() {
                Err(why) => self.tally.leave(why),
                Ok(model) if self.without_queue.contains(model) => self.leave_without_queue(model),
                Ok(_) if bytes >= MOST_BYTES_IN_HAND => more = true,
                Ok(model) => {
                    bytes += delivery.body.len();
                    kept.push((model.to_owned(), delivery));
                }
            }
        }
        for (model, delivery) in kept {
            if self.shutdown.is_cancelled() {
                bail!("interrupted; what was not put back is still in {DEAD}");
            }
            if self.without_queue.contains(&model) {
                self.leave_without_queue(&model);
            } else {
                self.put_back(model, delivery, look).await?;
            }
        }
        Ok(more)
    }

    async fn put_back(
        &mut self,
        model: String,
        delivery: Delivery,
        look: &mut Look<'_>,
    ) -> anyhow::Result<()> {
        let Delivery {
            properties,
            body,
            ticket,
            ..
        } = delivery;
        match self.way_back.put_back(&model, properties, body).await? {
            PutBack::Yes { readdressed } => {
                look.ack(ticket).await?;
                self.tally.readdressed += u32::from(readdressed);
                *self.tally.put_back.entry(model).or_default() += 1;
            }
            PutBack::NoQueue => {
                self.leave_without_queue(&model);
                self.without_queue.insert(model);
            }
        }
        Ok(())
    }

    fn leave_without_queue(&mut self, model: &str) {
        self.tally.leave(&format!(
            "there is no queue for the model '{model}'; start a worker that serves it"
        ));
    }
}

impl Tally {
    fn count(&self) -> u32 {
        self.put_back.values().sum()
    }

    fn leave(&mut self, why: &str) {
        *self.left.entry(why.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.put_back.is_empty() {
            let models = self.put_back.iter();
            let models: Vec<_> = models.map(|(model, n)| format!("{n} x {model}")).collect();
            writeln!(f, "put back: {}", models.join(", "))?;
        }
        if self.readdressed > 0 {
            writeln!(
                f,
                "of these, {} had a reply queue that is gone; their results go to {RESULTS_QUEUE}",
                self.readdressed
            )?;
        }
        for (why, count) in &self.left {
            writeln!(f, "left: {count}, because {why}")?;
        }
        if self.not_looked_at > 0 {
            writeln!(f, "not looked at: the newest {}", self.not_looked_at)?;
        }
        Ok(())
    }
}
