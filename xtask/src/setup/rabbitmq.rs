//! The broker's programs. Nothing is started here.

use anyhow::{Context, Result, bail};
use ncs_e2e::paths::Runtime;

use super::{Finding, Step, apt};
use crate::broker::{NO_BROKER, Source};
use crate::docker;

pub(super) struct RabbitMqServer {
    runtime: Runtime,
}

impl RabbitMqServer {
    pub(super) fn new(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
        }
    }
}

impl Step for RabbitMqServer {
    fn name(&self) -> &'static str {
        "RabbitMQ"
    }

    fn look(&self) -> Result<Finding> {
        match Source::find() {
            Some(Source::Given(_)) => Ok(Finding::Done(
                "NCS_AMQP_URL is set, that broker is used".to_owned(),
            )),
            Some(Source::Installed(_)) => Ok(Finding::Done("installed already".to_owned())),
            // An own node is preferred to a container: it is there at once, and can be killed.
            Some(Source::Docker) | None if apt::is_there() => Ok(Finding::ToDo(
                "installing rabbitmq-server with apt-get (without starting it)".to_owned(),
            )),
            Some(Source::Docker) => Ok(Finding::Done("Docker is there, it will run it".to_owned())),
            None => bail!("there is no broker and no apt-get to install one: {NO_BROKER}"),
        }
    }

    fn perform(&self) -> Result<Option<String>> {
        let installed = apt::install(&self.runtime, &["rabbitmq-server"]);
        if installed.is_err() && docker::works() {
            return Ok(Some(
                "could not be installed, Docker will run it".to_owned(),
            ));
        }
        installed?;
        Source::find().context("rabbitmq-server is installed, but not where it is expected")?;
        Ok(None)
    }
}
