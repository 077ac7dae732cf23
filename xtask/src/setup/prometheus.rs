//! Prometheus and promtool, which the tests look at a fleet with. Nothing is started here.

use anyhow::{Result, bail};
use ncs_e2e::paths::Runtime;

use super::program::is_on_path;
use super::{Finding, Step, apt};

pub(super) struct Prometheus {
    runtime: Runtime,
}

impl Prometheus {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
        }
    }
}

impl Step for Prometheus {
    fn name(&self) -> &'static str {
        "Prometheus"
    }

    fn look(&self) -> Result<Finding> {
        if is_there() {
            return Ok(Finding::Done("installed already".to_owned()));
        }
        if !apt::is_there() {
            bail!(
                "the tests need the programs prometheus and promtool, and there is no apt-get to \
                 install them: put them on the PATH"
            );
        }
        Ok(Finding::ToDo(
            "installing prometheus with apt-get (without starting it)".to_owned(),
        ))
    }

    fn perform(&self) -> Result<Option<String>> {
        apt::install(&self.runtime, &["prometheus"])?;
        if !is_there() {
            bail!("the package prometheus is installed, but its programs are not on the PATH");
        }
        Ok(None)
    }
}

fn is_there() -> bool {
    is_on_path("prometheus") && is_on_path("promtool")
}
