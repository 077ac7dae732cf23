//! One entry of the report: how it stands, and the remedy.

use crate::network::announce;
use std::fmt;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// As it should be.
    Ok,
    /// A worker runs, but not as well as it could, or not as somebody may expect.
    Warning,
    /// A worker does not run.
    Problem,
}

/// What was looked at, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) grade: Grade,
    text: String,
    remedies: Vec<String>,
}

impl Finding {
    pub(super) fn new(grade: Grade, text: impl Into<String>) -> Self {
        Self {
            grade,
            text: text.into(),
            remedies: Vec::new(),
        }
    }

    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self::new(Grade::Ok, text)
    }

    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self::new(Grade::Warning, text)
    }

    pub(super) fn problem(text: impl Into<String>) -> Self {
        Self::new(Grade::Problem, text)
    }

    /// With a remedy. Lines after its first are shown below it, as they are.
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedies.push(remedy.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Ok => "ok",
            Grade::Warning => "warning",
            Grade::Problem => "problem",
        };
        writeln!(f, "{grade:<9}{}", self.text)?;
        for remedy in &self.remedies {
            for (number, line) in remedy.lines().enumerate() {
                let mark = if number == 0 { '→' } else { ' ' };
                writeln!(f, "{:<9}{mark} {line}", "")?;
            }
        }
        Ok(())
    }
}

/// What has been told so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: usize,
    warnings: usize,
}

impl Report {
    /// Prints a finding at once: the next check may take minutes, or never come back.
    pub(super) fn tell(&mut self, finding: &Finding) {
        match finding.grade {
            Grade::Ok => {}
            Grade::Warning => self.warnings += 1,
            Grade::Problem => self.problems += 1,
        }
        announce(&finding.to_string());
    }

    pub(super) fn tell_all(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.tell(&finding);
        }
    }

    /// Prints the last line, and chooses the exit code.
    pub(super) fn close(&self) -> u8 {
        announce(&format!("{}\n", self.summary()));
        u8::from(self.problems > 0)
    }

    #[cfg(test)]
    pub(super) fn problems(&self) -> usize {
        self.problems
    }

    /// `2 problems, 1 warning`
    fn summary(&self) -> String {
        let count = |count, noun| match count {
            0 => format!("no {noun}s"),
            1 => format!("1 {noun}"),
            _ => format!("{count} {noun}s"),
        };
        let problems = count(self.problems, "problem");
        format!("{problems}, {}", count(self.warnings, "warning"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_stand_below_the_text_and_aligned_with_it() {
        let finding = Finding::problem("no permission")
            .remedy("write these lines:\n  a\n  b")
            .remedy("log in again");
        let expected = "problem  no permission\n         → write these lines:\n             a\n             \
                        b\n         → log in again\n";
        assert_eq!(finding.to_string(), expected);
    }

    #[test]
    fn the_summary_counts_what_is_not_ok() {
        let mut report = Report::default();
        assert_eq!(report.summary(), "no problems, no warnings");
        report.tell_all([
            Finding::ok("a"),
            Finding::problem("b"),
            Finding::problem("c"),
            Finding::warning("d"),
        ]);
        assert_eq!(report.summary(), "2 problems, 1 warning");
    }
}
