//! Judging: what the fleet promises, held against what it did.

use std::collections::HashMap;

use super::answers::{Answer, Answers};
use super::fleet::Remains;

/// How a flood ends that was interrupted, as a chaos does with its own.
const INTERRUPTED: i32 = 130;

/// What must be true of every job, and is not.
pub(super) fn problems(answers: &Answers, remains: &Remains) -> Vec<String> {
    let mut problems = of_answers(answers);
    problems.extend(of_the_flood(answers, remains));
    let left = remains.left.iter();
    problems
        .extend(left.map(|(queue, messages)| format!("{messages} messages are left in {queue}")));
    for (index, workers) in remains.workers.iter().enumerate() {
        let number = index + 1;
        if !workers.status.success() {
            problems.push(format!("worker {number} did not drain, {}", workers.status));
        }
        let unasked = workers.starts.saturating_sub(1 + workers.killed);
        if unasked > 0 {
            problems.push(format!("worker {number} ended by itself, {unasked} times"));
        }
        if workers.log.contains("panicked") {
            problems.push(format!("worker {number} panicked"));
        }
    }
    problems
}

/// Every job of the flood's own count was answered, and the file has it.
fn of_the_flood(answers: &Answers, remains: &Remains) -> Vec<String> {
    let mut problems = Vec::new();
    let flood = &remains.flood;
    let Some(report) = &flood.report else {
        return vec![format!(
            "the flood ended without a report, {}: {}",
            flood.status, flood.stderr
        )];
    };
    let figure = |name: &str| report.get(name).and_then(serde_json::Value::as_u64);
    let first = answers
        .all
        .iter()
        .filter(|answer| !answer.duplicate)
        .count() as u64;
    let sent = figure("sent");
    if sent != Some(first) {
        let sent = sent.map_or("?".to_owned(), |sent| sent.to_string());
        problems.push(format!("of {sent} jobs {first} were answered"));
    }
    for name in ["failed", "lost"] {
        let jobs = figure(name);
        if jobs != Some(0) {
            problems.push(format!("the flood counts {name}: {jobs:?}"));
        }
    }
    if flood.status.code() != Some(INTERRUPTED) {
        let said = flood.stderr.lines().last().unwrap_or_default();
        problems.push(format!("the flood failed, {}: {said}", flood.status));
    }
    problems
}

/// Classes, and always the same: for each job, and for each image, since the emulated sticks' answers
/// follow from the pixels.
fn of_answers(answers: &Answers) -> Vec<String> {
    let mut problems = Vec::new();
    let shown = |answer: &Answer| &answers.outcomes[answer.outcome];
    let (mut jobs, mut images) = (HashMap::new(), HashMap::new());
    let (mut errors, mut unsteady_jobs, mut unsteady_images, mut unknown) = (
        Examples::default(),
        Examples::default(),
        Examples::default(),
        Examples::default(),
    );
    for answer in &answers.all {
        let outcome = shown(answer);
        if !outcome.starts_with("{\"classes\":[{") {
            errors.add(|| format!("job {}: {outcome}", answer.job));
        }
        if answer.duplicate && !jobs.contains_key(answer.job.as_str()) {
            unknown.add(|| answer.job.clone());
        }
        let first = *jobs.entry(answer.job.as_str()).or_insert(answer.outcome);
        if first != answer.outcome {
            unsteady_jobs.add(|| format!("job {}: {outcome}", answer.job));
        }
        if let Some(image) = answer.image {
            let first = *images.entry(image).or_insert(answer.outcome);
            if first != answer.outcome {
                unsteady_images.add(|| format!("image {image} in job {}: {outcome}", answer.job));
            }
        }
    }
    errors.tell("answers are errors", &mut problems);
    unsteady_jobs.tell("duplicates differ from the first answer", &mut problems);
    unsteady_images.tell(
        "answers differ from others to the same image",
        &mut problems,
    );
    unknown.tell("answers are to jobs that nobody sent", &mut problems);
    problems
}

/// How many there are of a kind, and the first of them.
#[derive(Debug, Default)]
struct Examples {
    count: u64,
    first: Option<String>,
}

impl Examples {
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(example);
    }

    fn tell(self, what: &str, problems: &mut Vec<String>) {
        if let Some(first) = self.first {
            problems.push(format!("{} {what}, for example {first}", self.count));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use serde_json::json;

    use super::*;
    use crate::chaos::host::WorkersEnd;
    use crate::producer::Finished;

    /// Two images in turn, each answered with a class of its own; job 1 twice.
    fn answers() -> Answers {
        let answer = |job: &str, image: Option<u64>, outcome| Answer {
            job: job.to_owned(),
            image,
            duplicate: image.is_none(),
            worker: 1,
            attempt: 1,
            at_us: 0,
            outcome,
        };
        Answers {
            all: vec![
                answer("1", Some(0), 0),
                answer("2", Some(1), 1),
                answer("1", None, 0),
                answer("3", Some(0), 0),
            ],
            outcomes: vec![
                json!({"classes": [{"index": 0}]}).to_string(),
                json!({"classes": [{"index": 1}]}).to_string(),
                json!({"error": {"code": "delivery_limit"}}).to_string(),
            ],
        }
    }

    fn remains() -> Remains {
        let flood = Finished {
            status: ExitStatus::from_raw(INTERRUPTED << 8),
            stdout: String::new(),
            stderr: String::new(),
            report: Some(json!({"sent": 3, "failed": 0, "lost": 0})),
        };
        let workers = WorkersEnd {
            status: ExitStatus::from_raw(0),
            starts: 2,
            killed: 1,
            set_aside: 0,
            log: String::new(),
        };
        Remains {
            broker: None,
            flood,
            left: Vec::new(),
            workers: vec![workers],
        }
    }

    #[test]
    fn jobs_that_were_all_answered_the_same_each_time_are_no_problem() {
        assert_eq!(problems(&answers(), &remains()), Vec::<String>::new());
    }

    #[test]
    fn an_error_and_an_answer_that_differs_are_problems() {
        let mut answers = answers();
        answers.all[1].outcome = 2;
        let told = problems(&answers, &remains());
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("job 2") && told[0].contains("delivery_limit"),
            "{told:?}"
        );

        answers = self::answers();
        answers.all[2].outcome = 1;
        let told = problems(&answers, &remains());
        assert!(told[0].starts_with("1 duplicates differ"), "{told:?}");

        answers = self::answers();
        answers.all[3].outcome = 1;
        let told = problems(&answers, &remains());
        assert!(told[0].starts_with("1 answers differ"), "{told:?}");
    }

    #[test]
    fn a_job_that_was_sent_and_not_answered_is_a_problem() {
        let mut remains = remains();
        remains.flood.report = Some(json!({"sent": 4, "failed": 0, "lost": 1}));
        assert_eq!(
            problems(&answers(), &remains),
            [
                "of 4 jobs 3 were answered",
                "the flood counts lost: Some(1)"
            ]
        );
        remains.flood.report = None;
        assert!(problems(&answers(), &remains)[0].starts_with("the flood ended without"));
    }

    #[test]
    fn what_is_left_in_a_queue_and_a_worker_that_ended_by_itself_are_problems() {
        let mut remains = remains();
        remains.left.push(("ncs.dead".to_owned(), 2));
        remains.workers[0].starts = 4;
        remains.workers[0].log = "thread 'main' panicked at".to_owned();
        assert_eq!(
            problems(&answers(), &remains),
            [
                "2 messages are left in ncs.dead",
                "worker 1 ended by itself, 2 times",
                "worker 1 panicked"
            ]
        );
    }
}
