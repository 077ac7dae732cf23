//! Who is there, by what the workers announce. It is heard over AMQP alone.

use super::fleet::Host;
use crate::workers::{Listener, Roster};
use ncs_broker::{BrokerError, Connection};
use ncs_protocol::Announcement;
use ncs_protocol::announcement::{INTERVAL, SILENCE, State};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::time::{timeout, timeout_at};

/// After so long everybody has spoken.
const EVERYBODY: Duration = INTERVAL.saturating_add(Duration::from_millis(300));
/// What is there already is heard at once.
const AT_ONCE: Duration = Duration::from_millis(20);

/// The workers that were heard over one connection.
pub(super) struct Crew {
    roster: Roster,
    /// `None`: no worker that announces itself has ever run, or this user may not listen.
    listener: Option<Listener>,
    since: tokio::time::Instant,
}

impl Crew {
    /// Begins to listen.
    pub(super) async fn of(connection: &Connection) -> Result<Self, BrokerError> {
        let listener = match Listener::open(connection).await {
            Ok(listener) => Some(listener),
            Err(error) if error.is_temporary() => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "cannot listen to the workers");
                None
            }
        };
        Ok(Self {
            roster: Roster::default(),
            listener,
            since: tokio::time::Instant::now(),
        })
    }

    /// Listens until so many workers were heard, or everybody has had a chance to speak. May be dropped at
    /// any time.
    pub(super) async fn hear(&mut self, workers: usize) -> Result<(), BrokerError> {
        loop {
            let Some(listener) = &mut self.listener else {
                return Ok(());
            };
            let next = listener.next();
            let heard = if self.roster.len() < workers {
                timeout_at(self.since + EVERYBODY, next).await
            } else {
                timeout(AT_ONCE, next).await
            };
            match heard {
                Ok(announcement) => self.roster.hear(announcement?, Instant::now()),
                Err(_elapsed) => break,
            }
        }
        self.roster.forget(SILENCE, Instant::now());
        Ok(())
    }

    /// Listens for as long as it is polled.
    pub(super) async fn listen(&mut self) -> Infallible {
        while let Some(listener) = &mut self.listener {
            match listener.next().await {
                Ok(announcement) => self.roster.hear(announcement, Instant::now()),
                // The next look finds that the connection is gone.
                Err(_lost) => self.listener = None,
            }
        }
        std::future::pending().await
    }

    /// Those that were heard.
    pub(super) fn workers(&self) -> impl Iterator<Item = &Announcement> {
        self.roster.workers()
    }
}

/// Adds what the workers say: their devices, to hosts that the management API has told, and the hosts that
/// it has not.
pub(super) fn add(hosts: &mut Vec<Host>, workers: &[Announcement]) {
    let told: BTreeSet<String> = hosts
        .iter()
        .filter(|host| !host.foreign)
        .map(|host| host.name.clone())
        .collect();
    for worker in workers {
        let place = hosts
            .iter()
            .position(|host| !host.foreign && host.name == worker.host);
        let place = place.unwrap_or_else(|| {
            hosts.push(Host {
                name: worker.host.clone(),
                ..Host::default()
            });
            hosts.len() - 1
        });
        let host = &mut hosts[place];
        for (sum, count) in [
            (&mut host.devices, worker.devices),
            (&mut host.quarantined, worker.quarantined),
            (&mut host.lost, worker.lost),
        ] {
            *sum.get_or_insert(0) += u64::from(count);
        }
        if !told.contains(&worker.host) {
            host.workers += 1;
            host.consuming += usize::from(worker.state == State::Serving);
            host.prefetch += u64::from(worker.prefetch);
            host.models.insert(worker.model.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::testing::announcement;

    #[test]
    fn workers_are_put_together_by_their_hosts() {
        let waiting = Announcement {
            state: State::Waiting,
            devices: 0,
            lost: 2,
            prefetch: 0,
            ..announcement("pi/2", "pi")
        };
        let workers = [
            announcement("attic/9", "attic"),
            announcement("pi/1", "pi"),
            waiting,
        ];
        let mut hosts = Vec::new();
        add(&mut hosts, &workers);
        let names: Vec<_> = hosts.iter().map(|host| &*host.name).collect();
        assert_eq!(names, ["attic", "pi"]);
        let pi = &hosts[1];
        assert_eq!((pi.workers, pi.consuming, pi.prefetch), (2, 1, 8));
        assert_eq!((pi.devices, pi.lost, pi.in_hand), (Some(2), Some(2), None));
    }

    #[test]
    fn what_the_management_api_tells_is_not_counted_twice() {
        let told = |name: &str| Host {
            name: name.to_owned(),
            workers: 1,
            in_hand: Some(3),
            ..Host::default()
        };
        let mut hosts = vec![told("old"), told("pi")];
        add(&mut hosts, &[announcement("pi/1", "pi")]);
        assert_eq!(hosts[0].devices, None, "it does not announce itself");
        let pi = &hosts[1];
        assert_eq!((pi.workers, pi.in_hand, pi.devices), (1, Some(3), Some(2)));
    }
}
