//! The broker that demo and tests run against.

use std::net::ToSocketAddrs;
use std::time::Duration;

use anyhow::{Result, bail};
use ncs_e2e::rabbitmq::{Installation, RabbitMq, RabbitMqOptions, speaks_amqp};

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
                check_given(&url)?;
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

    /// The CPU time that it has used so far, where it is a process of ours.
    pub(crate) fn cpu_time(&self) -> Result<Option<Duration>> {
        match self {
            Self::Private(node) => Ok(Some(node.usage()?.cpu_time)),
            Self::Given(_) | Self::Docker(_) => Ok(None),
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

/// Finds out now, and not after minutes, that nobody answers at an `amqp://` address.
fn check_given(url: &str) -> Result<()> {
    let Some(authority) = authority_of(url) else {
        return Ok(());
    };
    let answers = |node: &str| {
        let addresses = node.to_socket_addrs();
        addresses.is_ok_and(|mut addresses| addresses.any(speaks_amqp))
    };
    if !authority.split(',').any(answers) {
        bail!(
            "no broker answers at {authority}, which NCS_AMQP_URL names; start it, or unset \
             NCS_AMQP_URL to have a private one"
        );
    }
    Ok(())
}

/// `host:port` of an `amqp://` URL, several of a cluster's with commas, without credentials. Nothing of
/// others: TLS is not for a look from outside, and what is no address the programs refuse with a reason.
fn authority_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("amqp://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority
        .rsplit('@')
        .next()
        .filter(|host| !host.is_empty())?;
    let with_port = |node: &str| {
        let has_port = node
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port {
            node.to_owned()
        } else {
            format!("{node}:5672")
        }
    };
    Some(host.split(',').map(with_port).collect::<Vec<_>>().join(","))
}

/// What one of them takes.
pub(crate) const NO_BROKER: &str =
    "install the package rabbitmq-server, start Docker, or set NCS_AMQP_URL to a RabbitMQ";

#[cfg(test)]
mod tests {
    use super::authority_of;

    #[test]
    fn the_brokers_host_is_told_without_its_credentials() {
        let cases = [
            ("amqp://ann:s3cret@rabbit:5673/fleet", Some("rabbit:5673")),
            ("amqp://rabbit", Some("rabbit:5672")),
            ("amqp://a:b@one,two:5673", Some("one:5672,two:5673")),
            ("amqp://[::1]:5672/%2f", Some("[::1]:5672")),
            ("amqps://rabbit", None),
        ];
        for (url, expected) in cases {
            assert_eq!(authority_of(url).as_deref(), expected, "{url}");
        }
    }
}
