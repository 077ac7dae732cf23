//! Making things happen, and mending them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::fault::{Fault, HOSTS, Kind};
use super::fleet::Fleet;
use super::host::Host;
use super::plan::Step;
use crate::poll_until;
use crate::sticks::State;

/// A worker starts in about a second, and connects within two more; longer on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// After that, the jobs of a killed worker are in the other one's hands; they are answered after
/// 50 ms.
const TAKEN_OVER: Duration = Duration::from_millis(30);

/// What was done, and when. Times are in microseconds since 1970, as in the flood's results.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) fault: Fault,
    pub(super) began_us: u64,
    /// How long it was planned to last.
    pub(super) lasted: Duration,
    /// When the broker spoke AMQP again.
    pub(super) back_us: Option<u64>,
    /// The process id of the other host's worker, if both were ready and nothing else happened at the
    /// same time.
    pub(super) unhurt_worker: Option<u32>,
}

impl Fleet {
    /// One step of the plan, from beginning to end, and its records. What happened meanwhile comes
    /// second.
    pub(super) fn suffer(&mut self, step: &Step, records: &mut Vec<Record>) -> Result<()> {
        std::thread::sleep(step.calm);
        // Otherwise there would be nobody to take over from whom this measures.
        let measured = matches!(step.fault.kind, Kind::WorkerKilled | Kind::HostVanished);
        let limit = if measured {
            READY_LIMIT
        } else {
            Duration::ZERO
        };
        let ready = poll_until(limit, || {
            self.hosts.iter().all(Host::is_ready).then_some(())
        });
        let alone = ready.is_some() && step.meanwhile.is_none();
        let other = &self.hosts[(step.fault.host + 1) % HOSTS];
        let unhurt_worker = alone.then(|| other.worker_id());
        let mut first = self.begin(step.fault)?;
        first.unhurt_worker = unhurt_worker;
        first.lasted = step.lasts;
        let index = records.len();
        records.push(first);
        match step.meanwhile {
            None => std::thread::sleep(step.lasts),
            Some(meanwhile) => {
                std::thread::sleep(step.lasts / 2);
                records.push(self.begin(meanwhile)?);
                std::thread::sleep(step.lasts / 2);
                self.mend(meanwhile)?;
            }
        }
        self.mend(step.fault)?;
        if let Kind::BrokerRestarted | Kind::BrokerKilled = step.fault.kind {
            records[index].back_us = Some(now_us());
        }
        std::thread::sleep(step.rest);
        Ok(())
    }

    fn begin(&mut self, fault: Fault) -> Result<Record> {
        let begun = self.strike(fault);
        let began_us = begun.with_context(|| format!("cannot cause this: {fault}"))?;
        Ok(Record {
            fault,
            began_us,
            lasted: Duration::ZERO,
            back_us: None,
            unhurt_worker: None,
        })
    }

    /// Returns when it took effect.
    fn strike(&mut self, fault: Fault) -> Result<u64> {
        let host = &mut self.hosts[fault.host];
        let began_us = now_us();
        match fault.kind {
            Kind::WorkerKilled => return host.kill_worker(),
            Kind::WorkersKilled => {
                let began_us = host.kill_worker()?;
                std::thread::sleep(TAKEN_OVER);
                self.hosts[(fault.host + 1) % HOSTS].kill_worker()?;
                return Ok(began_us);
            }
            Kind::WorkerPaused => host.worker.worker().pause()?,
            Kind::NetworkCut => host.proxy.cut(),
            Kind::HostVanished => {
                host.proxy.cut();
                host.kill_worker()?;
            }
            Kind::BrokerRestarted => self.broker.shut_down()?,
            Kind::BrokerKilled => self.broker.kill()?,
            Kind::ConnectionsClosed => self.ctl(&["close_all_connections", "chaos"])?,
            Kind::MemoryAlarm => self.ctl(&["set_vm_memory_high_watermark", "0"])?,
            Kind::DiskAlarm => self.ctl(&["set_disk_free_limit", "999999GB"])?,
            Kind::StickUnplugged => host.set_stick(fault.stick, State::Unplugged)?,
            Kind::SticksUnplugged => host.sticks.unplug_all()?,
            Kind::StickFailing => host.set_stick(fault.stick, State::Failing)?,
            Kind::StickHanging => host.set_stick(fault.stick, State::Hanging)?,
        }
        Ok(began_us)
    }

    fn mend(&mut self, fault: Fault) -> Result<()> {
        self.undo(fault)
            .with_context(|| format!("cannot mend this: {fault}"))
    }

    fn undo(&mut self, fault: Fault) -> Result<()> {
        let host = &mut self.hosts[fault.host];
        match fault.kind {
            // The supervisor's; and reconnecting is the programs' own.
            Kind::WorkerKilled | Kind::WorkersKilled | Kind::ConnectionsClosed => Ok(()),
            Kind::WorkerPaused => host.worker.worker().resume(),
            Kind::NetworkCut | Kind::HostVanished => {
                host.proxy.heal();
                Ok(())
            }
            Kind::BrokerRestarted | Kind::BrokerKilled => self.broker.restart(),
            // The default of RabbitMQ 3; what it is does not matter here.
            Kind::MemoryAlarm => self.ctl(&["set_vm_memory_high_watermark", "0.4"]),
            Kind::DiskAlarm => self.ctl(&["set_disk_free_limit", "50MB"]),
            Kind::SticksUnplugged => host.sticks.plug_in_all(),
            Kind::StickUnplugged | Kind::StickFailing | Kind::StickHanging => {
                host.set_stick(fault.stick, State::Ok)
            }
        }
    }

    fn ctl(&self, arguments: &[&str]) -> Result<()> {
        self.broker.ctl(arguments).map(drop)
    }
}

/// A line for each, with its times in microseconds since 1970.
pub(super) fn log_of(records: &[Record]) -> String {
    let line = |record: &Record| {
        let back = record.back_us.map(|us| format!(", back at {us}"));
        let back = back.unwrap_or_default();
        format!("{} {}{back}\n", record.began_us, record.fault)
    };
    records.iter().map(line).collect()
}

/// Microseconds since 1970, as in the flood's results.
pub(super) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or(Duration::ZERO).as_micros()).unwrap_or(u64::MAX)
}
