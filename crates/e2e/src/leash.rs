//! Ends our child processes when we are gone, however we went: Ctrl-C and SIGKILL included.
//!
//! Linux could do that with `prctl(PR_SET_PDEATHSIG)`, but setting it between fork and exec is
//! unsafe code. So one small shell reads from a pipe which process groups to end; it sees the end
//! of the pipe when the kernel closes our side of it.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Reads `hold <target>` and `release <target>`, where a target is what `kill` takes: a process
/// id, or a process group's with a minus sign. At the end of its input it asks the held ones to
/// end, and five seconds later it no longer asks.
const WATCH: &str = r#"
held=
while read -r verb target; do
  case $verb in
    hold) held="$held $target" ;;
    release)
      kept=
      for each in $held; do [ "$each" = "$target" ] || kept="$kept $each"; done
      held=$kept ;;
  esac
done
for each in $held; do kill -s TERM -- "$each"; done
tries=50
while [ -n "$held" ] && [ $tries -gt 0 ]; do
  sleep 0.1
  tries=$((tries - 1))
  kept=
  for each in $held; do kill -s 0 -- "$each" && kept="$kept $each"; done
  held=$kept
done
for each in $held; do kill -s KILL -- "$each"; done
"#;

/// Our side of the shell's pipe, opened with the first child and closed by the kernel when this
/// process ends. Dropping it earlier would end every child.
static SHELL: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// A child on the leash; dropping it lets go.
#[derive(Debug)]
pub(crate) struct Leash {
    target: i32,
}

impl Leash {
    /// `target` as `kill` takes it: a process id, or the negative id of a process group.
    pub(crate) fn hold(target: i32) -> Result<Self> {
        tell("hold", target).context("cannot start the shell that ends child processes")?;
        Ok(Self { target })
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // When the shell is gone there is nothing left to let go of.
        let _ = tell("release", self.target);
    }
}

/// Starts the shell now, and not with the first child.
pub(crate) fn begin() -> Result<()> {
    write("").context("cannot start the shell that ends child processes")
}

fn tell(verb: &str, target: i32) -> std::io::Result<()> {
    write(&format!("{verb} {target}\n"))
}

fn write(line: &str) -> std::io::Result<()> {
    let mut shell = SHELL.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = match shell.take() {
        Some(pipe) => pipe,
        None => start()?,
    };
    shell.insert(pipe).write_all(line.as_bytes())
}

fn start() -> std::io::Result<ChildStdin> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", WATCH])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C goes to the terminal's foreground group: the shell must outlive us.
        .process_group(0)
        .spawn()?;
    child
        .stdin
        .take()
        .ok_or_else(|| std::io::Error::other("no pipe to the shell"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::poll_until;

    #[test]
    fn a_held_group_ends_with_its_holder_and_a_released_one_does_not() {
        let mut held = sleeper();
        let mut released = sleeper();
        // The shell itself, on a pipe of the test's own.
        let mut pipe = start().expect("sh");
        writeln!(
            pipe,
            "hold -{}\nhold -{}\nrelease -{}",
            held.id(),
            released.id(),
            released.id()
        )
        .expect("the shell reads");
        drop(pipe);
        let ended = poll_until(Duration::from_secs(10), || held.try_wait().ok().flatten());
        let spared = released.try_wait().expect("a child").is_none();
        let _ = released.kill();
        let _ = released.wait();
        assert!(ended.is_some(), "the held process is still there");
        assert!(spared, "the released process was ended");
    }

    fn sleeper() -> std::process::Child {
        Command::new("sleep")
            .arg("60")
            .process_group(0)
            .spawn()
            .expect("sleep")
    }
}
