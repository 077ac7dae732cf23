//! Docker Compose, which reads and merges the compose files for the tests. No engine is needed.

use anyhow::{Context, Result};
use ncs_e2e::compose::Compose;
use ncs_e2e::paths::Runtime;

use super::{Finding, Step, apt};

pub(super) struct DockerCompose {
    runtime: Runtime,
}

impl DockerCompose {
    /// After the step that unpacks `RabbitMQ` 4, whose tree has it.
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
        }
    }
}

impl Step for DockerCompose {
    fn name(&self) -> &'static str {
        "Docker Compose"
    }

    fn look(&self) -> Result<Finding> {
        Ok(match Compose::find() {
            Ok(_) => Finding::Done("there already".to_owned()),
            // A system that has RabbitMQ 4 itself, so that no tree was unpacked, has this one too.
            Err(_) => Finding::ToDo("installing docker-compose with apt-get".to_owned()),
        })
    }

    fn perform(&self) -> Result<Option<String>> {
        apt::install(&self.runtime, &["docker-compose"])?;
        Compose::find().context(
            "the system's own docker-compose is too old: install Docker's plugin `docker compose`",
        )?;
        Ok(None)
    }
}
