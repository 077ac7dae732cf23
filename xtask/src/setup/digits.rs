//! A model that really learned something, its images, and what it must answer.

use std::path::PathBuf;

use anyhow::Result;
use ncs_e2e::paths::{OPENVINO_VERSION, Runtime};

use super::stamp::{Stamp, remove_if_there};
use super::{Finding, Step, program};

pub(super) struct Digits {
    runtime: Runtime,
    script: PathBuf,
}

impl Digits {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            script: program::script("make_digits.py"),
        }
    }

    fn stamp(&self) -> Stamp {
        let files = [
            "digits.xml",
            "digits.bin",
            "labels.txt",
            "truth.csv",
            "expected.csv",
            "1796.png",
        ];
        let stamp = Stamp::new(&self.runtime, "digits")
            .depends_on(OPENVINO_VERSION)
            .depends_on_file(&self.script);
        files.iter().fold(stamp, |stamp, file| {
            stamp.makes(self.runtime.digits_dir().join(file))
        })
    }
}

impl Step for Digits {
    fn name(&self) -> &'static str {
        "handwritten digits"
    }

    fn look(&self) -> Result<Finding> {
        Ok(Finding::from_stamp(
            &self.stamp(),
            "training a classifier, writing its 1,797 images",
        ))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp();
        stamp.remove()?;
        let dir = self.runtime.digits_dir();
        remove_if_there(&dir)?;
        let said = program::run_script(&self.runtime, &self.script, &[&dir])?;
        stamp.write()?;
        Ok(said)
    }
}
