//! Real photos, and small pieces of them.

use std::path::PathBuf;

use anyhow::Result;
use ncs_e2e::paths::Runtime;

use super::stamp::{Stamp, remove_if_there};
use super::{Finding, Step, program};

pub(super) struct Photos {
    runtime: Runtime,
    script: PathBuf,
}

impl Photos {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            script: program::script("make_photos.py"),
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(&self.runtime, "photos")
            .depends_on_file(&self.script)
            .makes(self.runtime.photos_dir().join("china.jpg"))
            .makes(self.runtime.small_photos_dir().join("23.jpg"))
            .makes(self.runtime.small_tensors_dir().join("23.tensor"))
    }
}

impl Step for Photos {
    fn name(&self) -> &'static str {
        "photos"
    }

    fn look(&self) -> Result<Finding> {
        Ok(Finding::from_stamp(
            &self.stamp(),
            "taking two out of scikit-learn, cutting 24 from them",
        ))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp();
        stamp.remove()?;
        let runtime = &self.runtime;
        let (photos, small) = (runtime.photos_dir(), runtime.small_photos_dir());
        let tensors = runtime.small_tensors_dir();
        for folder in [&photos, &small, &tensors] {
            remove_if_there(folder)?;
        }
        program::run_script(runtime, &self.script, &[&photos, &small, &tensors])?;
        stamp.write()?;
        Ok(None)
    }
}
