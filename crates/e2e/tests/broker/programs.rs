//! A worker on emulated sticks, which starts fast, and a producer for the same model.

use crate::bed::{LIMIT, runtime, unique};
use ncs_e2e::paths::GOOGLENET_U8;
use ncs_e2e::poll_until;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::{Worker, WorkerOptions};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

pub(crate) struct Programs {
    sticks: Sticks,
    pub(crate) model: String,
    /// Further arguments of both.
    arguments: Vec<OsString>,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    /// Its last line on standard error.
    pub(crate) sentence: String,
}

impl Programs {
    pub(crate) fn new() -> Self {
        Self {
            sticks: Sticks::plugged_in(1).expect("a stick"),
            model: unique("broker"),
            arguments: Vec::new(),
        }
    }

    /// Both with these further arguments.
    pub(crate) fn with<A: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn worker(&self, url: &str) -> WorkerOptions {
        let ir = runtime().model(GOOGLENET_U8).expect("the model");
        let options = self.sticks.worker(ir, url);
        options
            .arguments(["--model-name", &self.model])
            .arguments(self.arguments.clone())
    }

    pub(crate) fn flood(&self, url: &str, jobs: u64) -> FloodOptions {
        let photos = runtime().small_photos_dir();
        let options = FloodOptions::new(&self.model, url).images(&photos, jobs);
        options.arguments(self.arguments.clone())
    }

    /// Holds both to end by themselves with this code, and with one sentence that has each of these
    /// words in it, and no password.
    pub(crate) fn both_end(&self, url: &str, code: i32, words: &[&str]) {
        for end in [
            end_of_worker(&self.worker(url)),
            end_of_producer(&self.flood(url, 1)),
        ] {
            assert_eq!(end.code, Some(code), "{end:?}");
            for word in words {
                assert!(end.sentence.contains(word), "{word} is not in {end:?}");
            }
            assert!(!end.sentence.contains("s3cret"), "{end:?}");
        }
    }
}

impl Programs {
    /// Holds the worker to keep trying, with one line that has each of these words in it, and the
    /// producer to end with such a sentence: it is started by a person, who can start it again.
    pub(crate) fn worker_waits_and_producer_ends(&self, url: &str, words: &[&str]) {
        let end = end_of_producer(&self.flood(url, 1));
        assert_eq!(end.code, Some(1), "{end:?}");
        let mut worker = Worker::spawn(&self.worker(url)).expect("started");
        let waiting = || worker.stderr().matches(WAITING).count();
        poll_until(LIMIT, || (waiting() > 0).then_some(())).expect("it says that it waits");
        // Long enough for several more tries.
        let _ = poll_until(Duration::from_secs(3), || None::<()>);
        assert_eq!(waiting(), 1, "{}", worker.stderr());
        let said = worker.stderr();
        let line = said
            .lines()
            .find(|line| line.contains(WAITING))
            .expect("it is there");
        println!("{line}");
        for word in words {
            assert!(end.sentence.contains(word), "{word} is not in {end:?}");
            assert!(line.contains(word), "{word} is not in {line}");
        }
        assert!(!said.contains("s3cret"), "{said}");
        let status = worker.drain(LIMIT).expect("it ends");
        assert!(status.success(), "{status}{}", worker.last_words());
    }
}

/// The argument that names a CA's certificate.
pub(crate) fn ca(file: &Path) -> Vec<OsString> {
    vec!["--tls-ca".into(), file.into()]
}

/// What a worker says, once, while it has no broker.
const WAITING: &str = "trying until it is back";

/// Starts a worker that will end by itself.
pub(crate) fn end_of_worker(options: &WorkerOptions) -> End {
    let mut worker = Worker::spawn(options).expect("started");
    let status = worker.wait_with_limit(LIMIT).expect("ended");
    End::of("ncs-worker", status.code(), &worker.stderr())
}

/// Starts a producer that will end by itself.
pub(crate) fn end_of_producer(options: &FloodOptions) -> End {
    let finished = Producer::flood(options).expect("started").finish(LIMIT);
    let finished = finished.expect("ended");
    End::of("ncs-producer", finished.status.code(), &finished.stderr)
}

impl End {
    fn of(program: &str, code: Option<i32>, stderr: &str) -> Self {
        let sentence = stderr.lines().last().unwrap_or_default().to_owned();
        println!("{sentence}");
        assert!(
            sentence.starts_with(&format!("{program}: ")),
            "one sentence ends it: {stderr}"
        );
        Self { code, sentence }
    }
}
