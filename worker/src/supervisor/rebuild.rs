//! Rebuilding: find out which device it is, leave it out, load the network over the others.

use super::Service;
use super::inside::Inside;
use super::openvino::Refused;
use super::probe::{self, Failing};
use crate::pool::Cause;
use ncs_engine::{Device, EngineError, is_stick};
use ncs_program::exit::StartMeAgain;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// When no device proves to be the culprit, the next search tries each four times as often, until
/// one that fails now and then shows itself. So many inferences take 2 s.
const MOST_INFERENCES: u32 = 64;

/// Threads and requests that OpenVINO may keep. A stick that hangs keeps 4 or 5 each time it is taken
/// in, so this is far more than a host that can be helped ever has.
const MOST_LEFT_BEHIND: usize = 128;

/// After so long without another search, the next one begins with one inference each again.
const FORGET_AFTER: Duration = Duration::from_secs(10 * 60);

enum Rebuilt {
    /// Whether because a stick is gone.
    Yes {
        lost: bool,
    },
    NoDevice,
    NoneAnswers(String),
}

impl Inside {
    /// Replaces a network that is in trouble. `first` tells that the job in question has not failed
    /// before.
    pub(super) fn recover(&mut self, cause: Cause, first: bool) -> anyhow::Result<()> {
        let left_behind = self.left_behind();
        if left_behind >= MOST_LEFT_BEHIND {
            let reason = format!("{left_behind} calls have not come back from openvino");
            return Err(StartMeAgain(reason).into());
        }
        if let Some(serving) = &self.serving {
            if serving.generation.answered() > 0 {
                self.useless_networks = 0;
            } else if first {
                // The rebuild that made it did not help; the first network came from none.
                self.useless_networks += 1;
                if self.useless_networks > 1 {
                    let rebuilds = self.useless_networks - 1;
                    self.give_up_after(rebuilds, "the network answers no job")?;
                }
            }
        }
        self.rebuild(cause)
    }

    /// Loads the network anew, in place of one that does not work, or where there is none.
    pub(super) fn rebuild(&mut self, cause: Cause) -> anyhow::Result<()> {
        let serving = self.serving.as_ref();
        let members = serving.map_or_else(Vec::new, |serving| serving.members.clone());
        if !cause.leaves_others_working() {
            self.start_over()?;
        }
        let rebuilt = match self.try_to_rebuild(&members)? {
            // A runtime that has lost its devices may never find them again: with a new one, then.
            Rebuilt::NoneAnswers(reasons) => {
                tracing::warn!("no device answers: {reasons}; starting openvino anew");
                self.start_over()?;
                self.try_to_rebuild(&[])?
            }
            rebuilt => rebuilt,
        };
        match rebuilt {
            Rebuilt::Yes { lost } => {
                self.failed_rebuilds = 0;
                self.metrics.rebuilt(if lost { Cause::Lost } else { cause });
                Ok(())
            }
            Rebuilt::NoDevice => {
                self.let_go();
                self.go_down("no device is left");
                self.no_device()
            }
            Rebuilt::NoneAnswers(reasons) => {
                self.let_go();
                self.go_down("no device answers");
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
        self.openvino.renew()
    }

    /// There is nothing to run on. Where calls have not come back, they may keep the sticks from
    /// everybody else, as the real plugin does: then only another process finds them.
    pub(super) fn no_device(&mut self) -> anyhow::Result<()> {
        let held = self.left_behind();
        if held > 0 || !self.openvino.all_came_back() {
            self.failed("no device is listed, and calls that do not come back may hold them")?;
        }
        Ok(())
    }

    /// Counts a rebuild that did not help.
    fn failed(&mut self, reasons: &str) -> anyhow::Result<()> {
        self.failed_rebuilds += 1;
        self.give_up_after(self.failed_rebuilds, reasons)
    }

    /// The last failure that is allowed is an error.
    fn give_up_after(&self, failures: u32, reasons: &str) -> anyhow::Result<()> {
        let most = self.plan.max_failed_rebuilds;
        tracing::warn!("{reasons} (failure {failures}; the worker ends at {most} in a row)");
        if failures < most {
            return Ok(());
        }
        Err(StartMeAgain(format!(
            "the network could not be rebuilt, {failures} times: {reasons}; ending, so that a \
             supervisor starts this worker anew; if that does not help, plug sticks in again, allow \
             more time (--infer-timeout, --load-timeout), or ask ncs-worker doctor"
        ))
        .into())
    }

    /// Loads the network over the devices that answer. A stick of the network before that is no longer
    /// listed was the culprit; otherwise all are tried.
    fn try_to_rebuild(&mut self, members: &[String]) -> anyhow::Result<Rebuilt> {
        let Some(found) = self.list()? else {
            return Ok(Rebuilt::NoneAnswers("openvino lists no devices".to_owned()));
        };
        let lost = self.note_lost(members, &found);
        let Ok(target) = self.target(&found, &BTreeMap::new()) else {
            return Ok(Rebuilt::NoDevice);
        };
        let failing = if lost {
            BTreeMap::new()
        } else {
            self.search(&target.members)?
        };
        let reasons = || {
            let reasons = failing
                .iter()
                .map(|(device, failing)| format!("{device}: {}", failing.reason));
            reasons.collect::<Vec<_>>().join("; ")
        };
        if target
            .members
            .iter()
            .all(|member| failing.contains_key(member))
        {
            return Ok(Rebuilt::NoneAnswers(reasons()));
        }
        self.leave_out(&failing);
        let Ok(target) = self.target(&found, &failing) else {
            return Ok(Rebuilt::NoneAnswers(reasons()));
        };
        match self.load(&target)? {
            Ok(network) => {
                self.switch_to(network, target)?;
                Ok(Rebuilt::Yes { lost })
            }
            Err(Refused::Failed(error)) if !matches!(error, EngineError::OpenVino { .. }) => {
                Err(error.into())
            }
            Err(refused) => Ok(Rebuilt::NoneAnswers(refused.to_string())),
        }
    }

    /// Whether sticks of the network before are no longer there. Each has failed once more: one that
    /// comes and goes must not start everything over each time it comes.
    fn note_lost(&mut self, members: &[String], found: &[Device]) -> bool {
        let listed = |member: &&String| found.iter().any(|device| device.name == **member);
        let mut lost = members
            .iter()
            .filter(|member| is_stick(member) && !listed(member))
            .peekable();
        let any = lost.peek().is_some();
        for stick in lost {
            tracing::warn!("{stick} is gone");
            self.quarantine.leave_out(stick, Instant::now());
        }
        any
    }

    /// Tries each of these devices.
    fn search(&mut self, devices: &[String]) -> anyhow::Result<BTreeMap<String, Failing>> {
        if self.searched.is_none_or(|at| at.elapsed() > FORGET_AFTER) {
            self.inferences = 1;
        }
        let failing = self.try_each(devices)?;
        self.searched = Some(Instant::now());
        self.inferences = if failing.is_empty() {
            (self.inferences * 4).min(MOST_INFERENCES)
        } else {
            1
        };
        Ok(failing)
    }

    /// Tries each of these devices, and returns those that fail.
    pub(super) fn try_each(
        &mut self,
        devices: &[String],
    ) -> anyhow::Result<BTreeMap<String, Failing>> {
        let limit = self.load_limit();
        let (openvino, plan) = (&mut self.openvino, &self.plan);
        let tried = probe::try_each(openvino, plan, devices, self.inferences, limit)?;
        self.leave_behind(tried.left_behind);
        Ok(tried.failing)
    }

    /// Leaves devices out while others serve.
    pub(super) fn leave_out(&mut self, failing: &BTreeMap<String, Failing>) {
        for (device, Failing { reason, stuck }) in failing {
            let now = Instant::now();
            let time = if *stuck {
                self.quarantine.leave_out_for_long(device, now)
            } else {
                self.quarantine.leave_out(device, now)
            };
            let time = humantime::format_duration(time);
            let plug = if *stuck {
                ", or until it is plugged in again"
            } else {
                ""
            };
            tracing::warn!("{device} does not work: {reason}; left out for {time}{plug}");
        }
    }
}
