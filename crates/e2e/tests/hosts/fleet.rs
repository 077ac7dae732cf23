//! Workers on hosts of their own, and what they do together.

use crate::bed::{CLASSIFIED, LIMIT, drain, metric, runtime, unique};
use ncs_e2e::hosts::{Hosts, Way};
use ncs_e2e::paths::GOOGLENET_U8;
use ncs_e2e::poll_until;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::rabbitmq::RabbitMqOptions;
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::Worker;
use serde_json::Value;
use std::time::{Duration, Instant};

/// What one saturated stick does.
pub(crate) const STICK: f64 = 92.68;
/// Hosts beside the broker's, and sticks on each.
pub(crate) const HOSTS: u8 = 2;
pub(crate) const STICKS_EACH: u16 = 2;

/// How long a pace is measured.
const WINDOW: Duration = Duration::from_secs(5);

/// A broker on a host of its own, and two hosts with a worker on two sticks each.
pub(crate) struct Fleet {
    // Before the hosts, which go with their last process.
    pub(crate) workers: Vec<Worker>,
    sticks: Vec<Sticks>,
    pub(crate) hosts: Hosts,
    pub(crate) model: String,
}

impl Fleet {
    /// All of it, with so much added to each round trip, and workers with these arguments.
    pub(crate) fn new(way: Way, added: Duration, arguments: &[&str]) -> Self {
        println!("hosts are {way}");
        let options = RabbitMqOptions::default();
        let hosts = Hosts::around(options, HOSTS, way).expect("hosts");
        for host in hosts.others() {
            host.add_round_trip(added).expect("slow");
        }
        let mut fleet = Self {
            workers: Vec::new(),
            sticks: Vec::new(),
            model: unique("hosts"),
            hosts,
        };
        for host in fleet.hosts.others() {
            let sticks = quick_sticks(STICKS_EACH);
            let ir = runtime().model(GOOGLENET_U8).expect("the model");
            let options = sticks
                .worker(ir, &host.amqp_url())
                .arguments(["--model-name", &fleet.model])
                .arguments(arguments.iter().copied())
                .on(host.place());
            fleet.workers.push(Worker::start(&options).expect("ready"));
            fleet.sticks.push(sticks);
        }
        fleet
    }

    /// A flood of small photos from the broker's host.
    pub(crate) fn flood(&self, arguments: &[&str]) -> Producer {
        let photos = runtime().small_photos_dir().into_os_string();
        let options = FloodOptions::new(&self.model, &self.hosts.broker().amqp_url())
            .arguments(["--images".into(), photos])
            .arguments(arguments.iter().copied())
            .on(self.hosts.head());
        Producer::flood(&options).expect("started")
    }

    /// Waits until each worker has answered so many jobs more.
    pub(crate) fn wait_until_each_has_answered(&self, more: f64) {
        for worker in &self.workers {
            wait_for_more(worker, more);
        }
    }

    /// Images per second of these workers together, over a window from now.
    pub(crate) fn pace(&self, workers: &[usize]) -> f64 {
        let classified = || -> f64 {
            let each = workers
                .iter()
                .map(|number| classified(&self.workers[*number]));
            each.sum()
        };
        let (before, start) = (classified(), Instant::now());
        let _ = poll_until(WINDOW, || None::<()>);
        (classified() - before) / start.elapsed().as_secs_f64()
    }

    /// Holds these workers to so large a share of what their sticks do, in one of some windows: whatever
    /// else the machine does for a moment only makes them slower.
    pub(crate) fn assert_busy(&self, workers: &[usize], share: f64) {
        let sum = workers
            .iter()
            .map(|_| f64::from(STICKS_EACH) * STICK)
            .sum::<f64>();
        let mut shares = Vec::new();
        while shares.len() < 16 && shares.iter().all(|got| *got < share) {
            shares.push(self.pace(workers) / sum);
        }
        println!("{shares:.3?} of {sum:.0} images/s");
        let said: String = self
            .workers
            .iter()
            .map(|worker| worker.last_words())
            .collect();
        assert!(
            shares.iter().any(|got| *got >= share),
            "{shares:.3?} of {sum:.0} images/s{said}"
        );
    }

    /// Ends what is left.
    pub(crate) fn end(self) {
        for worker in self.workers {
            drain(worker);
        }
    }
}

/// Sticks that take no time to boot or to be loaded.
pub(crate) fn quick_sticks(count: u16) -> Sticks {
    let sticks = Sticks::plugged_in(count).expect("sticks");
    let sticks = sticks.with("STICKS_BOOT_MS", "0");
    sticks.with("STICKS_COMPILE_MS", "0")
}

pub(crate) fn classified(worker: &Worker) -> f64 {
    metric(worker, CLASSIFIED).expect("the worker counts")
}

pub(crate) fn wait_for_more(worker: &Worker, more: f64) {
    let before = classified(worker);
    let reached = poll_until(LIMIT, || {
        (classified(worker) >= before + more).then_some(())
    });
    assert!(
        reached.is_some(),
        "it answers nothing{}",
        worker.last_words()
    );
}

/// Waits for the end of a flood of so many jobs, and holds it to each job's answer. Which jobs were done
/// twice is the broker's business, so that number is returned.
pub(crate) fn assert_all_answered(flood: Producer, jobs: u64) -> u64 {
    let finished = flood.finish(LIMIT).expect("finished");
    let report = finished.report.clone().expect("a report");
    assert_books(&report, jobs);
    assert!(finished.status.success(), "{finished:?}");
    report["duplicates"].as_u64().expect("a number")
}

/// Ends a flood that has no end of its own, and holds it to each job's answer.
pub(crate) fn interrupt(mut flood: Producer) -> Value {
    assert_eq!(
        flood.try_wait().expect("its state"),
        None,
        "it floods still"
    );
    flood.interrupt().expect("interrupted");
    let finished = flood.finish(LIMIT).expect("finished");
    let report = finished.report.expect("a report");
    assert_books(&report, report["sent"].as_u64().expect("a number"));
    report
}

fn assert_books(report: &Value, jobs: u64) {
    for (figure, expected) in [
        ("sent", jobs),
        ("answered", jobs),
        ("failed", 0),
        ("lost", 0),
    ] {
        assert_eq!(report[figure], expected, "{figure} in {report}");
    }
}
