//! `--results`: every result as a line of JSON, in the order of arrival.

use anyhow::{Context, bail};
use ncs_protocol::{JobResult, Outcome};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

const GONE: &str = "the results can no longer be written";

/// Lines that may wait for the disk; then collecting waits too.
const WAITING: usize = 256;

/// The file, and the thread that writes it: a disk must not hold up the messages.
pub(super) struct Results {
    lines: mpsc::Sender<Vec<u8>>,
    thread: JoinHandle<anyhow::Result<()>>,
}

/// The first answer of a job, as the books have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    /// Which image the job carried, from 0 in the order of sending.
    pub(super) image: usize,
    /// From its submission.
    pub(super) latency: Duration,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    job: &'a str,
    /// Absent for a duplicate: the books forget what is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<usize>,
    duplicate: bool,
    worker: &'a str,
    host: &'a str,
    attempt: u32,
    /// When it arrived, in microseconds since 1970.
    at_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    outcome: &'a Outcome,
}

impl Results {
    /// Begins the file anew.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(
            path != Path::new("-"),
            "--results wants a file: standard output is the report's"
        );
        let shown = path.display().to_string();
        let file = File::create(path).with_context(|| {
            format!("cannot write the results to {shown}; give another --results")
        })?;
        let (lines, waiting) = mpsc::channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("results".to_owned())
            .spawn(move || {
                write_lines(BufWriter::new(file), waiting)
                    .with_context(|| format!("cannot write the results to {shown}"))
            })
            .context("cannot start a thread")?;
        Ok(Self { lines, thread })
    }

    /// Waits until there is room for a line. An error says that the file is beyond writing; why,
    /// [`Self::finish`] tells.
    pub(super) async fn room(&self) -> anyhow::Result<()> {
        self.lines.reserve().await.map(drop).context(GONE)
    }

    /// Adds a result that has just come, for which there is [`room`](Self::room); `first` unless its job
    /// was answered before.
    pub(super) fn add(&self, result: &JobResult, first: Option<First>) -> anyhow::Result<()> {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut line = serde_json::to_vec(&Line {
            job: &result.job_id,
            image: first.map(|first| first.image),
            duplicate: first.is_none(),
            worker: &result.worker,
            host: &result.host,
            attempt: result.attempt,
            at_us: u64::try_from(at.as_micros()).unwrap_or(u64::MAX),
            latency_ms: first.map(|first| super::report::rounded_ms(first.latency)),
            outcome: &result.outcome,
        })
        .context("cannot encode a result")?;
        line.push(b'\n');
        self.lines.try_send(line).ok().context(GONE)
    }

    /// Waits until everything is in the file.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        drop(self.lines);
        match self.thread.join() {
            Ok(written) => written,
            Err(_panic) => bail!("the thread that writes the results panicked"),
        }
    }
}

/// Writes until there is nothing more to come. Whenever nothing waits, what was written can be read.
fn write_lines(mut file: impl Write, mut waiting: mpsc::Receiver<Vec<u8>>) -> std::io::Result<()> {
    while let Some(line) = waiting.blocking_recv() {
        file.write_all(&line)?;
        if waiting.is_empty() {
            file.flush()?;
        }
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ncs_protocol::{Class, StageTimes};

    fn result() -> JobResult {
        let class = Class {
            index: 7,
            label: None,
            score: 0.5,
        };
        JobResult {
            job_id: "a".into(),
            worker: "host/1-0".into(),
            host: "host".into(),
            model: "m".into(),
            outcome: Outcome::Classes(vec![class]),
            attempt: 2,
            times: StageTimes::default(),
        }
    }

    #[tokio::test]
    async fn each_result_is_a_line_and_says_whether_it_was_the_first() {
        let path = std::env::temp_dir().join(format!("ncs-results-{}", std::process::id()));
        let results = Results::create(&path).unwrap();
        let first = First {
            image: 3,
            latency: Duration::from_micros(1_500),
        };
        results.add(&result(), Some(first)).unwrap();
        results.add(&result(), None).unwrap();
        results.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&lines[0]["image"], &lines[0]["latency_ms"]),
            (&3.into(), &1.5.into())
        );
        assert_eq!(
            (&lines[0]["duplicate"], &lines[1]["duplicate"]),
            (&false.into(), &true.into())
        );
        assert_eq!(lines[1].get("image"), None);
        assert_eq!(lines[1]["outcome"]["classes"][0]["index"], 7);
    }

    #[tokio::test]
    async fn a_full_disk_ends_the_flood_with_the_reason() {
        let results = Results::create(Path::new("/dev/full")).unwrap();
        while results.room().await.is_ok() {
            let _ = results.add(&result(), None);
        }
        let error = format!("{:#}", results.finish().unwrap_err());
        assert!(
            error.starts_with("cannot write the results to /dev/full: "),
            "{error}"
        );
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_with_the_flag() {
        let error = Results::create(Path::new("/no/such/folder/r"))
            .err()
            .unwrap();
        assert!(error.to_string().contains("--results"), "{error}");
    }
}
