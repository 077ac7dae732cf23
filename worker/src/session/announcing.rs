//! Saying every few seconds who this worker is, for whoever listens.

use super::{Settings, Work};
use crate::supervisor::Service;
use ncs_broker::{BrokerError, Message, Publisher};
use ncs_protocol::Announcement;
use ncs_protocol::announcement::{INTERVAL, State, WORKERS_EXCHANGE};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long the last word may take: nothing waits for it but the end of the process.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// Where others find `/metrics`.
#[derive(Debug, Clone)]
pub struct MetricsAddress {
    /// What a person has said.
    pub advertised: Option<String>,
    /// Where it is served.
    pub bound: SocketAddr,
}

impl MetricsAddress {
    /// As `host:port`; `None` where only this host reaches it. `local` is our side of the connection to the
    /// broker, so whoever shares a network with the broker reaches us there.
    fn reachable(&self, local: IpAddr) -> Option<String> {
        if let Some(advertised) = &self.advertised {
            return Some(advertised.clone());
        }
        let ip = match self.bound.ip() {
            ip if ip.is_unspecified() => local,
            ip if ip.is_loopback() && !local.is_loopback() => return None,
            ip => ip,
        };
        Some(SocketAddr::new(ip, self.bound.port()).to_string())
    }
}

impl Work<'_> {
    /// Announces this worker every [`INTERVAL`]. Ends by itself only with an error.
    pub(super) async fn announce(
        &self,
        publisher: &Publisher,
        local: IpAddr,
    ) -> Result<Infallible, BrokerError> {
        let mut turn = interval(INTERVAL);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut service = self.settings.service.clone();
        loop {
            tokio::select! {
                _ = turn.tick() => {}
                // A change is worth a word at once. An error: the supervisor has ended, and the worker
                // is about to.
                Ok(()) = service.changed() => {}
            }
            let state = match *service.borrow_and_update() {
                Service::Up { .. } => State::Serving,
                Service::Interrupted | Service::Down => State::Waiting,
            };
            let message = message(self.settings, local, state);
            publisher.publish(&message).await?.confirmed().await?;
        }
    }
}

/// The last word. Without it, others find out by the silence.
pub(super) async fn say_goodbye(settings: &Settings, publisher: &Publisher, local: IpAddr) {
    let message = message(settings, local, State::Leaving);
    let saying = async { publisher.publish(&message).await?.confirmed().await };
    let _ = timeout(GOODBYE_LIMIT, saying).await;
}

fn message(settings: &Settings, local: IpAddr, state: State) -> Message {
    let network = &settings.metrics.network;
    let (quarantined, lost) = network.missing_sticks();
    let is_serving = state == State::Serving;
    let announcement = Announcement {
        worker: settings.answers.identity.worker.clone(),
        host: settings.answers.identity.host.clone(),
        model: settings.answers.model.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        metrics: settings.metrics_address.reachable(local),
        state,
        devices: network.devices(),
        quarantined,
        lost,
        prefetch: if is_serving { network.prefetch() } else { 0 },
    };
    let (properties, body) = announcement.to_message();
    Message {
        exchange: WORKERS_EXCHANGE.to_owned(),
        routing_key: String::new(),
        // Where nobody listens, nobody misses it.
        mandatory: false,
        properties,
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_reached_where_the_brokers_network_knows_us_unless_they_are_for_this_host_alone()
    {
        let reachable = |bound: &str, local: &str, advertised: Option<&str>| {
            let address = MetricsAddress {
                advertised: advertised.map(str::to_owned),
                bound: bound.parse().unwrap(),
            };
            address.reachable(local.parse().unwrap())
        };
        for (bound, local, expected) in [
            ("0.0.0.0:9464", "10.0.0.3", Some("10.0.0.3:9464")),
            ("[::]:9464", "fd00::3", Some("[fd00::3]:9464")),
            ("10.1.0.3:9464", "10.0.0.3", Some("10.1.0.3:9464")),
            ("127.0.0.1:9464", "10.0.0.3", None),
            ("127.0.0.1:9464", "127.0.0.1", Some("127.0.0.1:9464")),
        ] {
            assert_eq!(
                reachable(bound, local, None).as_deref(),
                expected,
                "{bound}"
            );
        }
        let said = reachable("127.0.0.1:9464", "10.0.0.3", Some("nuc-3:80"));
        assert_eq!(said.as_deref(), Some("nuc-3:80"));
    }
}
