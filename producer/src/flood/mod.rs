//! `ncs-producer flood`: keep the fleet busy and report how fast it is.
//!
//! Reading order: `load` says when each job is due, `figures` counts what became of them, `rates` judges
//! whether a rate was held, `report` sums up, and `goals` holds it to what was asked for.

pub(crate) mod figures;
mod goals;
mod histogram;
pub(crate) mod load;
mod metrics;
mod rates;
mod report;
mod results;

use crate::cli::{Cli, FloodArgs};
use crate::process;
use crate::progress::{Progress, Status};
use crate::source::{self, Image};
use crate::traffic::window::{Choice, Found};
use crate::traffic::{self, Arrival, Campaign, End, Outgoing, Route, Signals, Traffic};
use clap::CommandFactory;
use clap::error::ErrorKind;
use figures::{Figures, Sent};
use load::{Load, Schedule};
use metrics::Metrics;
use ncs_broker::Message;
use ncs_protocol::{Job, topology};
use rates::Rates;
use report::Report;
use results::{First, Results};
use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// What a shell reports of a program that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// Results that are acked together: one message to the broker instead of this many. Small, because
/// what is not acked when the connection breaks comes again and counts as a duplicate.
const ACKED_TOGETHER: u16 = 16;

/// Floods, prints the report, and says in the exit code whether every job was classified, and the goals
/// were reached.
pub fn run(arguments: &FloodArgs) -> anyhow::Result<ExitCode> {
    let load = Load::new(arguments).unwrap_or_else(|error| refuse(error));
    let images = source::load(&arguments.source, &arguments.prepare)?;
    report::check(&arguments.outputs)?;
    let flood = Flood::new(arguments, load, images)?;
    let end = process::block_on(flood.run());
    let report = Report::new(&flood, end.as_ref().ok().copied());
    let written = flood.results.map_or(Ok(()), Results::finish);
    // Whatever ended it, what was found until then is told.
    let told = if end.is_ok() || report.sent > 0 {
        report.write(&arguments.outputs)
    } else {
        Ok(())
    };
    // Results that cannot be written are why it ended.
    written.and(end)?;
    told?;
    Ok(if flood.signals.finish.is_cancelled() {
        INTERRUPTED.into()
    } else if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Ends the process as clap does for flags that do not go together.
fn refuse(error: String) -> ! {
    let mut cli = Cli::command();
    cli.build();
    // The whole program's usage is of no use to whoever has mistaken a flag of this command.
    match cli.find_subcommand_mut("flood") {
        Some(flood) => flood.error(ErrorKind::ArgumentConflict, error).exit(),
        None => cli.error(ErrorKind::ArgumentConflict, error).exit(),
    }
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
    rates: RefCell<Rates>,
    progress: RefCell<Progress>,
    /// The step to which the last job belongs that was sent.
    lasting: Cell<usize>,
    /// What the traffic has last told.
    state: Cell<traffic::State>,
    /// The CPU that this process had used when the first connection stood.
    cpu_before: Cell<Option<Duration>>,
    /// And has used since, and in which time.
    cpu: Cell<Option<(Duration, Duration)>>,
    signals: Signals,
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
            rates: RefCell::new(Rates::new(&load, arguments.goals.fail_p99)),
            progress: RefCell::new(Progress::new(load.jobs)),
            schedule: RefCell::new(Schedule::new(load.clone())),
            load,
            lasting: Cell::new(0),
            state: Cell::default(),
            cpu_before: Cell::default(),
            cpu: Cell::default(),
            signals: Signals::default(),
        })
    }

    /// Until all jobs are sent and answered, or nothing moves any more.
    async fn run(&self) -> anyhow::Result<End> {
        process::stop_on_signals(&self.signals)?;
        let serving = self.metrics.serve(self.arguments.metrics_addr).await?;
        let traffic = Traffic::new(self.route()?, self, self.signals.clone());
        let flooding = traffic.run(false, |found| self.begin(found));
        let end = tokio::select! {
            end = flooding => end,
            never = serving => match never {},
        };
        self.state.set(traffic.state());
        self.progress.borrow_mut().clear();
        end
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
        self.cpu_before.set(process::cpu_time());
        self.found.set(Some(found));
    }

    /// Judges the steps that are over when one of this number begins, or the flood ends, at this time from
    /// the start; says whether to go on.
    fn judge_before(&self, step: usize, at: Duration) -> bool {
        let start = self.start.get();
        let late = start.elapsed().saturating_sub(at);
        let mut figures = self.figures.borrow_mut();
        let mut rates = self.rates.borrow_mut();
        while rates.judged() < step {
            figures.end_step(rates.judged(), start + at);
            rates.judge(&figures, late);
        }
        !self.load.is_ramp || rates.are_held()
    }

    /// Jobs unanswered at most; 0 without a limit.
    fn window(&self) -> u32 {
        let unlimited = matches!(self.choice(), Choice::Unlimited | Choice::BySchedule);
        let found = self.found.get().filter(|_| !unlimited);
        found.map_or(0, |found| found.window)
    }

    fn choice(&self) -> Choice {
        match self.arguments.pace.window {
            // The schedule alone says when: a window would make the loop closed again.
            None | Some(0) if self.load.is_open() => Choice::BySchedule,
            Some(0) => Choice::Unlimited,
            Some(jobs) => Choice::Jobs(jobs),
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
        let (due, began, ends) = {
            let mut schedule = self.schedule.borrow_mut();
            (schedule.next(elapsed), schedule.began(), schedule.ends())
        };
        // A step is judged when its time is over, however long the next one's first job lets us wait, and the
        // last one lasts to its end, too.
        let (step, over) = match due {
            Some(due) => (due.step, began),
            None => (self.load.steps.len(), ends.unwrap_or(elapsed)),
        };
        if self.rates.borrow().judged() < step {
            tokio::time::sleep_until((start + over).into()).await;
        }
        let goes_on = self.judge_before(step, over);
        let Some(due) = due.filter(|_| goes_on) else {
            return Ok(None);
        };
        if let Some(at) = due.at {
            tokio::time::sleep_until((start + at).into()).await;
        }
        // From here on nothing waits: who has slept takes the job.
        // Nobody waits for a job of a closed loop before it is sent.
        let due_at = start + due.at.unwrap_or(elapsed);
        let mut figures = self.figures.borrow_mut();
        let number = figures.sent;
        figures.sent(Sent {
            step: due.step,
            began: due.at.map_or(due_at, |_| start + began),
            late: due_at.elapsed(),
        });
        self.lasting.set(due.step);
        self.schedule.borrow_mut().take();
        let id = Uuid::now_v7().to_string();
        let message = self.message(&id, number)?;
        self.metrics.sent();
        Ok(Some(Outgoing {
            id,
            image: number,
            due: due_at,
            message: Some(message),
        }))
    }

    async fn room(&self) -> anyhow::Result<()> {
        match &self.results {
            Some(results) => results.room().await,
            None => Ok(()),
        }
    }

    fn answered(&self, arrival: Arrival) -> anyhow::Result<()> {
        let Arrival {
            result,
            job,
            redelivered,
        } = arrival;
        let first = job.map(|job| First {
            image: self.position(job.image),
            latency: job.latency,
        });
        let mut figures = self.figures.borrow_mut();
        if let Some(job) = job {
            let due = job.due.saturating_duration_since(self.start.get());
            let step = self.load.step_at(due);
            figures.answered(&result, (job, step), self.lasting.get(), Instant::now());
            self.metrics.answered(&result, job);
        } else if redelivered {
            // Its connection was lost before it was acked; the fleet has not done the job twice.
            return Ok(());
        } else {
            figures.duplicates += 1;
            self.metrics.duplicate();
        }
        match &self.results {
            Some(results) => results.add(&result, first),
            None => Ok(()),
        }
    }

    fn show(&self, state: &traffic::State) {
        self.state.set(*state);
        self.metrics.show(state);
        if self.found.get().is_none() {
            return;
        }
        let elapsed = self.start.get().elapsed();
        let used = process::cpu_time().zip(self.cpu_before.get());
        self.cpu
            .set(used.map(|(now, before)| (now.saturating_sub(before), elapsed)));
        let figures = self.figures.borrow();
        let (step, load) = (
            &figures.steps[self.lasting.get()],
            &self.load.steps[self.lasting.get()],
        );
        let percentile = |q| {
            (!step.latency_us.is_empty())
                .then(|| Duration::from_micros(step.latency_us.value_at_quantile(q)))
        };
        let is_over = {
            let rates = self.rates.borrow();
            rates.judged() == self.load.steps.len()
                || self.load.is_ramp && !rates.are_held()
                || self.signals.finish.is_cancelled()
        };
        self.progress.borrow_mut().show(&Status {
            done: figures.measured().map(|step| step.answered).sum(),
            images: figures.classified(),
            // While it warms up, there is no speed overall.
            overall: Some(figures.images_per_second()).filter(|_| !step.warm_up),
            state: *state,
            latency: percentile(0.5).zip(percentile(0.99)),
            left: self
                .load
                .length()
                .filter(|_| !is_over)
                .map(|all| all.saturating_sub(elapsed))
                .filter(|left| !left.is_zero()),
            phase: if is_over {
                "waiting for answers".to_owned()
            } else if self.load.length().is_some_and(|all| elapsed > all) {
                "sending late what was due".to_owned()
            } else {
                load.to_string()
            },
        });
    }
}
