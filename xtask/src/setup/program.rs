//! Running the programs that a step needs, and looking for them.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use ncs_e2e::paths::{self, Runtime};

/// Runs `command` with its output in `.runtime/logs/<log>.log`.
///
/// When it fails, the error is one sentence: that `what` failed, the last thing it wrote, the
/// `remedy`, and where the rest is.
pub(super) fn run(
    runtime: &Runtime,
    log: &str,
    mut command: Command,
    what: &str,
    remedy: &str,
) -> Result<String> {
    let dir = runtime.dir().join("logs");
    let log = dir.join(format!("{log}.log"));
    let file = fs::create_dir_all(&dir)
        .and_then(|()| File::create(&log))
        .with_context(|| format!("cannot write {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("duplicating a file handle")?)
        .stderr(file);
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("{what} failed: cannot start {program}"))?;
    let written = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    if !status.success() {
        let said = telling_line(&written).unwrap_or("it said nothing");
        bail!(
            "{what} failed ({said}): {remedy}; all of its output is in {}",
            log.display()
        );
    }
    Ok(written)
}

/// One of our Python scripts, in the virtual environment. It may say on its last line what came
/// of it.
pub(super) fn run_script(
    runtime: &Runtime,
    script: &Path,
    arguments: &[&Path],
) -> Result<Option<String>> {
    if !script.is_file() {
        bail!(
            "{} is missing: check the repository out again",
            script.display()
        );
    }
    let name = script
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // The user's own Python settings and packages stay out of it.
    let mut command = Command::new(runtime.venv_python());
    command.args(["-E", "-s"]).arg(script).args(arguments);
    let remedy = format!(
        "remove {} and run `cargo xtask setup` again, in case the Python packages in it are broken",
        runtime.venv_dir().display()
    );
    let written = run(runtime, &name, command, &format!("{name}.py"), &remedy)?;
    Ok(written.lines().last().map(str::to_owned))
}

/// A script of `xtask/python`.
pub(super) fn script(name: &str) -> PathBuf {
    paths::repository_root()
        .join("xtask")
        .join("python")
        .join(name)
}

/// Whether there is such a program on the `PATH`.
pub(super) fn is_on_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

/// The last line that says what went wrong: tools mark it, and write notes after it.
fn telling_line(written: &str) -> Option<&str> {
    let mut lines = written
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let marked = |line: &&str| {
        ["E: ", "ERROR: ", "error: "]
            .iter()
            .any(|m| line.starts_with(m))
    };
    lines.clone().rfind(marked).or_else(|| lines.next_back())
}

#[cfg(test)]
mod tests {
    use super::telling_line;

    #[test]
    fn the_marked_line_tells_more_than_the_last() {
        let pip =
            "Looking\nERROR: No matching distribution found for openvino\n\n[notice] new pip\n";
        let said = telling_line(pip);
        assert_eq!(
            said,
            Some("ERROR: No matching distribution found for openvino")
        );
    }

    #[test]
    fn without_a_mark_the_last_line_is_taken() {
        assert_eq!(
            telling_line("Traceback\nKeyError: 'x'\n\n"),
            Some("KeyError: 'x'")
        );
        assert_eq!(telling_line("\n"), None);
    }
}
