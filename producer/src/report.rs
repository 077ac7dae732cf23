//! What a flood found: JSON keeps the figures, the text is a view of them.

use crate::cli::FloodArgs;
use crate::ledger::{FailureCount, Ledger};
use anyhow::Context;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;

/// The figures of one flood.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The model.
    pub model: String,
    /// Jobs that were asked for; absent for a duration.
    pub asked: Option<u64>,
    /// Jobs handed to the broker.
    pub sent: u64,
    /// Jobs with a result, be it classes or an error.
    pub answered: u64,
    /// Answered with an error.
    pub failed: u64,
    /// Sent, but not answered within the timeout.
    pub lost: u64,
    /// Results of jobs that were answered before.
    pub duplicates: u64,
    /// Publishes that the broker refused, because the queue is full; each was tried again.
    pub refused: u64,
    /// From the first job's submission to the last answer.
    pub seconds: f64,
    /// Images classified per second, over that time; failures do not count.
    pub images_per_second: f64,
    /// From a job's submission to its result.
    pub latency_ms: Latency,
    /// Jobs unanswered at most.
    pub window: u16,
    /// Answers per worker.
    pub workers: BTreeMap<String, u64>,
    /// Failures by code.
    pub failures: BTreeMap<&'static str, FailureCount>,
}

/// Percentiles of a latency, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// 90 of 100 are faster.
    pub p90: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Report {
    /// Sums up.
    #[must_use]
    pub fn new(arguments: &FloodArgs, ledger: &Ledger) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "latencies end at an hour")]
        let milliseconds = |us: u64| us as f64 / 1_000.0;
        let quantile = |q| milliseconds(ledger.latency_us.value_at_quantile(q));
        Self {
            model: arguments.model.to_string(),
            asked: arguments.extent.jobs,
            sent: ledger.sent,
            answered: ledger.answered,
            failed: ledger.failed,
            lost: ledger.sent - ledger.answered,
            duplicates: ledger.duplicates,
            refused: ledger.refused,
            seconds: ledger.elapsed().as_secs_f64(),
            images_per_second: ledger.images_per_second(),
            latency_ms: Latency {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                max: milliseconds(ledger.latency_us.max()),
            },
            window: arguments.window,
            workers: ledger.workers.clone(),
            failures: ledger.failures.clone(),
        }
    }

    /// Every job that was asked for was answered, and none with an error.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.sent > 0
            && self.asked.is_none_or(|asked| self.sent == asked)
            && self.lost == 0
            && self.failed == 0
    }

    /// Writes the report for people to standard output, and as JSON to `json`. With `-` the JSON
    /// has standard output to itself, and people read standard error.
    pub fn write(&self, json: Option<&Path>) -> anyhow::Result<()> {
        let Some(path) = json else {
            return print(&mut std::io::stdout(), &self.to_string());
        };
        let mut text = serde_json::to_string_pretty(self).context("cannot encode the report")?;
        text.push('\n');
        if path == Path::new("-") {
            print(&mut std::io::stderr(), &self.to_string())?;
            print(&mut std::io::stdout(), &text)
        } else {
            print(&mut std::io::stdout(), &self.to_string())?;
            std::fs::write(path, text)
                .with_context(|| format!("cannot write the report to {}", path.display()))
        }
    }
}

/// Finds out before a long flood that its report cannot be written. Leaves no file behind.
pub fn check(json: &Path) -> anyhow::Result<()> {
    if json == Path::new("-") {
        return Ok(());
    }
    let existed = json.exists();
    let mut options = std::fs::OpenOptions::new();
    let opened = options.create(true).append(true).open(json);
    opened.with_context(|| {
        let path = json.display();
        format!("cannot write the report to {path}; give another --json")
    })?;
    if !existed {
        std::fs::remove_file(json).context("cannot remove the report's empty file")?;
    }
    Ok(())
}

fn print(to: &mut impl Write, text: &str) -> anyhow::Result<()> {
    to.write_all(text.as_bytes())
        .and_then(|()| to.flush())
        .context("cannot print the report")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { p50, p90, p99, max } = self.latency_ms;
        writeln!(f, "model       {}", self.model)?;
        writeln!(f, "sent        {}", self.sent)?;
        writeln!(f, "answered    {}", self.answered)?;
        writeln!(f, "failed      {}", self.failed)?;
        let lost = match self.lost {
            0 => "",
            _ => " (unanswered when we gave up; what is still queued may be done later)",
        };
        writeln!(f, "lost        {}{lost}", self.lost)?;
        writeln!(f, "duplicates  {}", self.duplicates)?;
        if self.refused > 0 {
            writeln!(
                f,
                "refused     {} (the queue was full; sent again)",
                self.refused
            )?;
        }
        writeln!(
            f,
            "images/s    {:.1} over {:.1} s",
            self.images_per_second, self.seconds
        )?;
        let window = self.window;
        if self.answered == 0 {
            writeln!(f, "latency     no answer (window {window})")?;
        } else {
            writeln!(
                f,
                "latency     p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms, max {max:.1} ms, \
                 waiting among up to {window} unanswered jobs included"
            )?;
        }
        for (worker, images) in &self.workers {
            writeln!(f, "worker      {worker}: {images} images")?;
        }
        for (code, FailureCount { count, example }) in &self.failures {
            writeln!(f, "failure     {count} x {code}, for example: {example}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_report_that_cannot_be_written_is_told_before_the_flood_and_a_good_path_stays_clean() {
        let path = std::env::temp_dir().join(format!("ncs-report-{}.json", std::process::id()));
        check(&path).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "{}").unwrap();
        check(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{}");
        let below_a_file = path.join("report.json");
        assert!(
            check(&below_a_file)
                .unwrap_err()
                .to_string()
                .contains("--json")
        );
        std::fs::remove_file(&path).unwrap();
    }
}
