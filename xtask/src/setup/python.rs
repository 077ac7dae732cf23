//! A Python environment of our own: OpenVINO's Python API, and what the tests compare with.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use ncs_e2e::paths::Runtime;

use super::stamp::Stamp;
use super::{Finding, Step, program};

/// What the wheels of `requirements.txt` are built for.
const OLDEST: (u32, u32) = (3, 10);

pub(super) struct PythonPackages {
    runtime: Runtime,
    requirements: PathBuf,
}

impl PythonPackages {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            requirements: program::script("requirements.txt"),
        }
    }

    /// With the machine's Python in it: an environment does not outlive an upgrade of that, nor
    /// being moved.
    fn stamp(&self) -> Result<Stamp> {
        let (version, description) = python_version()?;
        if version < OLDEST {
            bail!(
                "python3 is {}.{}, and OpenVINO needs {}.{} or newer: put a newer python3 first on the PATH",
                version.0,
                version.1,
                OLDEST.0,
                OLDEST.1
            );
        }
        Ok(Stamp::new(&self.runtime, "python")
            .depends_on_file(&self.requirements)
            .depends_on(description)
            .depends_on(self.runtime.venv_dir().as_os_str().as_encoded_bytes())
            .makes(self.runtime.venv_python()))
    }
}

impl Step for PythonPackages {
    fn name(&self) -> &'static str {
        "Python packages"
    }

    fn look(&self) -> Result<Finding> {
        let requirements = fs::read_to_string(&self.requirements)
            .with_context(|| format!("cannot read {}", self.requirements.display()))?;
        let packages = package_names(&requirements).join(", ");
        let what = format!("installing {packages} into a virtual environment");
        Ok(Finding::from_stamp(&self.stamp()?, what))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp()?;
        stamp.remove()?;
        let mut venv = Command::new("python3");
        venv.args(["-I", "-m", "venv", "--clear"])
            .arg(self.runtime.venv_dir());
        let remedy = "check that there is space on the disk, and that python3 works";
        program::run(
            &self.runtime,
            "venv",
            venv,
            "making a Python environment",
            remedy,
        )?;

        let mut install = pip(&self.runtime);
        install
            .args(["install", "--only-binary=:all:", "--requirement"])
            .arg(&self.requirements);
        program::run(
            &self.runtime,
            "pip",
            install,
            "installing Python packages",
            PIP_REMEDY,
        )?;
        stamp.write()?;
        Ok(None)
    }
}

/// What helps when pip fails.
pub(super) const PIP_REMEDY: &str =
    "check the network (pip's own settings for proxies and mirrors hold here), then run this again";

/// The environment's pip, without the user's own Python settings; pip's configuration stays.
pub(super) fn pip(runtime: &Runtime) -> Command {
    let mut pip = Command::new(runtime.venv_python());
    pip.args([
        "-I",
        "-m",
        "pip",
        "--no-input",
        "--disable-pip-version-check",
    ])
    // Either of them would put the packages elsewhere.
    .env_remove("PIP_USER")
    .env_remove("PIP_TARGET");
    pip
}

/// The version, and everything that tells one Python from another.
fn python_version() -> Result<((u32, u32), Vec<u8>)> {
    let script = "import sys; print(*sys.version_info[:2]); print(sys.version, sys.base_prefix)";
    let output = Command::new("python3")
        .args(["-I", "-c", script])
        .output()
        .context("cannot start python3: install Python 3.10 or newer")?;
    let version = String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()
        .and_then(parse_version)
        .context("python3 does not tell its version: install Python 3.10 or newer")?;
    Ok((version, output.stdout))
}

/// `3 12` as a pair.
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let (major, minor) = line.split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The names in a requirements file, without versions and comments.
fn package_names(requirements: &str) -> Vec<&str> {
    requirements
        .lines()
        .map(|line| {
            line.split(['#', '=', '>', '<', ' '])
                .next()
                .unwrap_or_default()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(parse_version("3 9") < Some(OLDEST));
        assert!(parse_version("3 13") > Some(OLDEST));
        assert_eq!(parse_version("Python"), None);
    }

    #[test]
    fn requirements_are_named_without_their_versions() {
        let text = "# why\nopenvino==2026.4.1  # the demo's\nnumpy>=1.26\n\npika\n";
        assert_eq!(package_names(text), ["openvino", "numpy", "pika"]);
    }

    #[test]
    fn the_pinned_openvino_is_the_one_that_the_c_library_comes_from() {
        let text = fs::read_to_string(program::script("requirements.txt")).expect("the file");
        let pinned = format!("openvino=={}", ncs_e2e::paths::OPENVINO_VERSION);
        assert!(text.lines().any(|line| line == pinned), "{text}");
    }
}
