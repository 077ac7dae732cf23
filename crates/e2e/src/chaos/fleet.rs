//! What the faults happen to: a broker, two hosts with sticks and a worker each, and a flood.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::fault::HOSTS;
use super::host::{Host, WorkersEnd};
use crate::paths::{GOOGLENET_U8, Runtime};
use crate::poll_until;
use crate::producer::{Finished, FloodOptions, Producer};
use crate::rabbitmq::{RabbitMq, Release, wait_out_young_queues};

/// Until the fleet, once nothing happens to it any more, is whole again and has done all its jobs.
/// A stick that failed is tried again after seconds, a connection that hangs is given up after 15.
const SETTLE_LIMIT: Duration = Duration::from_secs(90);

/// The queue that nobody consumes.
const DEAD: &str = "ncs.dead";

/// The fleet, in the order in which it must end.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) producer: Producer,
    pub(super) hosts: Vec<Host>,
    pub(super) broker: RabbitMq,
    results: PathBuf,
}

/// What is left of a fleet.
#[derive(Debug)]
pub(super) struct Remains {
    /// The broker's version, if its log says.
    pub(super) broker: Option<String>,
    pub(super) flood: Finished,
    /// What lay in the queues at the very end, without those that had nothing.
    pub(super) left: Vec<(String, u64)>,
    pub(super) workers: Vec<WorkersEnd>,
}

impl Fleet {
    /// Starts it all, with logs and results in `dir`, and waits until answers flow.
    pub(super) fn start(release: Release, heartbeat: Duration, dir: &Path) -> Result<Self> {
        let runtime = Runtime::locate()?;
        let broker = RabbitMq::start(release)?;
        let hosts = (1..=HOSTS)
            .map(|number| {
                let logs = dir.join(format!("worker-{number}"));
                Host::start(&runtime, &broker, heartbeat, logs)
            })
            .collect::<Result<Vec<_>>>()?;
        let results = dir.join("results.jsonl");
        let flood = FloodOptions::new(GOOGLENET_U8, &broker.amqp_url())
            .arguments([
                "--images".into(),
                runtime.small_photos_dir().into_os_string(),
            ])
            .arguments(["--results".into(), results.clone().into_os_string()])
            // Ended by us, long before that.
            .arguments(["--duration", "24h", "--timeout", "60s"]);
        let fleet = Self {
            producer: Producer::flood(&flood)?,
            hosts,
            broker,
            results,
        };
        fleet.wait_for_answers()?;
        wait_out_young_queues();
        Ok(fleet)
    }

    /// Ends everything in order: the flood, when each worker has what it needs, then the workers, when
    /// no job is left to them.
    pub(super) fn end(mut self) -> Result<Remains> {
        let whole = poll_until(SETTLE_LIMIT, || {
            self.hosts.iter().all(Host::is_whole).then_some(())
        });
        if whole.is_none() {
            bail!(
                "the workers are not all ready again, on all of their sticks, {SETTLE_LIMIT:?} after \
                 the last fault{}",
                self.workers_last_words()
            );
        }
        self.wait_for_answers()?;
        if self.producer.try_wait()?.is_some() {
            bail!("the flood ended by itself{}", self.producer.last_words());
        }
        self.producer.interrupt()?;
        let flood = self.producer.finish(SETTLE_LIMIT)?;
        // What was done twice may still be in hand.
        let idle = poll_until(SETTLE_LIMIT, || {
            let waiting = waiting(&self.broker).ok()?;
            let jobs = waiting.iter().filter(|(queue, _)| queue != DEAD);
            let in_hand = self
                .hosts
                .iter()
                .map(Host::jobs_in_hand)
                .sum::<Option<u64>>()?;
            (jobs.map(|(_, messages)| messages).sum::<u64>() + in_hand == 0).then_some(())
        });
        let workers = self
            .hosts
            .into_iter()
            .map(|host| host.end(SETTLE_LIMIT))
            .collect::<Result<Vec<_>>>()?;
        let mut left = waiting(&self.broker)?;
        left.retain(|(_, messages)| *messages > 0);
        if idle.is_none() && left.is_empty() {
            bail!("the workers still had jobs in hand {SETTLE_LIMIT:?} after the last answer");
        }
        let broker = version_in(&self.broker.log());
        self.broker.stop()?;
        Ok(Remains {
            broker,
            flood,
            left,
            workers,
        })
    }

    fn wait_for_answers(&self) -> Result<()> {
        let length = || std::fs::metadata(&self.results).map_or(0, |file| file.len());
        let before = length();
        poll_until(SETTLE_LIMIT, || (length() > before).then_some(())).with_context(|| {
            let flood = self.producer.last_words();
            format!("nothing is answered within {SETTLE_LIMIT:?}{flood}")
        })
    }

    fn workers_last_words(&self) -> String {
        let words = self
            .hosts
            .iter()
            .map(|host| host.worker.worker().last_words());
        words.collect()
    }
}

/// The version in `Starting RabbitMQ 3.10.8 on Erlang 25.2.3 [jit]`.
fn version_in(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("Starting RabbitMQ ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// Messages that wait in each queue where nothing may be left, as the queues themselves say: what
/// `list_queues` shows may be 5 s old.
fn waiting(broker: &RabbitMq) -> Result<Vec<(String, u64)>> {
    let names = [
        format!("ncs.jobs.{GOOGLENET_U8}"),
        format!("ncs.suspects.{GOOGLENET_U8}"),
        "ncs.dead.unanswered".to_owned(),
        DEAD.to_owned(),
    ];
    let binaries = names
        .each_ref()
        .map(|name| format!("<<\"{name}\">>"))
        .join(",");
    // A list of small numbers would be printed as a string.
    let said = broker.ctl(&[
        "eval",
        &format!(
            "list_to_tuple([begin \
             {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, Name)), \
             {{ok, Ready, _}} = rabbit_quorum_queue:stat(Q), Ready end || Name <- [{binaries}]])."
        ),
    ])?;
    let numbers = said.trim().trim_matches(['{', '}']).split(',');
    let numbers: Vec<u64> = numbers
        .map(|number| number.trim().parse())
        .collect::<Result<_, _>>()
        .with_context(|| format!("rabbitmqctl said {said:?} instead of four numbers"))?;
    Ok(names.into_iter().zip(numbers).collect())
}
