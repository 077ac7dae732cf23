//! A host with emulated sticks, a worker on it, and a flood that keeps it busy.

use crate::bed::{self, LIMIT, amqp_url, runtime, unique};
use crate::client::{Client, block_on, clean_up};
use ncs_e2e::paths::GOOGLENET_U8;
use ncs_e2e::poll_until;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::{Worker, WorkerOptions};
use ncs_protocol::topology::DEAD;
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What one saturated stick does.
pub(crate) const STICK: f64 = 92.68;

/// How long a pace is measured.
const WINDOW: Duration = Duration::from_secs(3);

/// One test at a time: they share two cores.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sticks, and the one worker on them.
pub(crate) struct Host {
    pub(crate) sticks: Sticks,
    pub(crate) model: String,
    pub(crate) worker: Worker,
    /// What there was before; no other test runs that makes some.
    dead_letters: u32,
    _alone: MutexGuard<'static, ()>,
}

/// How a worker on these sticks is started. Unless the arguments say otherwise, it looks for sticks
/// each second; they boot within half of one.
pub(crate) fn worker_on(sticks: &Sticks, model: &str, arguments: &[&str]) -> WorkerOptions {
    let ir = runtime().model(GOOGLENET_U8).expect("the model");
    let options = sticks
        .worker(ir, &amqp_url())
        .arguments(["--model-name", model])
        .arguments(arguments.iter().copied());
    options
        .env("NCS_RESCAN", "1s")
        .env("NCS_INFER_TIMEOUT", "2s")
        .env("STICKS_BOOT_MS", "500")
}

impl Host {
    /// A worker on so many sticks, ready.
    pub(crate) fn with(count: u16, arguments: &[&str]) -> Self {
        Self::of(Sticks::plugged_in(count).expect("sticks"), arguments)
    }

    /// A worker on these sticks, ready.
    pub(crate) fn of(sticks: Sticks, arguments: &[&str]) -> Self {
        let alone = alone();
        let model = unique("sticks");
        let worker = Worker::start(&worker_on(&sticks, &model, arguments)).expect("ready");
        Self {
            sticks,
            dead_letters: dead_letters(&model),
            model,
            worker,
            _alone: alone,
        }
    }

    /// A worker on sticks that are not there yet.
    pub(crate) fn waiting_for(count: u16) -> Self {
        let alone = alone();
        let sticks = Sticks::plugged_in(count).expect("sticks");
        sticks.unplug_all().expect("unplugged");
        let model = unique("sticks");
        let worker = Worker::spawn(&worker_on(&sticks, &model, &[])).expect("started");
        Self {
            sticks,
            // It may not have declared the queue yet; these tests flood nothing.
            dead_letters: 0,
            model,
            worker,
            _alone: alone,
        }
    }

    /// Floods it, wide enough for 4 sticks, until the test has seen enough.
    pub(crate) fn flood(&self) -> Flood {
        let options = FloodOptions::new(&self.model, &amqp_url())
            .arguments([
                "--images".into(),
                runtime().small_photos_dir().into_os_string(),
            ])
            .arguments(["--window", "128", "--duration", "170s", "--timeout", "60s"]);
        Flood(Producer::flood(&options).expect("started"))
    }

    /// A figure of the worker's; none while it does not answer or has no such series.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        bed::metric(&self.worker, series)
    }

    fn classified(&self) -> f64 {
        self.metric(bed::CLASSIFIED).expect("the worker counts")
    }

    /// Waits until a figure is what it should be.
    pub(crate) fn wait_for(&self, series: &str, wanted: impl Fn(f64) -> bool) {
        let reached = poll_until(LIMIT, || self.metric(series).filter(|now| wanted(*now)));
        assert!(
            reached.is_some(),
            "{series} is {:?}{}",
            self.metric(series),
            self.worker.last_words()
        );
    }

    /// Waits until so many sticks serve.
    pub(crate) fn wait_for_sticks(&self, count: u16) {
        self.wait_for("ncs_worker_sticks{state=\"serving\"}", |now| {
            (now - f64::from(count)).abs() < 0.5
        });
    }

    /// Images per second over some seconds from now.
    pub(crate) fn pace(&self) -> f64 {
        let (before, start) = (self.classified(), Instant::now());
        let _ = poll_until(WINDOW, || None::<()>);
        (self.classified() - before) / start.elapsed().as_secs_f64()
    }

    /// Waits until the pace is that of so many sticks, within 7 % over a measured window: another
    /// program on the machine may take a little of it, and a rebuild may fall into the first windows.
    pub(crate) fn settles_at(&self, sticks: f64) {
        let mut paces = Vec::new();
        let start = Instant::now();
        while start.elapsed() < LIMIT / 4 {
            let pace = self.pace();
            paces.push(pace);
            if (pace / (sticks * STICK) - 1.0).abs() < 0.07 {
                return;
            }
        }
        panic!(
            "the pace is {paces:.0?} instead of {:.0} images/s{}",
            sticks * STICK,
            self.worker.last_words()
        );
    }

    /// Does something to the sticks, and returns for how long at most no job was answered within the
    /// time after it.
    pub(crate) fn standstill(&self, within: Duration, hurt: impl FnOnce(&Sticks)) -> Duration {
        let mut last = (self.classified(), Instant::now());
        let mut longest = Duration::ZERO;
        hurt(&self.sticks);
        let _ = poll_until(within, || {
            let now = self.classified();
            if now > last.0 {
                last = (now, Instant::now());
            }
            longest = longest.max(last.1.elapsed());
            None::<()>
        });
        longest
    }

    /// Holds the fleet to no dead letter because of a stick.
    fn assert_no_dead_letters(&self) {
        assert_eq!(dead_letters(&self.model), self.dead_letters);
    }

    /// Ends the worker and holds it to what never happens: a panic.
    pub(crate) fn end(self) {
        let Self {
            mut worker, model, ..
        } = self;
        let status = worker.drain(LIMIT).expect("the worker ends");
        let said = worker.stderr();
        assert!(
            status.success() && !said.contains("panicked"),
            "{status} {said}"
        );
        clean_up(&model);
    }
}

fn dead_letters(model: &str) -> u32 {
    block_on(async {
        let client = Client::connect(model).await;
        let dead_letters = client.ready(DEAD).await;
        client.close().await;
        dead_letters
    })
}

/// A flood under way.
pub(crate) struct Flood(Producer);

impl Flood {
    /// Ends it, and holds it to this: each job is answered exactly once.
    pub(crate) fn ends_with_every_job_answered_once(mut self, host: &Host) -> Value {
        assert_eq!(
            self.0.try_wait().expect("its state"),
            None,
            "it floods still"
        );
        self.0.interrupt().expect("interrupted");
        let finished = self.0.finish(LIMIT).expect("finished");
        let report = finished.report.clone().expect("a report");
        assert!(report["sent"].as_u64() > Some(100), "{report}");
        assert_eq!(report["answered"], report["sent"], "{finished:?}");
        for figure in ["failed", "lost", "duplicates"] {
            assert_eq!(report[figure], 0, "{figure} in {report}");
        }
        host.assert_no_dead_letters();
        report
    }
}
