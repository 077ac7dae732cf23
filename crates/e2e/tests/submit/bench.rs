//! A folder with images, a worker for them, and the batches that are submitted.

use crate::bed::{LIMIT, amqp_url, metric, runtime, unique};
use crate::client::{Client, block_on, clean_up};
use ncs_e2e::paths::{self, GOOGLENET_U8};
use ncs_e2e::poll_until;
use ncs_e2e::process::{Output, Process};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::Worker;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Jobs received and not yet settled.
const IN_HAND: &str = "ncs_worker_jobs_in_hand";
/// Jobs that the workers have answered with classes.
const CLASSIFIED: &str = "ncs_worker_jobs_total{outcome=\"classified\"}";

/// A folder for a test. Dropping it removes it, unless the test is failing.
pub(crate) struct Bench {
    dir: PathBuf,
    started: AtomicU32,
    pub(crate) url: String,
    pub(crate) model: String,
}

/// What is left of a run that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// None where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Emulated sticks and a worker on them.
pub(crate) struct Fleet {
    pub(crate) worker: Worker,
    _sticks: Sticks,
}

impl Bench {
    /// On the broker of all tests.
    pub(crate) fn new() -> Self {
        Self::at(amqp_url())
    }

    /// On a test's own broker.
    pub(crate) fn at(url: String) -> Self {
        let dir = std::env::temp_dir().join(unique("ncs-submit-test"));
        fs::create_dir(&dir).expect("a folder");
        Self {
            dir,
            started: AtomicU32::new(0),
            url,
            model: unique("batch"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.path("results.jsonl")
    }

    /// A folder with so many small photos: links to 24 different ones.
    pub(crate) fn photos(&self, count: usize) -> PathBuf {
        let folder = self.path("photos");
        fs::create_dir(&folder).expect("a folder");
        let all = fs::read_dir(runtime().small_photos_dir()).expect("photos");
        let all: Vec<PathBuf> = all.map(|entry| entry.expect("a photo").path()).collect();
        for (number, photo) in all.iter().cycle().take(count).enumerate() {
            let link = folder.join(format!("{number:06}.jpg"));
            std::os::unix::fs::symlink(photo, link).expect("a link");
        }
        folder
    }

    /// Another folder, which has a photo too.
    pub(crate) fn photos_of_another_folder(&self) -> PathBuf {
        let folder = self.path("others");
        fs::create_dir(&folder).expect("a folder");
        fs::copy(self.path("photos/000000.jpg"), folder.join("x.jpg")).expect("a photo");
        folder
    }

    /// A worker on one emulated stick that takes this long for each image.
    pub(crate) fn fleet(&self, milliseconds: &str) -> Fleet {
        let sticks = Sticks::plugged_in(1).expect("sticks");
        let sticks = sticks
            .with("STICKS_BOOT_MS", "0")
            .with("STICKS_COMPILE_MS", "0")
            .with("STICKS_LATENCY_MS", milliseconds)
            .with("STICKS_SERVICE_MS", milliseconds);
        let ir = runtime().model(GOOGLENET_U8).expect("the model");
        let options = sticks
            .worker(ir, &self.url)
            .arguments(["--model-name", &self.model]);
        Fleet {
            worker: Worker::start(&options).expect("ready"),
            _sticks: sticks,
        }
    }

    /// `ncs-producer submit` with these arguments, to the usual output.
    pub(crate) fn submit(&self, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Process {
        let output = self.output();
        let mut all: Vec<OsString> = arguments
            .iter()
            .map(|one| one.as_ref().to_owned())
            .collect();
        all.extend(["--out".into(), output.into_os_string()]);
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let logs = Output::Files(self.dir.clone());
        Process::spawn(&format!("submit-{number}"), self.command(&all), logs).expect("started")
    }

    /// The program, to be told where its output goes.
    pub(crate) fn command(&self, arguments: &[OsString]) -> Command {
        let program = paths::binary("ncs-producer").expect("built");
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NCS_") {
                command.env_remove(name);
            }
        }
        command
            .args(["submit", "--model", &self.model])
            .args(arguments)
            .env("NCS_AMQP_URL", &self.url)
            .current_dir(&self.dir);
        command
    }

    /// [`Self::submit`], to its end.
    pub(crate) fn run(&self, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Finished {
        finish(self.submit(arguments))
    }

    /// How many lines the output has.
    pub(crate) fn lines(&self) -> usize {
        let text = fs::read_to_string(self.output()).unwrap_or_default();
        text.matches('\n').count()
    }

    /// Waits until the output has so many lines.
    pub(crate) fn wait_for_lines(&self, lines: usize, process: &mut Process) {
        let reached = poll_until(LIMIT, || {
            let ended = process.try_wait().expect("its state");
            assert_eq!(ended, None, "it ended too soon{}", process.last_words());
            (self.lines() >= lines).then_some(())
        });
        assert!(
            reached.is_some(),
            "{} lines{}",
            self.lines(),
            process.last_words()
        );
    }

    /// The lines of a finished batch by their images: each once, and none missing.
    pub(crate) fn answers(&self, images: usize) -> BTreeMap<u64, Value> {
        by_image(
            &fs::read_to_string(self.output()).expect("the output"),
            images,
        )
    }

    /// Waits until the worker has nothing in hand and nothing waits for it.
    pub(crate) fn wait_until_idle(&self, worker: &Worker) {
        let mut last = None;
        let idle = poll_until(LIMIT, || {
            let now = (metric(worker, IN_HAND)?, classified(worker));
            let is_idle = now.0 < 0.5 && last == Some(now) && self.queued() == 0;
            last = Some(now);
            is_idle.then_some(())
        });
        assert!(idle.is_some(), "{last:?}{}", worker.last_words());
    }

    /// Waits until a run has so many jobs unanswered, since it has a window of that: no line and no mark
    /// comes any more.
    pub(crate) fn wait_until_sent(&self, window: usize) {
        let progress = self.path("results.jsonl.batch/progress");
        let mut last = None;
        let sent = poll_until(LIMIT, || {
            let marks = fs::read(&progress).ok()?;
            let sent = String::from_utf8_lossy(&marks).matches('\u{1}').count();
            last = Some(sent);
            (sent >= window).then_some(())
        });
        assert!(sent.is_some(), "{last:?} of {window} are sent");
    }

    /// A command of `ncs-producer submit` for [`Self::shell`].
    pub(crate) fn line(&self, arguments: &str) -> String {
        let program = paths::binary("ncs-producer").expect("built");
        format!(
            "{} submit --model {} {arguments}",
            program.display(),
            self.model
        )
    }

    /// The names in the test's folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).expect("the folder");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The queue of the batch's results.
    pub(crate) fn result_queue(&self) -> String {
        let batch = fs::read(self.path("results.jsonl.batch/batch.json")).expect("a batch");
        let batch: Value = serde_json::from_slice(&batch).expect("JSON");
        batch["result_queue"].as_str().expect("a name").to_owned()
    }

    /// Waits until a run collects results.
    pub(crate) fn wait_for_consumer(&self) {
        let queue = self.result_queue();
        let consumers = || {
            block_on(async {
                let client = Client::connect_to(&self.url, &self.model).await;
                let state = client.connection.queue_state(&queue).await;
                client.close().await;
                state.expect("the queue is there").consumers
            })
        };
        let there = poll_until(LIMIT, || (consumers() > 0).then_some(()));
        assert!(there.is_some(), "nobody consumes {queue}");
    }

    /// Runs a command as a person would.
    pub(crate) fn shell(&self, command: &str) -> Finished {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        shell.env("NCS_AMQP_URL", &self.url).current_dir(&self.dir);
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let logs = Output::Files(self.dir.clone());
        finish(Process::spawn(&format!("shell-{number}"), shell, logs).expect("started"))
    }

    pub(crate) fn queued(&self) -> u32 {
        block_on(async {
            let client = Client::connect_to(&self.url, &self.model).await;
            let waiting = client.waiting().await;
            client.close().await;
            waiting
        })
    }

    /// Ends the worker and deletes the model's queues.
    pub(crate) fn end(self, fleet: Fleet) {
        crate::bed::drain(fleet.worker);
        clean_up(&self.model);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Waits until a run has written these words to its standard error.
pub(crate) fn wait_until_it_says(words: &str, process: &Process) {
    let said = poll_until(LIMIT, || process.stderr().contains(words).then_some(()));
    assert!(said.is_some(), "not '{words}'{}", process.last_words());
}

/// Waits for the end of a run.
pub(crate) fn finish(mut process: Process) -> Finished {
    let status = process.wait_with_limit(LIMIT).expect("it ends");
    Finished {
        code: status.code(),
        stdout: process.stdout(),
        stderr: process.stderr(),
    }
}

/// Lines of JSON by their images: each once, and none missing.
pub(crate) fn by_image(text: &str, images: usize) -> BTreeMap<u64, Value> {
    assert!(text.ends_with('\n'), "half a line at the end of {text}");
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let image = line["image"].as_u64().expect("a number");
        let other = found.insert(image, line);
        assert_eq!(other, None, "image {image} has two lines");
    }
    let all: Vec<u64> = (0..images as u64).collect();
    assert!(found.keys().copied().eq(all), "{:?}", found.keys());
    found
}

/// Jobs that this worker has classified.
pub(crate) fn classified(worker: &Worker) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    let count = metric(worker, CLASSIFIED).unwrap_or_default() as u64;
    count
}

/// The code of a line's error, if it has one.
pub(crate) fn error_of(line: &Value) -> Option<&str> {
    line["outcome"]["error"]["code"].as_str()
}

/// A name of a file in a line.
pub(crate) fn path_of(line: &Value) -> &Path {
    Path::new(line["path"].as_str().expect("a path"))
}
