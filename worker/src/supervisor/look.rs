//! Looking at the devices while all goes well: which came, which went, how warm they are.

use super::inside::Inside;
use crate::metrics::{StickState, StickStates};
use crate::pool::Cause;
use ncs_engine::{Device, is_stick};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Asking a stick for its temperature leaks a few bytes, see `Runtime::temperature`.
const TEMPERATURE_EVERY: Duration = Duration::from_secs(30);

impl Inside {
    /// Looks for devices that came or went.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        self.looked = Instant::now();
        let Some(found) = self.list()? else {
            return Ok(());
        };
        self.measure_temperatures()?;
        let target = self.target(&found, &BTreeMap::new());
        let Some(serving) = &self.serving else {
            return match target {
                Ok(_) => self.rebuild(Cause::Appeared),
                Err(_) => self.no_device(),
            };
        };
        let members = serving.members.clone();
        let Ok(mut target) = target else {
            return self.rebuild(Cause::Lost);
        };
        if let Some(stick) = listed_twice(&found)
            && self.quarantine.is_back(stick, Instant::now())
        {
            tracing::info!("{stick} was lost and is back; starting over with it");
            self.start_over()?;
            return self.rebuild(Cause::Appeared);
        }
        let is_new = |member: &&String| !members.contains(member);
        let newcomers: Vec<String> = target.members.iter().filter(is_new).cloned().collect();
        if !newcomers.is_empty() {
            // Beside the network that serves.
            let failing = self.try_each(&newcomers)?;
            self.leave_out(&failing);
            for device in newcomers
                .iter()
                .filter(|device| !failing.contains_key(*device))
            {
                tracing::info!("{device} works; taking it in");
            }
            match self.target(&found, &failing) {
                Ok(rest) => target = rest,
                Err(_) => return self.rebuild(Cause::Lost),
            }
        }
        let same = target.members.len() == members.len()
            && target.members.iter().all(|member| members.contains(member));
        if same {
            self.show_sticks();
            return Ok(());
        }
        let cause = if newcomers.is_empty() {
            Cause::Lost
        } else {
            Cause::Appeared
        };
        // The network that runs goes on until the next one is there.
        match self.load(&target)? {
            Ok(network) => {
                self.metrics.rebuilt(cause);
                self.switch_to(network, target)
            }
            Err(refused) => {
                tracing::warn!("{refused}; trying the devices one by one");
                self.rebuild(cause)
            }
        }
    }

    /// Says which stick is in which state.
    pub(super) fn show_sticks(&self) {
        let now = Instant::now();
        let members = self.serving.as_ref().map(|serving| &serving.members);
        let serves = |stick: &str| {
            members.is_some_and(|members| members.iter().any(|member| member == stick))
        };
        let mut sticks: StickStates = self
            .known
            .lost()
            .into_iter()
            .map(|(names, sticks)| (names, (sticks, StickState::Lost)))
            .collect();
        for stick in stick_names(&self.found) {
            let state = if serves(stick) {
                StickState::Serving
            } else if self.quarantine.holds(stick, now) {
                StickState::Quarantined
            } else {
                StickState::Unused
            };
            sticks.insert(stick.to_owned(), (1, state));
        }
        self.metrics.set_sticks(&sticks);
    }

    fn measure_temperatures(&mut self) -> anyhow::Result<()> {
        if self.measure_at.is_none_or(|at| Instant::now() < at) {
            return Ok(());
        }
        self.measure_at = Some(Instant::now() + TEMPERATURE_EVERY);
        let serving = self.serving.as_ref();
        let members = serving.map_or_else(Vec::new, |serving| serving.members.clone());
        let mut temperatures = Vec::new();
        for stick in members.into_iter().filter(|member| is_stick(member)) {
            match self.openvino.temperature(&stick)? {
                Ok(Some(celsius)) => temperatures.push((stick, celsius)),
                Ok(None) => {}
                Err(refused) => {
                    // It has cost a runtime; no figure is worth another one.
                    tracing::warn!("{refused}; no temperatures from now on");
                    self.measure_at = None;
                    break;
                }
            }
        }
        self.metrics.set_temperatures(&temperatures);
        Ok(())
    }
}

/// A stick that was lost and is back, see `Runtime::devices`.
fn listed_twice(found: &[Device]) -> Option<&str> {
    let sticks = || found.iter().filter(|device| device.is_stick());
    let times = |name: &str| sticks().filter(|device| device.name == name).count();
    sticks()
        .find(|device| times(&device.name) > 1)
        .map(|device| device.name.as_str())
}

/// The sticks among these devices, each once.
pub(super) fn stick_names(found: &[Device]) -> Vec<&str> {
    let mut names: Vec<&str> = found
        .iter()
        .filter(|device| device.is_stick())
        .map(|device| device.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
