//! The report as people read it.

use super::{COMPLETE, Latency, Report, StepReport};
use crate::flood::figures::FailureCount;
use crate::flood::histogram::Bars;
use crate::flood::load::Rounded;
use std::fmt;

/// A job that was sent so long after it was due was not sent on time.
const LATE_MS: f64 = 100.0;
/// A window that was so long not filled for want of confirms is not what limited.
const HELD_BACK: f64 = 0.1;
/// A producer that takes so much of a core is near its own limit: one thread moves the messages.
const BUSY: f64 = 0.9;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts(f)?;
        self.speed(f)?;
        write!(f, "{}", Bars(&self.latency_us))?;
        if self.steps.len() > 1 {
            self.table(f)?;
        }
        if self.is_ramp {
            self.ramp(f)?;
        }
        for (host, answers) in &self.hosts {
            writeln!(f, "host        {host}: {answers} answers")?;
        }
        for (worker, answers) in &self.workers {
            writeln!(f, "worker      {worker}: {answers} answers")?;
        }
        for (code, FailureCount { count, example }) in &self.failures {
            writeln!(f, "failure     {count} x {code}, for example: {example}")?;
        }
        if let Some(cpu) = self.cpu {
            let busy = if cpu.cores > BUSY {
                ": it measures itself; flood from a second host too"
            } else {
                ""
            };
            writeln!(
                f,
                "producer    {:.1} s of CPU, {:.0} % of one core{busy}",
                cpu.seconds,
                cpu.cores * 100.0
            )?;
        }
        if self.ended != COMPLETE {
            writeln!(f, "ended       {}", self.ended)?;
        }
        for missed in &self.missed {
            writeln!(f, "missed      {missed}")?;
        }
        Ok(())
    }
}

impl Report {
    fn counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model       {}", self.model)?;
        match self.warm_up_jobs {
            0 => writeln!(f, "sent        {}", self.sent)?,
            jobs => writeln!(f, "sent        {} ({jobs} of them to warm up)", self.sent)?,
        }
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
        Ok(())
    }

    fn speed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "images/s    {:.1} over {:.1} s",
            self.images_per_second, self.seconds
        )?;
        let is_open = self.due_per_second().is_some();
        if let Some(due) = self.due_per_second().filter(|_| !self.is_ramp) {
            write!(f, "due         {}/s", Rounded(due))?;
            match &self.broke {
                Some(broke) => writeln!(f, "; the fleet did not keep up: {broke}")?,
                None if self.is_judged => writeln!(f)?,
                None => writeln!(f, "; not judged: the flood ended before its time")?,
            }
        }
        if self.held_by_confirms > HELD_BACK {
            writeln!(
                f,
                "held back   {:.0} % of the time: the window had room, and the broker had not confirmed earlier \
                 jobs; the fleet may be faster, give a larger --window",
                self.held_by_confirms * 100.0
            )?;
        }
        if is_open && self.latest_ms > LATE_MS {
            writeln!(
                f,
                "late        up to {:.0} ms: jobs were sent after they were due, and their latency counts \
                 from then",
                self.latest_ms
            )?;
        }
        let window = match self.window {
            0 => String::new(),
            _ if is_open => String::new(),
            window => format!(", waiting among up to {window} unanswered jobs included"),
        };
        if self.answered == 0 {
            return writeln!(f, "latency     no answer");
        }
        let Latency { p50, p90, p99, max } = self.latency_ms;
        writeln!(
            f,
            "latency     p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms, max {max:.1} ms{window}"
        )
    }

    /// The rate of the last step.
    fn due_per_second(&self) -> Option<f64> {
        self.steps.last()?.jobs_due_per_second
    }

    fn ramp(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.highest_rate.map(Rounded) {
            Some(rate) => writeln!(
                f,
                "held        {rate}/s is the highest rate that the fleet held"
            )?,
            None if self.broke.is_none() => {}
            None => writeln!(f, "held        none of the rates; begin lower")?,
        }
        match &self.broke {
            Some(broke) => writeln!(f, "limit       {broke}"),
            None if self.ended != COMPLETE => writeln!(
                f,
                "limit       not found: the flood ended before the ramp did"
            ),
            None => writeln!(
                f,
                "limit       not found: it held all of them; go on higher"
            ),
        }
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "step        {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "due/s", "images/s", "p50 ms", "p99 ms", "max ms", "unanswered"
        )?;
        for step in &self.steps {
            let latency = step.latency_ms;
            let due = step
                .jobs_due_per_second
                .map_or("-".to_owned(), |due| Rounded(due).to_string());
            let unanswered = step
                .unanswered_at_end
                .map_or("-".to_owned(), |n| n.to_string());
            writeln!(
                f,
                "{:<11} {due:>9} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {unanswered:>10}",
                if step.warm_up { "  warm-up" } else { "" },
                step.images_per_second,
                latency.p50,
                latency.p99,
                latency.max,
            )?;
        }
        Ok(())
    }
}

impl StepReport {
    /// Its row in a table of CSV, under [`StepReport::HEAD`].
    pub(super) fn row(&self) -> [String; 10] {
        let number = |number: Option<f64>| number.map_or(String::new(), |n| n.to_string());
        let ms = |ms: f64| format!("{ms:.3}");
        [
            self.warm_up.to_string(),
            number(self.jobs_due_per_second),
            format!("{:.3}", self.seconds),
            self.sent.to_string(),
            format!("{:.3}", self.images_per_second),
            ms(self.latency_ms.p50),
            ms(self.latency_ms.p90),
            ms(self.latency_ms.p99),
            ms(self.latency_ms.max),
            self.unanswered_at_end
                .map_or(String::new(), |n| n.to_string()),
        ]
    }

    /// What its columns are.
    pub(super) const HEAD: [&str; 10] = [
        "warm_up",
        "jobs_due_per_second",
        "seconds",
        "sent",
        "images_per_second",
        "p50_ms",
        "p90_ms",
        "p99_ms",
        "max_ms",
        "unanswered_at_end",
    ];
}
