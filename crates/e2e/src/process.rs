//! One child process: started, watched, asked to end, and ended.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::leash::Leash;
use crate::poll_until;

/// A killed process is gone as soon as the kernel gets to it.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How much of a log goes into an error.
const TAIL_LINES: usize = 15;

/// Where a child's standard output and error go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To ours. The child also stays in our process group, so that Ctrl-C reaches it.
    Inherited,
    /// Appended to `<name>.stdout` and `<name>.stderr` in this folder. The child gets a process
    /// group of its own: Ctrl-C does not reach it, and ending it ends its own children too.
    Files(PathBuf),
}

/// A child process. Dropping it kills it; if we are killed, it is ended soon after.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Output,
    /// Until the child is reaped: from then on its id may belong to somebody else.
    leash: Option<Leash>,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// In user and kernel mode, all threads together.
    pub cpu_time: Duration,
    /// Resident set size.
    pub resident_bytes: u64,
}

impl Process {
    /// Starts `command` with nothing on its standard input. `name` is for errors and log files.
    ///
    /// # Errors
    /// When the program cannot be started or its log files cannot be written.
    pub fn spawn(name: &str, mut command: Command, output: Output) -> Result<Self> {
        command.stdin(Stdio::null());
        if let Output::Files(dir) = &output {
            command
                .stdout(append(&log_file(dir, name, "stdout"))?)
                .stderr(append(&log_file(dir, name, "stderr"))?)
                .process_group(0);
        }
        let program = PathBuf::from(command.get_program());
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut process = Self {
            name: name.to_owned(),
            child,
            output,
            leash: None,
        };
        process.leash = Some(Leash::hold(process.target()?)?);
        Ok(process)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the kernel refuses to say.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let status = self
            .child
            .try_wait()
            .with_context(|| format!("waiting for {}", self.name))?;
        if status.is_some() {
            self.leash = None;
        }
        Ok(status)
    }

    /// How it ended, waiting for it as long as it takes.
    ///
    /// # Errors
    /// When the kernel refuses to say.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self
            .child
            .wait()
            .with_context(|| format!("waiting for {}", self.name))?;
        self.leash = None;
        Ok(status)
    }

    /// How it ended, waiting for it at most that long. It keeps running when this fails.
    ///
    /// # Errors
    /// When it has not ended by then, with the end of what it wrote.
    pub fn wait_with_limit(&mut self, limit: Duration) -> Result<ExitStatus> {
        poll_until(limit, || self.try_wait().transpose()).unwrap_or_else(|| {
            bail!(
                "{} has not ended within {limit:?}{}",
                self.name,
                self.last_words()
            )
        })
    }

    /// Asks it to end (SIGTERM). Does not wait.
    ///
    /// # Errors
    /// When the signal cannot be sent; that it has ended already is no error.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// What Ctrl-C does (SIGINT). Does not wait.
    ///
    /// # Errors
    /// When the signal cannot be sent; that it has ended already is no error.
    pub fn interrupt(&mut self) -> Result<()> {
        self.signal(Signal::INT)
    }

    /// Stops it in its tracks (SIGSTOP), as a hung machine would, until [`Process::resume`].
    ///
    /// # Errors
    /// When the signal cannot be sent; that it has ended already is no error.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on (SIGCONT).
    ///
    /// # Errors
    /// When the signal cannot be sent; that it has ended already is no error.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends it at once (SIGKILL), with its process group if it has its own, and waits until it
    /// is gone.
    ///
    /// # Errors
    /// When the signal cannot be sent, or the process is still there 10 seconds later.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        let sent = match self.output {
            Output::Inherited => kill_process(self.pid()?, Signal::KILL),
            Output::Files(_) => kill_process_group(self.pid()?, Signal::KILL),
        };
        self.check(sent)?;
        self.wait_with_limit(KILL_LIMIT)
    }

    /// Asks it to end, and kills it when it has not ended within `limit`.
    ///
    /// # Errors
    /// When a signal cannot be sent.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.terminate()?;
        match self.wait_with_limit(limit) {
            Ok(status) => Ok(status),
            Err(_) => self.kill(),
        }
    }

    /// What it has written to its standard output so far; empty when that is inherited.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What it has written to its standard error so far; empty when that is inherited.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// The end of what it wrote, on lines of their own, to be put after an error's sentence.
    #[must_use]
    pub fn last_words(&self) -> String {
        let written = [self.stdout(), self.stderr()].concat();
        let lines: Vec<&str> = written.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        tail.iter().flat_map(|line| ["\n    ", line]).collect()
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// When it has been reaped, or where there is no Linux `/proc`.
    pub fn usage(&self) -> Result<Usage> {
        let file = format!("/proc/{}/stat", self.id());
        let stat = fs::read_to_string(&file)
            .with_context(|| format!("cannot read {file} of {}", self.name))?;
        parse_stat(
            &stat,
            rustix::param::clock_ticks_per_second(),
            rustix::param::page_size(),
        )
        .with_context(|| format!("{file} is not as proc(5) describes it: {stat:?}"))
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        let sent = kill_process(self.pid()?, signal);
        self.check(sent)
    }

    fn check(&self, sent: Result<(), Errno>) -> Result<()> {
        match sent {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot signal {}", self.name)),
        }
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.id())
            .ok()
            .and_then(Pid::from_raw)
            .with_context(|| format!("{} is no process id", self.id()))
    }

    /// What the leash shall signal.
    fn target(&self) -> Result<i32> {
        let pid = self.pid()?.as_raw_nonzero().get();
        Ok(if self.output == Output::Inherited {
            pid
        } else {
            -pid
        })
    }

    fn read(&self, stream: &str) -> String {
        let Output::Files(dir) = &self.output else {
            return String::new();
        };
        let bytes = fs::read(log_file(dir, &self.name, stream)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left who could be told; the leash has it as well.
        let _ = self.kill();
    }
}

fn log_file(dir: &Path, name: &str, stream: &str) -> PathBuf {
    dir.join(format!("{name}.{stream}"))
}

fn append(file: &Path) -> Result<File> {
    let opened: io::Result<File> = OpenOptions::new().create(true).append(true).open(file);
    opened.with_context(|| format!("cannot write {}", file.display()))
}

/// Fields 14 and 15 (utime, stime, in clock ticks) and 24 (rss, in pages) of `/proc/<pid>/stat`.
/// Field 2 is the program's name in brackets, which may itself hold spaces and brackets.
fn parse_stat(stat: &str, ticks_per_second: u64, page_size: usize) -> Option<Usage> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let number = |field: usize| -> Option<u64> {
        after_name
            .split_ascii_whitespace()
            .nth(field - 3)?
            .parse()
            .ok()
    };
    let ticks = number(14)? + number(15)?;
    Some(Usage {
        cpu_time: Duration::from_millis(ticks * 1000 / ticks_per_second),
        resident_bytes: number(24)? * page_size as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::RunDir;

    #[test]
    fn stat_is_read_past_a_name_with_spaces_and_brackets() {
        let stat = "4711 (ncs) worker (1)) S 1 4711 4711 0 -1 4194304 100 0 0 0 250 50 7 7 20 0 9 0 \
                    12345 1000000 300 18446744073709551615 1 1 0 0 0 0 0 0 0";
        let expected = Usage {
            cpu_time: Duration::from_secs(3),
            resident_bytes: 300 * 4096,
        };
        assert_eq!(parse_stat(stat, 100, 4096), Some(expected));
        assert_eq!(parse_stat("4711 (cut) S 1", 100, 4096), None);
    }

    #[test]
    fn a_process_is_heard_signalled_and_waited_for() {
        let dir = RunDir::create("process-test").expect("a folder");
        let script = "trap 'echo bye >&2; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
        let mut shell = sh(script, &dir);
        poll_until(Duration::from_secs(10), || {
            shell.stdout().contains("ready").then_some(())
        })
        .expect("it says that it is ready");
        assert!(shell.usage().expect("usage").resident_bytes > 0);
        shell.terminate().expect("a signal");
        let status = shell
            .wait_with_limit(Duration::from_secs(10))
            .expect("it ends");
        assert_eq!((status.code(), shell.stderr().as_str()), (Some(7), "bye\n"));
        shell.terminate().expect("ended already is no error");
    }

    #[test]
    fn who_does_not_listen_is_killed_at_the_limit() {
        let dir = RunDir::create("process-test").expect("a folder");
        let mut shell = sh("trap '' TERM; echo deaf; sleep 60", &dir);
        poll_until(Duration::from_secs(10), || {
            shell.stdout().contains("deaf").then_some(())
        })
        .expect("the trap is set");
        let error = shell
            .wait_with_limit(Duration::ZERO)
            .expect_err("it sleeps")
            .to_string();
        assert!(
            error.contains("has not ended") && error.ends_with("\n    deaf"),
            "{error}"
        );
        assert_eq!(shell.stop(Duration::ZERO).expect("it ends").code(), None);
    }

    #[test]
    fn a_missing_program_is_named() {
        let dir = RunDir::create("process-test").expect("a folder");
        let output = Output::Files(dir.path().to_owned());
        let error = Process::spawn("x", Command::new("/no/such/program"), output);
        let error = format!("{:#}", error.expect_err("it is missing"));
        assert!(
            error.starts_with("cannot start /no/such/program: "),
            "{error}"
        );
    }

    fn sh(script: &str, dir: &RunDir) -> Process {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Process::spawn("sh", command, Output::Files(dir.path().to_owned())).expect("sh starts")
    }
}
