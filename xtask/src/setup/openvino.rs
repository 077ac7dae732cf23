//! OpenVINO's C library, out of the same wheel that Python programs use.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ncs_e2e::paths::{OPENVINO_VERSION, Runtime};

use super::python::{PIP_REMEDY, pip};
use super::stamp::{Stamp, remove_if_there};
use super::{Finding, Step, program};

/// The C library in the wheel is the same for every Python; naming one that there is a wheel for
/// makes the machine's own version not matter.
const WHEEL_FOR_PYTHON: &str = "3.12";

const LIBRARY: &str = "libopenvino_c.so";

pub(super) struct OpenVino {
    runtime: Runtime,
}

impl OpenVino {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(&self.runtime, "openvino")
            .depends_on(OPENVINO_VERSION)
            .makes(self.runtime.openvino_libs_dir().join(LIBRARY))
    }
}

impl Step for OpenVino {
    fn name(&self) -> &'static str {
        "OpenVINO"
    }

    fn look(&self) -> Result<Finding> {
        let what = format!("unpacking the C library of the wheel openvino {OPENVINO_VERSION}");
        Ok(Finding::from_stamp(&self.stamp(), what))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp();
        stamp.remove()?;
        let target = self.runtime.openvino_dir();
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
            .arg(format!("openvino=={OPENVINO_VERSION}"));
        let what = format!("downloading OpenVINO {OPENVINO_VERSION}");
        program::run(&self.runtime, "openvino", install, &what, PIP_REMEDY)?;
        link_unversioned(&self.runtime.openvino_libs_dir())?;
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
