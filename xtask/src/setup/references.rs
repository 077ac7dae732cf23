//! What others answer to the same images, for the tests of `crates/image` and `crates/engine` to compare
//! with.

use std::path::PathBuf;

use anyhow::Result;
use ncs_e2e::paths::{self, OPENVINO_VERSION, Runtime};

use super::stamp::{Stamp, remove_if_there};
use super::{Finding, Step, program};

pub(super) struct References {
    runtime: Runtime,
    /// The folder below `.runtime/references/`, and what the step is called.
    folder: &'static str,
    name: &'static str,
    to_do: &'static str,
    script: PathBuf,
    inputs: Vec<PathBuf>,
    /// The scripts that make the inputs: when they change, so do the references.
    made_by: &'static [&'static str],
}

impl References {
    /// The pixels that `OpenCV` decodes.
    pub(super) fn opencv(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            folder: "opencv",
            name: "reference pixels",
            to_do: "asking OpenCV",
            script: script_of("image", "make_opencv_references.py"),
            inputs: vec![runtime.photos_dir()],
            made_by: &["requirements.txt", "make_photos.py"],
        }
    }

    /// The scores that OpenVINO's own Python API gives.
    pub(super) fn scores(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            folder: "scores",
            name: "reference scores",
            to_do: "asking OpenVINO's Python API",
            script: script_of("engine", "make_score_references.py"),
            inputs: vec![runtime.models_dir(), runtime.photos_dir()],
            made_by: &["requirements.txt", "make_photos.py", "make_googlenet.py"],
        }
    }

    fn dir(&self) -> PathBuf {
        self.runtime.references_dir().join(self.folder)
    }

    fn stamp(&self) -> Stamp {
        let stamp = Stamp::new(&self.runtime, &format!("references-{}", self.folder))
            .depends_on(OPENVINO_VERSION)
            .depends_on_file(&self.script)
            .makes(self.dir());
        self.made_by.iter().fold(stamp, |stamp, script| {
            stamp.depends_on_file(&program::script(script))
        })
    }
}

impl Step for References {
    fn name(&self) -> &'static str {
        self.name
    }

    fn look(&self) -> Result<Finding> {
        Ok(Finding::from_stamp(&self.stamp(), self.to_do))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp();
        stamp.remove()?;
        let dir = self.dir();
        remove_if_there(&dir)?;
        std::fs::create_dir_all(&dir)?;
        let mut arguments: Vec<&std::path::Path> =
            self.inputs.iter().map(PathBuf::as_path).collect();
        arguments.push(&dir);
        program::run_script(&self.runtime, &self.script, &arguments)?;
        stamp.write()?;
        Ok(None)
    }
}

/// The script beside the tests of a crate.
fn script_of(room: &str, name: &str) -> PathBuf {
    paths::repository_root()
        .join("crates")
        .join(room)
        .join("tests")
        .join(name)
}
