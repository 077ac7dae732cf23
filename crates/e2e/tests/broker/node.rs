//! A broker of these tests' own, to add users to and to look into.

use crate::certificates::{Authority, Pair};
use ncs_e2e::free_port;
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions, Release};
use std::sync::Arc;

/// A node of this release, shared with the tests that run at the same time.
pub(crate) fn shared(release: Release) -> Arc<RabbitMq> {
    RabbitMq::shared(release).expect("a node")
}

/// `rabbitmqctl`, which must succeed.
pub(crate) fn ctl(node: &RabbitMq, arguments: &[&str]) -> String {
    node.ctl(arguments).expect("rabbitmqctl succeeds")
}

/// A node that also listens with TLS.
pub(crate) struct TlsNode {
    pub(crate) node: RabbitMq,
    port: u16,
}

/// Whom the node lets in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    /// Everybody.
    Any,
    /// Those with a certificate of its CA.
    WithCertificate,
}

impl TlsNode {
    /// With further lines of its configuration.
    pub(crate) fn start(
        authority: &Authority,
        server: &Pair,
        clients: Clients,
        further: &[&str],
    ) -> Self {
        let port = free_port().expect("a port");
        let strict = clients == Clients::WithCertificate;
        let mut config = vec![
            format!("listeners.ssl.1 = 127.0.0.1:{port}"),
            format!(
                "ssl_options.cacertfile = {}",
                authority.certificate.display()
            ),
            format!("ssl_options.certfile = {}", server.certificate.display()),
            format!("ssl_options.keyfile = {}", server.key.display()),
            format!("ssl_options.fail_if_no_peer_cert = {strict}"),
            format!(
                "ssl_options.verify = {}",
                if strict { "verify_peer" } else { "verify_none" }
            ),
        ];
        config.extend(further.iter().copied().map(String::from));
        let options = RabbitMqOptions {
            config,
            ..RabbitMqOptions::default()
        };
        Self {
            node: RabbitMq::start(options).expect("a node"),
            port,
        }
    }

    pub(crate) fn url(&self, host: &str) -> String {
        format!("amqps://guest:guest@{host}:{}", self.port)
    }

    /// Its TLS port, spoken to without TLS.
    pub(crate) fn url_without_tls(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// Its other port, spoken to with TLS.
    pub(crate) fn url_of_the_plain_port(&self) -> String {
        format!("amqps://guest:guest@{}", self.node.amqp_addr())
    }
}
