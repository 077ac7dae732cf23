//! What came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::answers::Answers;
use super::fault::Kind;
use super::fleet::Remains;
use super::plan::Plan;
use super::recovery::Recovery;
use super::strike::Record;
use super::{ChaosOptions, verdict};

/// The figures and the judgement of one run.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was asked for.
    pub options: ChaosOptions,
    /// The broker's version, for example `3.10.8`, if its log says.
    pub broker: Option<String>,
    /// Between each worker and the broker.
    pub heartbeat: Duration,
    /// From the first fault's calm to the last fault's end.
    pub took: Duration,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<Kind, u64>,
    /// Jobs that were answered.
    pub answered: u64,
    /// Results of jobs that were handed out before.
    pub redelivered: u64,
    /// Results of jobs that were answered before.
    pub duplicates: u64,
    /// Jobs that workers have set aside to try them alone, by their own count; a worker's is read
    /// before it is killed.
    pub set_aside: u64,
    /// Starts of workers, the first ones included.
    pub worker_starts: u64,
    /// How long it took until answers came again.
    pub recovery: Recovery,
    /// What should not be, each in a sentence. None: the fleet has kept its promises.
    pub problems: Vec<String>,
    /// Where the logs and results are kept, if there are problems or it was asked for.
    pub kept: Option<PathBuf>,
}

impl Report {
    pub(super) fn new(
        options: &ChaosOptions,
        plan: &Plan,
        took: Duration,
        records: &[Record],
        answers: &Answers,
        remains: &Remains,
    ) -> Self {
        let mut faults = BTreeMap::new();
        for record in records {
            *faults.entry(record.fault.kind).or_default() += 1;
        }
        let count = |wanted: fn(&super::answers::Answer) -> bool| {
            answers.all.iter().filter(|answer| wanted(answer)).count() as u64
        };
        Self {
            options: options.clone(),
            broker: remains.broker.clone(),
            heartbeat: plan.heartbeat,
            took,
            faults,
            answered: count(|answer| !answer.duplicate),
            redelivered: count(|answer| answer.attempt > 1),
            duplicates: count(|answer| answer.duplicate),
            set_aside: remains.workers.iter().map(|end| end.set_aside).sum(),
            worker_starts: remains
                .workers
                .iter()
                .map(|end| u64::from(end.starts))
                .sum(),
            recovery: Recovery::measure(records, answers, 2 * plan.heartbeat),
            problems: verdict::problems(answers, remains),
            kept: None,
        }
    }

    /// The fleet has kept its promises.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broker = self.broker.as_deref().unwrap_or("of an unknown version");
        let took = self.took.as_secs_f64();
        writeln!(f, "faults, over {took:.0} s, on RabbitMQ {broker}")?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {kind:<20}{count:>6}")?;
        }
        writeln!(f, "jobs answered         {:>6}", self.answered)?;
        writeln!(f, "  redelivered         {:>6}", self.redelivered)?;
        writeln!(f, "  answered again      {:>6}", self.duplicates)?;
        writeln!(f, "  tried alone         {:>6}", self.set_aside)?;
        writeln!(f, "worker starts         {:>6}", self.worker_starts)?;
        let heartbeat = self.heartbeat.as_secs();
        writeln!(f, "recovery")?;
        let Recovery {
            broker_back,
            worker_killed,
            host_silent,
        } = &self.recovery;
        writeln!(
            f,
            "  broker back, to the first answer             {broker_back}"
        )?;
        writeln!(
            f,
            "  worker killed, to its jobs elsewhere         {worker_killed}"
        )?;
        writeln!(
            f,
            "  host silent, to its jobs elsewhere           {host_silent} (heartbeat {heartbeat} s)"
        )?;
        match self.problems.len() {
            0 => writeln!(f, "no job was lost, and each answer was the same each time")?,
            count => writeln!(f, "{count} PROBLEMS")?,
        }
        for problem in &self.problems {
            writeln!(f, "  {problem}")?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "logs and results: {}", kept.display())?;
        }
        if !self.is_good() {
            writeln!(f, "to run exactly this again: {}", self.options.command())?;
        }
        Ok(())
    }
}
