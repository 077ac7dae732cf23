//! OpenVINO's C library, out of the same wheel that Python programs use.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ncs_e2e::paths::{OLDER_OPENVINO_VERSION, OPENVINO_VERSION, Runtime};

use super::python::{PIP_REMEDY, pip};
use super::stamp::{Stamp, remove_if_there};
use super::{Finding, Step, program};

/// The C library in the wheel is the same for every Python; naming one that there is a wheel for
/// makes the machine's own version not matter. Both versions have one for this.
const WHEEL_FOR_PYTHON: &str = "3.12";

const LIBRARY: &str = "libopenvino_c.so";

pub(super) struct OpenVino {
    runtime: Runtime,
    version: &'static str,
    /// What the step is called, and its stamp and log.
    name: &'static str,
    files: &'static str,
}

impl OpenVino {
    /// The one that everything runs on.
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            version: OPENVINO_VERSION,
            name: "OpenVINO",
            files: "openvino",
        }
    }

    /// The one that tests load too, since hosts with sticks have an old one.
    pub(super) fn older(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            version: OLDER_OPENVINO_VERSION,
            name: "older OpenVINO",
            files: "openvino-older",
        }
    }

    fn libs_dir(&self) -> PathBuf {
        self.runtime.openvino_libs_dir(self.version)
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(&self.runtime, self.files)
            .depends_on(self.version)
            .makes(self.libs_dir().join(LIBRARY))
    }
}

impl Step for OpenVino {
    fn name(&self) -> &'static str {
        self.name
    }

    fn look(&self) -> Result<Finding> {
        let version = self.version;
        let what = format!("unpacking the C library of the wheel openvino {version}");
        Ok(Finding::from_stamp(&self.stamp(), what))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp();
        stamp.remove()?;
        let target = self.runtime.openvino_dir(self.version);
        remove_if_there(&target)?;
        let mut install = pip(&self.runtime);
        install
            .args([
                "install",
                "--no-deps",
                "--only-binary=:all:",
                "--implementation",
                "cp",
            ])
            .args(["--python-version", WHEEL_FOR_PYTHON, "--target"])
            .arg(&target)
            .arg(format!("openvino=={}", self.version));
        let what = format!("downloading OpenVINO {}", self.version);
        program::run(&self.runtime, self.files, install, &what, PIP_REMEDY)?;
        link_unversioned(&self.libs_dir())?;
        stamp.write()?;
        Ok(None)
    }
}

/// The crate's finder looks for `libopenvino_c.so`; the wheel has it with a version only.
fn link_unversioned(libs: &Path) -> Result<()> {
    let library = versioned_library(libs)
        .with_context(|| format!("the wheel has no {LIBRARY}.* in {}", libs.display()))?;
    let link = libs.join(LIBRARY);
    remove_if_there(&link)?;
    let name = library.file_name().context("a library has a name")?;
    std::os::unix::fs::symlink(name, &link)
        .with_context(|| format!("cannot link {}", link.display()))
}

fn versioned_library(libs: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(libs).ok()?.flatten().map(|entry| entry.path());
    let prefix = format!("{LIBRARY}.");
    files
        .filter(|file| {
            file.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with(&prefix))
        })
        .max()
}
