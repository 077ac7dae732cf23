//! `GoogLeNet` v1 with random weights, in two layouts.

use std::path::PathBuf;

use anyhow::Result;
use ncs_e2e::paths::{GOOGLENET, GOOGLENET_U8, OPENVINO_VERSION, Runtime};

use super::stamp::Stamp;
use super::{Finding, Step, program};

pub(super) struct GoogLeNet {
    runtime: Runtime,
    script: PathBuf,
}

impl GoogLeNet {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            script: program::script("make_googlenet.py"),
        }
    }

    fn stamp(&self) -> Stamp {
        let outputs = [GOOGLENET, GOOGLENET_U8]
            .into_iter()
            .flat_map(|name| [format!("{name}.xml"), format!("{name}.bin")])
            .map(|file| self.runtime.models_dir().join(file));
        let stamp = Stamp::new(&self.runtime, "googlenet")
            .depends_on(OPENVINO_VERSION)
            .depends_on_file(&self.script);
        outputs.fold(stamp, Stamp::makes)
    }
}

impl Step for GoogLeNet {
    fn name(&self) -> &'static str {
        "model"
    }

    fn look(&self) -> Result<Finding> {
        Ok(Finding::from_stamp(
            &self.stamp(),
            format!("making {GOOGLENET}"),
        ))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp();
        stamp.remove()?;
        let said = program::run_script(&self.runtime, &self.script, &[&self.runtime.models_dir()])?;
        stamp.write()?;
        Ok(said)
    }
}
