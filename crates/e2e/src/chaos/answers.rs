//! What was answered: the flood's `--results`, read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Every result, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) all: Vec<Answer>,
    /// Each outcome once, as JSON: [`Answer::outcome`] counts from 0.
    pub(super) outcomes: Vec<String>,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) job: String,
    /// Its number in the flood; none for a duplicate.
    pub(super) image: Option<u64>,
    pub(super) duplicate: bool,
    /// The process id of the worker.
    pub(super) worker: u32,
    /// Which delivery of the job it answers, from 1.
    pub(super) attempt: u64,
    /// When it arrived, in microseconds since 1970.
    pub(super) at_us: u64,
    pub(super) outcome: usize,
}

impl Answers {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let opened = File::open(file);
        let opened = opened.with_context(|| format!("cannot read {}", file.display()))?;
        Self::from_lines(BufReader::new(opened).lines())
            .with_context(|| format!("the results in {}", file.display()))
    }

    fn from_lines(lines: impl Iterator<Item = std::io::Result<String>>) -> Result<Self> {
        let mut answers = Self::default();
        let mut known = HashMap::new();
        for line in lines {
            let line = line?;
            let json: Value = serde_json::from_str(&line)
                .with_context(|| format!("this line is no JSON: {line:?}"))?;
            let outcome = json
                .get("outcome")
                .map(Value::to_string)
                .unwrap_or_default();
            let number = *known.entry(outcome).or_insert_with_key(|outcome| {
                answers.outcomes.push(outcome.clone());
                answers.outcomes.len() - 1
            });
            let answer = Answer::from_json(&json, number);
            answers
                .all
                .push(answer.with_context(|| format!("this line is no result: {line}"))?);
        }
        Ok(answers)
    }
}

impl Answer {
    fn from_json(json: &Value, outcome: usize) -> Option<Self> {
        let number = |name: &str| json.get(name)?.as_u64();
        // As `<host>/<process id>-<random digits>`.
        let worker = json.get("worker")?.as_str()?.rsplit('/').next()?;
        Some(Self {
            job: json.get("job")?.as_str()?.to_owned(),
            image: number("image"),
            duplicate: json.get("duplicate")?.as_bool()?,
            worker: worker.split('-').next()?.parse().ok()?,
            attempt: number("attempt")?,
            at_us: number("at_us")?,
            outcome,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `ncs-producer` writes them.
    const LINES: &str = r#"{"job":"a","image":0,"duplicate":false,"worker":"pi/12-0a1b","host":"pi","attempt":1,"at_us":5,"latency_ms":1.5,"outcome":{"classes":[{"index":1,"label":null,"score":0.5}]}}
{"job":"a","duplicate":true,"worker":"pi/13-0a1c","host":"pi","attempt":2,"at_us":7,"outcome":{"classes":[{"index":1,"label":null,"score":0.5}]}}
{"job":"b","image":1,"duplicate":false,"worker":"pi/12-0a1b","host":"pi","attempt":1,"at_us":9,"latency_ms":1.5,"outcome":{"error":{"code":"internal","message":"x"}}}"#;

    #[test]
    fn results_are_read_and_equal_outcomes_are_recognised() {
        let answers = Answers::from_lines(LINES.lines().map(|line| Ok(line.to_owned())));
        let answers = answers.expect("results");
        assert_eq!(answers.outcomes.len(), 2);
        let second = Answer {
            job: "a".to_owned(),
            image: None,
            duplicate: true,
            worker: 13,
            attempt: 2,
            at_us: 7,
            outcome: 0,
        };
        assert_eq!(answers.all[1], second);
        assert_eq!((answers.all[2].image, answers.all[2].outcome), (Some(1), 1));
    }

    #[test]
    fn a_line_that_is_no_result_is_shown() {
        for line in ["{\"job\":\"a\"", "{\"job\":\"a\"}"] {
            let error = Answers::from_lines(std::iter::once(Ok(line.to_owned())));
            assert!(format!("{:#}", error.expect_err("refused")).contains("job"));
        }
    }
}
