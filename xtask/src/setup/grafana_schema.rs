//! Grafana's schema of dashboards, as Python classes, for the tests of the dashboards.

use anyhow::Result;
use ncs_e2e::paths::Runtime;

use super::python::{PIP_REMEDY, pip};
use super::stamp::{Stamp, remove_if_there};
use super::{Finding, Step, program};

/// Of Grafana 11.0, the oldest that the dashboards are for.
const VERSION: &str = "1769699734!11.0.0";

/// The package wants 3.11, of which it takes two names only; the tests' script has them for 3.10.
const WHEEL_FOR_PYTHON: &str = "3.12";

pub(super) struct GrafanaSchema {
    runtime: Runtime,
}

impl GrafanaSchema {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(&self.runtime, "grafana-schema")
            .depends_on(VERSION)
            .makes(self.runtime.grafana_schema_dir())
    }
}

impl Step for GrafanaSchema {
    fn name(&self) -> &'static str {
        "Grafana's schema"
    }

    fn look(&self) -> Result<Finding> {
        let what = format!("unpacking the package grafana-foundation-sdk {VERSION}");
        Ok(Finding::from_stamp(&self.stamp(), what))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp();
        stamp.remove()?;
        let target = self.runtime.grafana_schema_dir();
        remove_if_there(&target)?;
        let mut install = pip(&self.runtime);
        install
            .args(["install", "--no-deps", "--only-binary=:all:"])
            .args(["--python-version", WHEEL_FOR_PYTHON, "--target"])
            .arg(&target)
            .arg(format!("grafana-foundation-sdk=={VERSION}"));
        let what = "downloading Grafana's schema";
        program::run(&self.runtime, "grafana-schema", install, what, PIP_REMEDY)?;
        stamp.write()?;
        Ok(None)
    }
}
