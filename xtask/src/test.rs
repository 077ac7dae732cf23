//! Every test of the workspace, with everything they need.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result};
use ncs_e2e::paths::{self, Runtime};

use crate::broker::Broker;
use crate::cargo;
use crate::setup::{self, Scope};

pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    setup::run(Scope::All)?;
    cargo::build_programs_and_tests()?;
    let broker = Broker::start()?;
    let runtime = Runtime::locate()?;
    let mut command = cargo::command("test")?;
    // A run takes half an hour: it tells everything that fails, not only the first.
    command
        .args(["--workspace", "--release", "--no-fail-fast"])
        .args(arguments)
        .env("NCS_RUNTIME_DIR", runtime.dir())
        .env("NCS_BIN_DIR", paths::bin_dir()?)
        .env("NCS_PYTHON", runtime.python()?)
        .env("NCS_AMQP_URL", broker.amqp_url())
        .env("LD_LIBRARY_PATH", library_path(runtime.openvino()?)?);
    let status = cargo::status(&mut command)?;
    broker.stop()?;
    Ok(exit_code(status))
}

/// The code of a child process for ourselves; one that was killed by a signal has none.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// OpenVINO's folder before whatever is there.
fn library_path(openvino: PathBuf) -> Result<OsString> {
    let inherited = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let others = env::split_paths(&inherited).filter(|dir| !dir.as_os_str().is_empty());
    env::join_paths(std::iter::once(openvino).chain(others))
        .context("the path of the repository holds a colon, which LD_LIBRARY_PATH cannot carry")
}
