//! What the build and Python need from the distribution.

use std::io::Write;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Result, bail};
use ncs_e2e::paths::Runtime;
use rustix::process::geteuid;

use super::program::is_on_path;
use super::{Finding, Scope, Step, apt};

pub(super) struct SystemPackages {
    runtime: Runtime,
    scope: Scope,
}

/// A package that is not there, and why it is wanted.
struct Missing {
    package: &'static str,
    reason: &'static str,
}

impl SystemPackages {
    pub(super) fn new(runtime: &Runtime, scope: Scope) -> Self {
        Self {
            runtime: runtime.clone(),
            scope,
        }
    }
}

impl Step for SystemPackages {
    fn name(&self) -> &'static str {
        "system packages"
    }

    fn look(&self) -> Result<Finding> {
        let missing = missing(self.scope);
        if missing.is_empty() {
            return Ok(Finding::Done("all there".to_owned()));
        }
        let list: Vec<String> = missing
            .iter()
            .map(|it| format!("{} ({})", it.package, it.reason))
            .collect();
        Ok(Finding::ToDo(format!("installing {}", list.join(", "))))
    }

    fn perform(&self) -> Result<Option<String>> {
        let packages: Vec<&str> = missing(self.scope).iter().map(|it| it.package).collect();
        apt::install(&self.runtime, &packages)?;
        if let Some(still) = missing(self.scope).first() {
            bail!(
                "{} is installed, but what it should bring ({}) is still not found: check which \
                 programs come first on the PATH",
                still.package,
                still.reason
            );
        }
        Ok(None)
    }
}

fn missing(scope: Scope) -> Vec<Missing> {
    let wanted = [
        (
            is_on_path("python3"),
            "python3",
            "for the model and the tests' references",
        ),
        (has_venv(), "python3-venv", "a Python environment with pip"),
        (is_on_path("cc"), "gcc", "C compiler for libjpeg-turbo"),
        (is_on_path("make"), "make", "libjpeg-turbo's build"),
        (is_on_path("cmake"), "cmake", "libjpeg-turbo's build"),
        // On other processors libjpeg-turbo's fast paths are written in C.
        (
            !cfg!(target_arch = "x86_64") || is_on_path("nasm"),
            "nasm",
            "libjpeg-turbo's fast paths",
        ),
        // Only root may make hosts of their own; for others, proxies stand in.
        (
            scope != Scope::All || !geteuid().is_root() || is_on_path("ip"),
            "iproute2",
            "several hosts on one machine, for tests",
        ),
        (
            scope != Scope::Fuzz || is_on_path("clang"),
            "clang",
            "instruments libjpeg-turbo",
        ),
        (
            scope != Scope::Fuzz || has_sanitizers(),
            "libclang-rt-dev",
            "clang's AddressSanitizer",
        ),
    ];
    wanted
        .into_iter()
        .filter(|(there, ..)| !there)
        .map(|(_, package, reason)| Missing { package, reason })
        .collect()
}

/// Debian's clang comes without what instrumented programs are linked with, and libjpeg-turbo's
/// build makes programs, too.
fn has_sanitizers() -> bool {
    let program = env::temp_dir().join(format!("ncs-sanitized-{}", std::process::id()));
    let mut clang = Command::new("clang");
    clang
        .args(["-fsanitize=address,fuzzer-no-link", "-x", "c", "-", "-o"])
        .arg(&program)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let linked = clang.spawn().and_then(|mut clang| {
        if let Some(mut source) = clang.stdin.take() {
            source.write_all(b"int main(void) { return 0; }")?;
        }
        clang.wait()
    });
    let _ = fs::remove_file(&program);
    linked.is_ok_and(|status| status.success())
}

/// Debian's python3 comes without ensurepip, which is what makes pip appear in a new environment.
fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python
        .args(["-I", "-c", "import ensurepip, venv"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}
