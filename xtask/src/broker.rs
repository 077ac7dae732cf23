//! The broker that demo and tests run against.

use anyhow::{Result, bail};
use ncs_e2e::rabbitmq::{Installation, RabbitMq, RabbitMqOptions};

use crate::docker::{self, DockerRabbitMq};

/// Where the broker comes from, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `NCS_AMQP_URL` names a broker that runs already.
    Given(String),
    /// A private node of the installed `RabbitMQ`.
    Installed(Installation),
    /// A container.
    Docker,
}

impl Source {
    /// The first that can be had without installing anything.
    pub(crate) fn find() -> Option<Self> {
        let given = std::env::var("NCS_AMQP_URL")
            .ok()
            .filter(|url| !url.is_empty());
        given
            .map(Self::Given)
            .or_else(|| Installation::find().map(Self::Installed))
            .or_else(|| docker::works().then_some(Self::Docker))
    }
}

/// A broker that is ours to use. Dropping it ends it, if we have started it.
#[derive(Debug)]
pub(crate) enum Broker {
    Given(String),
    Private(Box<RabbitMq>),
    Docker(DockerRabbitMq),
}

impl Broker {
    pub(crate) fn start() -> Result<Self> {
        match Source::find() {
            Some(Source::Given(url)) => {
                println!("Broker: the one that NCS_AMQP_URL names");
                Ok(Self::Given(url))
            }
            Some(Source::Installed(_)) => {
                println!("Broker: starting a private RabbitMQ node");
                RabbitMq::start(RabbitMqOptions::default())
                    .map(Box::new)
                    .map(Self::Private)
            }
            Some(Source::Docker) => {
                println!("Broker: starting RabbitMQ in Docker");
                DockerRabbitMq::start().map(Self::Docker)
            }
            None => bail!("there is no broker: {NO_BROKER}"),
        }
    }

    pub(crate) fn amqp_url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Private(node) => node.amqp_url(),
            Self::Docker(container) => container.amqp_url(),
        }
    }

    pub(crate) fn stop(self) -> Result<()> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Private(node) => node.stop(),
            Self::Docker(container) => container.stop(),
        }
    }
}

/// What one of them takes.
pub(crate) const NO_BROKER: &str =
    "install the package rabbitmq-server, start Docker, or set NCS_AMQP_URL to a RabbitMQ";
