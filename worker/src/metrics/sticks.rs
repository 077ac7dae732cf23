//! The figures of single sticks.

use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a stick of this host is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StickState {
    /// The network runs on it.
    Serving,
    /// It failed, and is left out for a while.
    Quarantined,
    /// It was there and is no longer.
    Lost,
    /// It is there, and the network does not run on it: it is being loaded, or is to run elsewhere.
    Unused,
}

impl StickState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Serving, Self::Quarantined, Self::Lost, Self::Unused];

    /// As the metrics say it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Quarantined => "quarantined",
            Self::Lost => "lost",
            Self::Unused => "unused",
        }
    }
}

/// Which stick is at what: by its name, how many go by it (more than one only where OpenVINO does
/// not tell which of several is meant), and their state.
pub type StickStates = BTreeMap<String, (usize, StickState)>;

/// States and temperatures. A scrape may come at any moment, so series that stay are never taken
/// away in between.
#[derive(Clone)]
pub(super) struct StickMetrics {
    count: IntGaugeVec,
    state: IntGaugeVec,
    temperature: GaugeVec,
    shown: Arc<Mutex<Shown>>,
}

/// The sticks that have series.
#[derive(Default)]
struct Shown {
    states: BTreeSet<String>,
    temperatures: BTreeSet<String>,
}

impl StickMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let count = IntGaugeVec::new(
            Opts::new(
                "ncs_worker_sticks",
                "Sticks of this host: serving, quarantined (left out for a while because they \
                 failed), lost (no longer there), or unused (there, and the network does not run on \
                 them).",
            ),
            &["state"],
        )?;
        let state = IntGaugeVec::new(
            Opts::new(
                "ncs_worker_stick_state",
                "1 for the state that a stick is in, 0 for the others.",
            ),
            &["stick", "state"],
        )?;
        let temperature = GaugeVec::new(
            Opts::new(
                "ncs_worker_stick_temperature_celsius",
                "Temperature of each stick that serves, looked at each 30 s.",
            ),
            &["stick"],
        )?;
        registry.register(Box::new(count.clone()))?;
        registry.register(Box::new(state.clone()))?;
        registry.register(Box::new(temperature.clone()))?;
        for state in StickState::ALL {
            count.with_label_values(&[state.as_str()]);
        }
        Ok(Self {
            count,
            state,
            temperature,
            shown: Arc::default(),
        })
    }

    /// How many are in this state.
    pub(super) fn in_state(&self, state: StickState) -> IntGauge {
        self.count.with_label_values(&[state.as_str()])
    }

    pub(super) fn set_states(&self, sticks: &StickStates) {
        for state in StickState::ALL {
            let in_it = sticks.values().filter(|(_, at)| *at == state);
            let sticks: usize = in_it.map(|(sticks, _)| sticks).sum();
            self.in_state(state).set(super::count(sticks));
        }
        for (stick, (sticks, at)) in sticks {
            for state in StickState::ALL {
                let value = if state == *at {
                    super::count(*sticks)
                } else {
                    0
                };
                let labels = [stick.as_str(), state.as_str()];
                self.state.with_label_values(&labels).set(value);
            }
        }
        let now: BTreeSet<String> = sticks.keys().cloned().collect();
        let before = std::mem::replace(&mut self.shown().states, now);
        for stick in before.iter().filter(|stick| !sticks.contains_key(*stick)) {
            for state in StickState::ALL {
                // It was there.
                let _ = self
                    .state
                    .remove_label_values(&[stick.as_str(), state.as_str()]);
            }
        }
    }

    pub(super) fn set_temperatures(&self, temperatures: &[(String, f64)]) {
        for (stick, celsius) in temperatures {
            let temperature = self.temperature.with_label_values(&[stick.as_str()]);
            temperature.set(*celsius);
        }
        let now: BTreeSet<String> = temperatures
            .iter()
            .map(|(stick, _)| stick.clone())
            .collect();
        let mut shown = self.shown();
        for stick in shown.temperatures.difference(&now) {
            // It was there.
            let _ = self.temperature.remove_label_values(&[stick.as_str()]);
        }
        shown.temperatures = now;
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;

    fn text(registry: &Registry) -> String {
        TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap()
    }

    #[test]
    fn a_stick_has_a_series_for_each_state_and_none_once_it_is_forgotten() {
        let registry = Registry::new();
        let metrics = StickMetrics::register(&registry).unwrap();
        let mut sticks = StickStates::from([
            ("a".to_owned(), (1, StickState::Serving)),
            ("b".to_owned(), (1, StickState::Lost)),
        ]);
        metrics.set_states(&sticks);
        metrics.set_temperatures(&[("a".to_owned(), 41.5)]);
        let shown = text(&registry);
        for series in [
            "ncs_worker_stick_state{state=\"serving\",stick=\"a\"} 1",
            "ncs_worker_stick_state{state=\"lost\",stick=\"a\"} 0",
            "ncs_worker_stick_state{state=\"lost\",stick=\"b\"} 1",
            "ncs_worker_sticks{state=\"serving\"} 1",
            "ncs_worker_sticks{state=\"lost\"} 1",
            "ncs_worker_stick_temperature_celsius{stick=\"a\"} 41.5",
        ] {
            assert!(shown.contains(series), "{series} is not in\n{shown}");
        }
        sticks.remove("b");
        metrics.set_states(&sticks);
        metrics.set_temperatures(&[]);
        let shown = text(&registry);
        assert!(!shown.contains("stick=\"b\""), "{shown}");
        assert!(!shown.contains("celsius{"), "{shown}");
        assert!(
            shown.contains("ncs_worker_sticks{state=\"lost\"} 0"),
            "{shown}"
        );
    }
}
