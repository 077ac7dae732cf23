//! A model that is loaded on one stick or, as the MULTI device does, on several.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::backend::{Backend, RealNetwork};
use crate::ir::Model;
use crate::stick::{Inference, Stick};

/// A compiled model.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) model: Arc<Model>,
    pub(crate) requests: Arc<AtomicU64>,
    pub(crate) members: Vec<Member>,
    /// Computes the scores, if there is a real OpenVINO.
    pub(crate) real: Option<(Arc<Backend>, Arc<RealNetwork>)>,
    /// An input that begins with this word kills the process.
    pub(crate) poison: Option<u64>,
    /// Held while the idlest member is chosen and given an inference, so that two threads do not
    /// choose the same one.
    choosing: Mutex<()>,
    /// The host's record, over all networks.
    max_in_flight: Arc<AtomicUsize>,
}

/// A stick in the life in which the network was loaded on it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) stick: Arc<Stick>,
    pub(crate) life: u64,
}

impl Network {
    pub(crate) fn new(
        model: Arc<Model>,
        members: Vec<Member>,
        max_in_flight: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            model,
            requests: Arc::default(),
            members,
            real: None,
            poison: None,
            choosing: Mutex::new(()),
            max_in_flight,
        }
    }

    pub(crate) fn ports(&self) -> Vec<String> {
        let ports = self.members.iter().map(|member| member.stick.port.clone());
        ports.collect()
    }

    /// Starts an inference on the member with the fewest in hand; of several, on the one that was
    /// given none for the longest. So a member that fails everything at once is given the most.
    pub(crate) fn start(&self, now: Instant) -> Option<Arc<Inference>> {
        let _mine = self.choosing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut in_flight = 1;
        let mut idlest = None;
        for member in &self.members {
            let load = member.stick.load(now);
            in_flight += load.0;
            if idlest.is_none_or(|(least, _)| load < least) {
                idlest = Some((load, member));
            }
        }
        self.max_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        idlest.map(|(_, member)| member.stick.start(member.life, now))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for member in &self.members {
            member.stick.unload_network();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::condition::{Condition, Line};
    use crate::settings::Pace;

    const PACE: Pace = Pace {
        latency: Duration::from_millis(20),
        service: Duration::from_millis(10),
    };

    fn network(sticks: usize, now: Instant) -> Network {
        let line = Line {
            condition: Condition::Ok,
            celsius: None,
        };
        let member = |n: usize| Member {
            stick: Arc::new(Stick::new(
                &format!("1.{n}"),
                line,
                PACE,
                Duration::ZERO,
                now,
            )),
            life: 0,
        };
        let model = Model {
            inputs: Vec::new(),
            outputs: Vec::new(),
            path: String::new(),
        };
        Network::new(
            Arc::new(model),
            (1..=sticks).map(member).collect(),
            Arc::default(),
        )
    }

    fn started(network: &Network, now: Instant) -> Vec<u64> {
        let of = |member: &Member| member.stick.counts(now).started;
        network.members.iter().map(of).collect()
    }

    #[test]
    fn inferences_are_spread_evenly() {
        let now = Instant::now();
        let network = network(3, now);
        for n in 0..12 {
            network.start(now + Duration::from_nanos(n));
        }
        assert_eq!(started(&network, now), [4, 4, 4]);
        assert_eq!(network.max_in_flight.load(Ordering::Relaxed), 12);
    }

    #[test]
    fn idle_sticks_take_turns() {
        let now = Instant::now();
        let network = network(2, now);
        for n in 0..4 {
            network.start(now + Duration::from_secs(n));
        }
        assert_eq!(started(&network, now), [2, 2]);
    }

    #[test]
    fn a_lost_stick_is_given_nearly_everything() {
        let now = Instant::now();
        let network = network(2, now);
        network.members[1].stick.apply(None, now);
        for n in 0..100 {
            network.start(now + Duration::from_nanos(n));
        }
        assert_eq!(started(&network, now), [1, 99]);
    }
}
