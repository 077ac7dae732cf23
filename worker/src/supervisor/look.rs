//! Looking at the devices while all goes well: which came, which went, how warm they are.

use super::inside::{Inside, stick_names};
use super::probe;
use crate::pool::Cause;
use ncs_engine::Device;
use std::time::{Duration, Instant};

/// Asking a stick for its temperature leaks a few bytes, see `Runtime::temperature`.
const TEMPERATURE_EVERY: Duration = Duration::from_secs(30);

impl Inside {
    /// Looks for devices that came or went.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        self.looked = Instant::now();
        if self.openvino.is_lost() {
            self.renew()?;
        }
        let Some(found) = self.list() else {
            return Ok(());
        };
        self.measure_temperatures();
        let target = self.resolve(&found).ok();
        let Some(members) = self.serving.as_ref().map(|serving| serving.members.clone()) else {
            return match target {
                Some(_) => self.rebuild(Cause::Appeared),
                None => Ok(()),
            };
        };
        let Some(target) = target else {
            return self.rebuild(Cause::Lost);
        };
        if let Some(stick) = listed_twice(&found) {
            tracing::info!("{stick} was lost and is back; starting over with it");
            self.quarantine.release(stick, Instant::now());
            self.start_over()?;
            return self.rebuild(Cause::Appeared);
        }
        let newcomers: Vec<String> = target
            .members
            .iter()
            .filter(|member| !members.contains(member))
            .cloned()
            .collect();
        let target = if newcomers.is_empty() {
            target
        } else {
            let failing =
                probe::failing(&mut self.openvino, &self.plan, &newcomers, self.inferences)?;
            self.leave_out(&failing);
            match self.resolve(&found) {
                Ok(target) => target,
                Err(_) => return self.rebuild(Cause::Lost),
            }
        };
        let same = target.members.len() == members.len()
            && target.members.iter().all(|member| members.contains(member));
        if same {
            self.show_sticks(&found);
            return Ok(());
        }
        // The network that runs goes on until the next one is there.
        let cause = if newcomers.is_empty() {
            Cause::Lost
        } else {
            Cause::Appeared
        };
        match self.load(&target) {
            Ok(network) => {
                self.metrics.rebuilt(cause);
                self.switch_to(network, target)
            }
            Err(error) => {
                tracing::warn!("{error:#}; trying the devices one by one");
                self.rebuild(cause)
            }
        }
    }

    pub(super) fn show_sticks(&self, found: &[Device]) {
        let now = Instant::now();
        let sticks = stick_names(found);
        let is_stick = |name: &&String| sticks.contains(&name.as_str());
        let serving = self
            .serving
            .as_ref()
            .map_or(0, |serving| serving.members.iter().filter(is_stick).count());
        let quarantined = self.quarantine.count(sticks.iter().copied(), now);
        let lost = self.most_sticks.saturating_sub(sticks.len());
        self.metrics.set_sticks(serving, quarantined, lost);
    }

    fn measure_temperatures(&mut self) {
        if self
            .measured
            .is_some_and(|at| at.elapsed() < TEMPERATURE_EVERY)
        {
            return;
        }
        self.measured = Some(Instant::now());
        let members = self.serving.as_ref().map(|serving| serving.members.clone());
        let temperatures = members.unwrap_or_default().into_iter().filter_map(|stick| {
            let celsius = self.plan.temperature(&mut self.openvino, &stick)?;
            Some((stick, celsius))
        });
        let temperatures: Vec<_> = temperatures.collect();
        self.metrics.set_temperatures(&temperatures);
    }
}

/// A stick that was lost and is back, see [`Runtime::devices`].
fn listed_twice(found: &[Device]) -> Option<&str> {
    let sticks = || found.iter().filter(|device| device.is_stick());
    let times = |name: &str| sticks().filter(|device| device.name == name).count();
    sticks()
        .find(|device| times(&device.name) > 1)
        .map(|device| device.name.as_str())
}
