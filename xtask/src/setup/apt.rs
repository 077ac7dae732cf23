//! Installing Debian's and Ubuntu's packages.

use std::io::IsTerminal;
use std::process::Command;

use anyhow::{Result, bail};
use ncs_e2e::paths::Runtime;

use super::program;

/// Runs as root, with the packages as arguments.
///
/// A package that brings a service would start it, and with it the machine's own broker, which
/// nobody asked for. Debian's way to forbid that is `policy-rc.d`; one that is there already is the
/// administrator's and stays.
const INSTALL: &str = r#"
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\n# by ncs-fleet, while it installs packages; may be removed\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get --quiet update
apt-get --quiet --yes --no-install-recommends install "$@"
"#;

/// Whether this machine has apt-get.
pub(super) fn is_there() -> bool {
    program::is_on_path("apt-get")
}

/// Installs them without asking anything, but perhaps for sudo's password.
pub(super) fn install(runtime: &Runtime, packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !is_there() {
        bail!(
            "there is no apt-get here to install what is missing: install {names}, under \
             whatever name this system has for it, then run this again"
        );
    }
    let mut command = as_root(&format!("run `apt-get install {names}` as root"))?;
    command.args(["sh", "-c", INSTALL, "sh"]).args(packages);
    let remedy = format!(
        "check the network, or run `apt-get update` and `apt-get install {names}` as root, then \
         this again"
    );
    program::run(
        runtime,
        "apt-get",
        command,
        &format!("installing {names}"),
        &remedy,
    )
    .map(drop)
}

/// A command that runs its arguments as root; `instead` is what the user can do where there is
/// no way to become root.
pub(super) fn as_root(instead: &str) -> Result<Command> {
    if rustix::process::geteuid().is_root() {
        return Ok(Command::new("env"));
    }
    if !program::is_on_path("sudo") {
        bail!(
            "only root can add what is missing, and there is no sudo: {instead}, then run this \
             again"
        );
    }
    let mut sudo = Command::new("sudo");
    if !std::io::stdin().is_terminal() {
        // Nobody is there to type a password: fail instead of waiting.
        sudo.arg("--non-interactive");
    }
    Ok(sudo)
}
