//! cargo-fuzz, which builds fuzz targets.

use anyhow::Result;
use ncs_e2e::paths::Runtime;

use super::stamp::Stamp;
use super::{Finding, Step, program};
use crate::cargo;

const VERSION: &str = "0.13.2";

pub(super) struct CargoFuzz {
    runtime: Runtime,
}

impl CargoFuzz {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(&self.runtime, "cargo-fuzz")
            .depends_on(VERSION)
            .makes(self.runtime.cargo_fuzz())
    }
}

impl Step for CargoFuzz {
    fn name(&self) -> &'static str {
        "cargo-fuzz"
    }

    fn look(&self) -> Result<Finding> {
        let what = format!("installing cargo-fuzz {VERSION}");
        Ok(Finding::from_stamp(&self.stamp(), what))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp();
        stamp.remove()?;
        let mut install = cargo::command("install")?;
        install
            .args(["cargo-fuzz", "--locked", "--force", "--version", VERSION])
            .arg("--root")
            .arg(self.runtime.cargo_fuzz_dir());
        let remedy = "check the network (cargo's own settings for proxies and mirrors hold here), \
                      then run this again";
        program::run(
            &self.runtime,
            "cargo-fuzz",
            install,
            "installing cargo-fuzz",
            remedy,
        )?;
        stamp.write()?;
        Ok(None)
    }
}
