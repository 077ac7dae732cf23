//! Rebuilding: find out which device it is, leave it out, load the network over the others.

use super::inside::Inside;
use super::{Service, probe};
use crate::pool::Cause;
use ncs_engine::EngineError;
use ncs_program::exit::StartMeAgain;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// When no device proves to be the culprit, the next search tries each four times as often, until
/// one that fails now and then shows itself.
const MOST_INFERENCES: u32 = 256;

/// After so long without another search, the next one begins with one inference each again.
const FORGET_AFTER: Duration = Duration::from_secs(10 * 60);

enum Rebuilt {
    Yes,
    NoDevice,
    NoneAnswers(String),
}

impl Inside {
    /// Replaces a network that does not work, or that there is none of.
    pub(super) fn rebuild(&mut self, cause: Cause) -> anyhow::Result<()> {
        self.metrics.rebuilt(cause);
        let mut members = Vec::new();
        if let Some(serving) = &self.serving {
            members.clone_from(&serving.members);
            if serving.generation.answered() > 0 {
                self.failed_rebuilds = 0;
            } else if cause.is_trouble() {
                self.failed("the network answers no job")?;
            }
        }
        if !cause.leaves_others_working() {
            self.start_over()?;
        }
        let rebuilt = match self.try_to_rebuild(&members)? {
            // A runtime that has lost its devices may never find them again: with a new one, then.
            Rebuilt::NoneAnswers(reasons) => {
                tracing::warn!("no device answers: {reasons}; starting openvino anew");
                self.start_over()?;
                self.quarantine.release_all(Instant::now());
                self.try_to_rebuild(&[])?
            }
            rebuilt => rebuilt,
        };
        match rebuilt {
            Rebuilt::Yes => Ok(()),
            Rebuilt::NoDevice => {
                self.let_go();
                self.go_down();
                Ok(())
            }
            Rebuilt::NoneAnswers(reasons) => {
                self.let_go();
                self.go_down();
                self.failed(&reasons)
            }
        }
    }

    /// Lets go of the network and of the runtime, and begins with a new one. After the loss of a stick
    /// nothing less will do: the plugin goes on listing it, never opens it again once it is back, and
    /// its watchdog resets all other sticks some 12 s later.
    pub(super) fn start_over(&mut self) -> anyhow::Result<()> {
        self.tell(Service::Interrupted);
        self.let_go();
        self.renew()
    }

    /// A new runtime in place of the one that there is, or that was lost.
    pub(super) fn renew(&mut self) -> anyhow::Result<()> {
        self.openvino
            .renew()
            .map_err(|error| StartMeAgain(format!("{error:#}")).into())
    }

    /// Counts a rebuild that did not help. The last one that is allowed is an error.
    fn failed(&mut self, reasons: &str) -> anyhow::Result<()> {
        self.failed_rebuilds += 1;
        let (failed, most) = (self.failed_rebuilds, self.plan.max_failed_rebuilds);
        tracing::warn!("rebuild {failed} of at most {most} has failed: {reasons}");
        if failed < most {
            return Ok(());
        }
        Err(StartMeAgain(format!(
            "the network could not be rebuilt, {failed} times: {reasons}; ending, so that a \
             supervisor starts this worker anew; if that does not help, unplug the sticks and plug \
             them in again"
        ))
        .into())
    }

    /// Loads the network over the devices that answer. A member of the network before that is no
    /// longer listed was the culprit; otherwise all are tried.
    fn try_to_rebuild(&mut self, members: &[String]) -> anyhow::Result<Rebuilt> {
        if self.openvino.is_lost() {
            self.renew()?;
        }
        let Some(found) = self.list() else {
            return Ok(Rebuilt::NoneAnswers("openvino lists no devices".to_owned()));
        };
        let Ok(target) = self.resolve(&found) else {
            return Ok(Rebuilt::NoDevice);
        };
        let gone = |member: &String| !found.iter().any(|device| device.name == *member);
        let failing = if members.iter().any(gone) {
            BTreeMap::new()
        } else {
            self.search(&target.members)?
        };
        let reasons = || {
            let reasons = failing
                .iter()
                .map(|(device, why)| format!("{device}: {why}"));
            reasons.collect::<Vec<_>>().join("; ")
        };
        let Ok(target) = self.resolve(&found) else {
            return Ok(Rebuilt::NoneAnswers(reasons()));
        };
        match self.load(&target) {
            Ok(network) => self.switch_to(network, target).map(|()| Rebuilt::Yes),
            Err(error) => match error.downcast_ref::<EngineError>() {
                None | Some(EngineError::OpenVino { .. }) => {
                    Ok(Rebuilt::NoneAnswers(format!("{error:#}")))
                }
                Some(_) => Err(error),
            },
        }
    }

    /// Tries each of these devices, and leaves out those that fail.
    fn search(&mut self, devices: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
        if self.searched.is_none_or(|at| at.elapsed() > FORGET_AFTER) {
            self.inferences = 1;
        }
        let (openvino, plan) = (&mut self.openvino, &self.plan);
        let failing = probe::failing(openvino, plan, devices, self.inferences)?;
        self.searched = Some(Instant::now());
        self.inferences = if failing.is_empty() {
            (self.inferences * 4).min(MOST_INFERENCES)
        } else {
            1
        };
        self.leave_out(&failing);
        Ok(failing)
    }

    pub(super) fn leave_out(&mut self, failing: &BTreeMap<String, String>) {
        for (device, reason) in failing {
            let time = self.quarantine.leave_out(device, Instant::now());
            tracing::warn!("{device} does not work: {reason}; left out for {time:?}");
        }
    }
}
