//! The broker's programs. Nothing is started here.

use anyhow::{Context, Result, bail};
use ncs_e2e::paths::Runtime;
use ncs_e2e::rabbitmq::Installation;

use super::{Finding, Scope, Step, apt};
use crate::broker::{NO_BROKER, Source};
use crate::docker;

pub(super) struct RabbitMqServer {
    runtime: Runtime,
    /// Whatever broker is given, tests also kill and restart nodes of their own.
    must_be_installed: bool,
}

impl RabbitMqServer {
    pub(super) fn new(runtime: &Runtime, scope: Scope) -> Self {
        Self {
            runtime: runtime.clone(),
            must_be_installed: scope == Scope::All,
        }
    }
}

impl Step for RabbitMqServer {
    fn name(&self) -> &'static str {
        "RabbitMQ"
    }

    fn look(&self) -> Result<Finding> {
        let source = match Installation::find() {
            Some(installation) if self.must_be_installed => Some(Source::Installed(installation)),
            None if self.must_be_installed => None,
            _ => Source::find(),
        };
        match source {
            Some(Source::Given(_)) => Ok(Finding::Done(
                "NCS_AMQP_URL is set, that broker is used".to_owned(),
            )),
            Some(Source::Installed(_)) => Ok(Finding::Done("installed already".to_owned())),
            // An own node is preferred to a container: it is there at once, and can be killed.
            Some(Source::Docker) | None if apt::is_there() => Ok(Finding::ToDo(
                "installing rabbitmq-server with apt-get (without starting it)".to_owned(),
            )),
            Some(Source::Docker) => Ok(Finding::Done("Docker is there, it will run it".to_owned())),
            None if self.must_be_installed => bail!(
                "the tests need RabbitMQ's own programs, and there is no apt-get to install them: \
                 install the package rabbitmq-server"
            ),
            None => bail!("there is no broker and no apt-get to install one: {NO_BROKER}"),
        }
    }

    fn perform(&self) -> Result<Option<String>> {
        let installed = apt::install(&self.runtime, &["rabbitmq-server"]);
        if installed.is_err() && !self.must_be_installed && docker::works() {
            return Ok(Some(
                "could not be installed, Docker will run it".to_owned(),
            ));
        }
        installed?;
        Source::find().context("rabbitmq-server is installed, but not where it is expected")?;
        Ok(None)
    }
}
