//! One target, fuzzed for a while.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use ncs_e2e::paths::{self, Runtime};

use super::Target;
use super::log::{self, Figures};

/// An input that takes longer is a hang.
const TIMEOUT_S: u64 = 10;

/// How far the process may grow, in MiB, beyond what it takes before its first input. Most of that
/// is not the inputs' doing: AddressSanitizer's shadow and red zones, what it keeps of freed memory
/// ([`QUARANTINE_MIB`]), and libFuzzer's own corpus.
const GROWTH_MIB: u64 = 512;

/// The most that may be asked for at once, in MiB. A message is at most 16 MiB, and the target's
/// limits on images leave 17 MiB to a decoder; whatever asks for more believes a header.
const ALLOCATION_MIB: u64 = 64;

/// Freed memory that AddressSanitizer keeps from being used again, in MiB. Its default of 256 would
/// be half of what the process may grow.
const QUARANTINE_MIB: u64 = 32;

pub(super) struct Session {
    target: Target,
    binary: PathBuf,
    /// What this repository has: seeds, and earlier findings.
    seeds: Vec<PathBuf>,
    dictionary: Option<PathBuf>,
    /// Inputs that reached something new, kept for the next time.
    corpus: PathBuf,
    findings: PathBuf,
    log: PathBuf,
}

/// What came of it.
pub(super) struct Report {
    target: Target,
    figures: Figures,
    baseline_mib: u64,
    pub(super) finding: Option<Finding>,
}

/// What made the target fail.
pub(super) struct Finding {
    reason: String,
    /// The input, where libFuzzer could still write it.
    input: Option<PathBuf>,
    binary: PathBuf,
    log: PathBuf,
}

impl Session {
    pub(super) fn new(target: Target, binaries: &Path, runtime: &Runtime) -> Result<Self> {
        let name = target.name();
        let committed = paths::repository_root().join("fuzz");
        let existing = |path: PathBuf| path.exists().then_some(path);
        let seeds = ["corpus", "regressions"]
            .into_iter()
            .filter_map(|kind| existing(committed.join(kind).join(name)))
            .collect();
        let dictionaries = committed.join("dictionaries");
        let found = runtime.dir().join("fuzz");
        let session = Self {
            target,
            binary: binaries.join(name),
            seeds,
            dictionary: existing(dictionaries.join(format!("{name}.dict"))),
            corpus: found.join("corpus").join(name),
            findings: found.join("findings").join(name),
            log: runtime.dir().join("logs").join(format!("fuzz-{name}.log")),
        };
        for dir in [&session.corpus, &session.findings] {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Ok(session)
    }

    /// Where everything that libFuzzer says goes.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    pub(super) fn run(self, seconds: u64) -> Result<Report> {
        let baseline_mib = self.baseline_mib()?;
        let mut fuzzing = self.command();
        fuzzing
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={}", self.target.max_len()))
            .arg(format!("-timeout={TIMEOUT_S}"))
            .arg(format!("-rss_limit_mb={}", baseline_mib + GROWTH_MIB))
            .arg(format!("-malloc_limit_mb={ALLOCATION_MIB}"))
            .arg(format!("-artifact_prefix={}/", self.findings.display()))
            .arg(&self.corpus)
            .args(&self.seeds);
        if let Some(dictionary) = &self.dictionary {
            fuzzing.arg(format!("-dict={}", dictionary.display()));
        }
        let (status, said) = self.listen(fuzzing)?;
        let finding = (!status.success()).then(|| {
            let (input, reason) = log::finding(&said);
            Finding {
                reason: format!("{reason}, {status}"),
                input: input.map(PathBuf::from),
                binary: self.binary,
                log: self.log,
            }
        });
        Ok(Report {
            target: self.target,
            figures: Figures::of(&said),
            baseline_mib,
            finding,
        })
    }

    /// What the process takes before its first input: it tries none but the empty one.
    fn baseline_mib(&self) -> Result<u64> {
        let mut empty = self.command();
        empty.arg("-runs=0");
        let (status, said) = self.listen(empty)?;
        if !status.success() {
            bail!(
                "{} fails on an empty input, {status}: see {}",
                self.binary.display(),
                self.log.display()
            );
        }
        Ok(Figures::of(&said).peak_mib)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg("-print_final_stats=1")
            .env(
                "ASAN_OPTIONS",
                format!("quarantine_size_mb={QUARANTINE_MIB}"),
            )
            .stdin(Stdio::null());
        command
    }

    /// Runs it with its output in the log, and returns that too.
    fn listen(&self, mut command: Command) -> Result<(ExitStatus, String)> {
        let dir = self.log.parent().context("a log lies in a folder")?;
        let file = fs::create_dir_all(dir)
            .and_then(|()| File::create(&self.log))
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let status = command
            .stdout(file.try_clone().context("duplicating a file handle")?)
            .stderr(file)
            .status()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let said = fs::read(&self.log).unwrap_or_default();
        Ok((status, String::from_utf8_lossy(&said).into_owned()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            executions,
            per_second,
            coverage: (seeds, coverage),
            corpus,
            peak_mib,
        } = self.figures;
        write!(
            f,
            "{:<11} {executions:>9} executions, {per_second:>6}/s, coverage {seeds} → {coverage}, \
             corpus {corpus}, peak {peak_mib} MiB ({} at rest): ",
            self.target.name(),
            self.baseline_mib
        )?;
        match &self.finding {
            None => write!(f, "nothing found"),
            Some(finding) => finding.fmt(f),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAILED ({})", self.reason)?;
        if let Some(input) = &self.input {
            let (input, binary) = (input.display(), self.binary.display());
            write!(f, "\n  input:  {input}\n  replay: {binary} {input}")?;
        }
        write!(f, "\n  log:    {}", self.log.display())
    }
}
