//! `ncs-worker bench` on emulated sticks: no broker, no images.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ncs_e2e::paths;
use serde::Serialize;

use crate::emulated;

/// What `ncs-worker bench` prints before its result, `Performance = 92.61 FPS`.
const RESULT: &str = "Performance =";

/// How a program infers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// One request at a time, whatever the number of sticks.
    Sync,
    /// 4 requests in flight for each stick.
    Async,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => "sync",
            Self::Async => "async",
        })
    }
}

impl Mode {
    /// The images per second that so many sticks should do.
    pub(super) fn reference(self, sticks: u16) -> f64 {
        match self {
            Self::Sync => emulated::ONE_AT_A_TIME,
            Self::Async => f64::from(sticks) * emulated::PIPELINED,
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub(in crate::bench) struct Inference {
    pub(super) sticks: u16,
    pub(super) mode: Mode,
    pub(super) images_per_second: f64,
}

pub(super) fn measure(model: &Path, sticks: u16, mode: Mode, seconds: u64) -> Result<Inference> {
    let host = emulated::plugged_in(sticks)?;
    let iterations = (mode.reference(sticks) * Duration::from_secs(seconds).as_secs_f64()).round();
    let mut command = Command::new(paths::binary("ncs-worker")?);
    // What the user of this machine has set must not decide how a measurement goes.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NCS_") {
            command.env_remove(name);
        }
    }
    command
        .args(["bench", "--devices", "sticks", "--model"])
        .arg(model)
        .arg("--openvino-dir")
        .arg(host.openvino_dir())
        .args(["--iterations", &iterations.to_string()])
        .args((mode == Mode::Sync).then_some("--sync"))
        .envs(host.environment());
    let output = command.output().context("cannot start ncs-worker bench")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "ncs-worker bench failed, {}: {}",
            output.status,
            stderr.trim()
        );
    }
    Ok(Inference {
        sticks,
        mode,
        images_per_second: performance(&stdout)
            .with_context(|| format!("ncs-worker bench printed no performance: {stdout}"))?,
    })
}

fn performance(stdout: &str) -> Option<f64> {
    let (_, after) = stdout.rsplit_once(RESULT)?;
    after.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_read_from_the_last_line() {
        let stdout = "1 MYRIAD device found. ['MYRIAD']\nPerformance = 92.61 FPS\n";
        assert_eq!(performance(stdout), Some(92.61));
        assert_eq!(performance("no stick found"), None);
    }

    #[test]
    fn one_request_at_a_time_is_no_faster_on_two_sticks() {
        let same = |left: f64, right: f64| assert!((left - right).abs() < 1e-9, "{left} {right}");
        same(Mode::Sync.reference(2), emulated::ONE_AT_A_TIME);
        same(Mode::Async.reference(2), 2.0 * emulated::PIPELINED);
    }
}
