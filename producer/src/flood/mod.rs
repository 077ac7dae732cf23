//! `ncs-producer flood`: keep the fleet busy and report how fast it is.
//!
//! Reading order: `load` says when each job is due, `figures` counts what became of them, `ramp` judges
//! whether a rate was held, `report` sums up, and `goals` holds it to what was asked for.

pub(crate) mod figures;
mod goals;
mod histogram;
pub(crate) mod load;
mod metrics;
mod ramp;
mod report;
mod results;

use crate::cli::{Cli, FloodArgs};
use crate::process;
use crate::progress::{Progress, Status};
use crate::source::{self, Image};
use crate::traffic::window::{Choice, Found};
use crate::traffic::{self, Answered, Campaign, End, Outgoing, Route, Traffic};
use clap::CommandFactory;
use clap::error::ErrorKind;
use figures::Figures;
use load::{Load, Schedule};
use metrics::Metrics;
use ncs_broker::Message;
use ncs_protocol::{Job, JobResult, topology};
use ramp::Ramp;
use report::Report;
use results::{First, Results};
use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Results that are acked together: one message to the broker instead of this many. Small, because
/// what is not acked when the connection breaks comes again and counts as a duplicate.
const ACKED_TOGETHER: u16 = 16;

/// Floods, prints the report, and says in the exit code whether every job was classified, and the goals
/// were reached.
pub fn run(arguments: &FloodArgs) -> anyhow::Result<ExitCode> {
    let load = Load::new(arguments).unwrap_or_else(|error| {
        Cli::command()
            .error(ErrorKind::ArgumentConflict, error)
            .exit()
    });
    let images = source::load(&arguments.source, &arguments.prepare)?;
    report::check(&arguments.outputs)?;
    let flood = Flood::new(arguments, load, images)?;
    let end = process::block_on(flood.run());
    let report = Report::new(&flood);
    let written = flood.results.map_or(Ok(()), Results::finish);
    // Whatever ended it, what was found until then is told.
    if end.is_ok() || report.sent > 0 {
        report.write(&arguments.outputs)?;
    }
    // Results that cannot be written are why it ended.
    written.and(end)?;
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One flood.
pub(crate) struct Flood<'a> {
    arguments: &'a FloodArgs,
    load: Load,
    images: Vec<Image>,
    result_queue: String,
    /// Where each single result is written, if anywhere.
    results: Option<Results>,
    metrics: Metrics,
    /// When the first connection stood; the schedule counts from here.
    start: Cell<Instant>,
    found: Cell<Option<Found>>,
    schedule: RefCell<Schedule>,
    figures: RefCell<Figures>,
    ramp: RefCell<Ramp>,
    progress: RefCell<Progress>,
    /// What the traffic has last told.
    state: Cell<traffic::State>,
}

impl<'a> Flood<'a> {
    fn new(arguments: &'a FloodArgs, load: Load, images: Vec<Image>) -> anyhow::Result<Self> {
        let results = arguments.results.as_deref();
        Ok(Self {
            results: results.map(Results::create).transpose()?,
            arguments,
            images,
            result_queue: format!("ncs.results.{}", Uuid::now_v7()),
            metrics: Metrics::new()?,
            start: Cell::new(Instant::now()),
            found: Cell::new(None),
            figures: RefCell::new(Figures::new(&load)),
            ramp: RefCell::new(Ramp::new(&load, arguments.goals.fail_p99)),
            progress: RefCell::new(Progress::new(load.jobs)),
            schedule: RefCell::new(Schedule::new(load.clone())),
            load,
            state: Cell::default(),
        })
    }

    /// Until all jobs are sent and answered, or nothing moves any more.
    async fn run(&self) -> anyhow::Result<()> {
        let shutdown = CancellationToken::new();
        process::end_on_signal(&shutdown)?;
        let serving = self.metrics.serve(self.arguments.metrics_addr).await?;
        let traffic = Traffic::new(self.route()?, self, shutdown);
        let flooding = traffic.run(false, |found| self.begin(found));
        let end = tokio::select! {
            end = flooding => end,
            never = serving => match never {},
        };
        self.state.set(traffic.state());
        self.progress.borrow_mut().clear();
        // What is lost, the report tells.
        end.map(|_: End| ())
    }

    fn route(&self) -> anyhow::Result<Route> {
        let FloodArgs {
            broker,
            model,
            pace,
            timeout,
            ..
        } = self.arguments;
        Ok(Route {
            address: broker.address()?,
            model: model.clone(),
            name: model.to_string(),
            result_queue: self.result_queue.clone(),
            window: self.choice(),
            connections: pace.connections,
            acked_together: ACKED_TOGETHER,
            timeout: *timeout,
        })
    }

    /// The first connection stands.
    fn begin(&self, found: Found) {
        self.start.set(Instant::now());
        self.found.set(Some(found));
        let Found { consumers, window } = found;
        if self.arguments.pace.window.is_none() && !self.load.is_open() {
            let of = if consumers == 1 {
                "consumer"
            } else {
                "consumers"
            };
            tracing::info!("up to {window} jobs unanswered, for {consumers} {of} (--window)");
        }
    }

    /// Judges the steps that are over when one of this number begins; says whether all were held.
    fn judge_before(&self, step: usize) -> bool {
        let mut figures = self.figures.borrow_mut();
        let mut ramp = self.ramp.borrow_mut();
        while ramp.judged() < step {
            figures.end_step(ramp.judged(), Instant::now());
            ramp.judge(&figures);
        }
        ramp.is_held()
    }

    /// Jobs unanswered at most; 0 without a limit.
    fn window(&self) -> u32 {
        let unlimited = matches!(self.choice(), Choice::Unlimited);
        let found = self.found.get().filter(|_| !unlimited);
        found.map_or(0, |found| found.window)
    }

    fn choice(&self) -> Choice {
        match self.arguments.pace.window {
            Some(0) => Choice::Unlimited,
            Some(jobs) => Choice::Jobs(jobs),
            // The schedule alone says when: a window would make the loop closed again.
            None if self.load.is_open() => Choice::Unlimited,
            None => Choice::ByConsumers,
        }
    }

    /// Where in the memory the image of this job is: they are sent in turn.
    fn position(&self, job: u64) -> usize {
        usize::try_from(job).unwrap_or(0) % self.images.len()
    }

    fn message(&self, id: &str, job: u64) -> anyhow::Result<Message> {
        let encoding = self.arguments.encoding.into();
        let submitted_at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let job = Job {
            id: id.into(),
            correlation_id: None,
            reply_to: Some(self.result_queue.as_str().into()),
            submitted_at_us: u64::try_from(submitted_at.as_micros()).ok(),
            accept: encoding,
            top_k: self.arguments.top_k,
            content: self.images[self.position(job)].content(),
        };
        let (properties, body) = job.to_message(encoding)?;
        Ok(Message {
            exchange: topology::JOBS_EXCHANGE.to_owned(),
            routing_key: self.arguments.model.to_string(),
            mandatory: true,
            properties,
            body,
        })
    }
}

impl Campaign for Flood<'_> {
    async fn next(&self) -> anyhow::Result<Option<Outgoing>> {
        let start = self.start.get();
        let elapsed = start.elapsed();
        let due = self.schedule.borrow_mut().next(elapsed);
        let at = match due {
            Some(due) => due.at,
            // The last rate of a ramp lasts to its end, too.
            None if self.load.is_ramp => self.load.length(),
            None => None,
        };
        if let Some(at) = at {
            tokio::time::sleep_until((start + at).into()).await;
        }
        // From here on nothing waits: who has slept takes the job.
        let held = self.judge_before(due.map_or(self.load.steps.len(), |due| due.step));
        let Some(due) = due.filter(|_| held) else {
            return Ok(None);
        };
        let mut figures = self.figures.borrow_mut();
        let image = figures.sent;
        let now = Instant::now();
        // Nobody waits for a job of a closed loop before it is sent.
        let due_at = due.at.map_or(now, |at| start + at);
        figures.sent(due.step, now, now.saturating_duration_since(due_at));
        self.schedule.borrow_mut().take();
        let id = Uuid::now_v7().to_string();
        let message = self.message(&id, image)?;
        self.metrics.sent();
        Ok(Some(Outgoing {
            id,
            image,
            due: due_at,
            message: Some(message),
        }))
    }

    async fn answered(&self, result: JobResult, job: Option<Answered>) -> anyhow::Result<()> {
        let now_in = self.ramp.borrow().judged();
        let step = |job: Answered| {
            let due = job.due.saturating_duration_since(self.start.get());
            (job, self.load.step_at(due))
        };
        self.figures
            .borrow_mut()
            .answered(&result, job.map(step), now_in, Instant::now());
        self.metrics.answered(&result, job);
        let first = job.map(|job| First {
            image: self.position(job.image),
            latency: job.latency,
        });
        match &self.results {
            Some(results) => results.add(&result, first).await,
            None => Ok(()),
        }
    }

    fn show(&self, state: &traffic::State) {
        self.state.set(*state);
        self.metrics.show(state);
        let (figures, ramp) = (self.figures.borrow(), self.ramp.borrow());
        let now_in = ramp.judged().min(self.load.steps.len() - 1);
        let step = &figures.steps[now_in];
        let percentile = |q| {
            (!step.latency_us.is_empty())
                .then(|| Duration::from_micros(step.latency_us.value_at_quantile(q)))
        };
        let elapsed = self.start.get().elapsed();
        self.progress.borrow_mut().show(&Status {
            done: figures.answered,
            // While it warms up, there is no speed overall.
            overall: Some(figures.images_per_second()).filter(|_| !step.warm_up),
            state: *state,
            latency: percentile(0.5).zip(percentile(0.99)),
            left: self.load.length().map(|all| all.saturating_sub(elapsed)),
            phase: self.load.steps[now_in].to_string(),
        });
    }
}
