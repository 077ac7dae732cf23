//! A host of the fleet.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};

use super::fault::STICKS;
use super::strike::now_us;
use crate::http::http_get;
use crate::paths::{GOOGLENET_U8, Runtime};
use crate::proxy::Proxy;
use crate::rabbitmq::RabbitMq;
use crate::sticks::{State, Sticks};
use crate::supervised::Supervised;

/// From a worker's end to its next start; `deploy/ncs-worker.service` waits longer.
const SUPERVISORS_PAUSE: Duration = Duration::from_millis(500);

/// The worker's figures.
const SET_ASIDE: &str = "ncs_worker_jobs_total{outcome=\"set_aside\"}";
const SERVING: &str = "ncs_worker_sticks{state=\"serving\"}";
const IN_HAND: &str = "ncs_worker_jobs_in_hand";

/// A machine with sticks and a worker, and its way to the broker.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) worker: Supervised,
    pub(super) proxy: Proxy,
    pub(super) sticks: Sticks,
    /// Jobs that its workers, of which only the last is still there, have set aside.
    set_aside: u64,
    /// How often we have killed its worker.
    killed: u32,
    logs: PathBuf,
}

/// How a host's workers did.
#[derive(Debug)]
pub(super) struct WorkersEnd {
    pub(super) status: ExitStatus,
    pub(super) starts: u32,
    pub(super) killed: u32,
    pub(super) set_aside: u64,
    /// What all of them logged.
    pub(super) log: String,
}

impl Host {
    /// Starts it, with its workers' logs in `logs`, and waits until its worker takes jobs.
    pub(super) fn start(
        runtime: &Runtime,
        broker: &RabbitMq,
        heartbeat: Duration,
        logs: PathBuf,
    ) -> Result<Self> {
        std::fs::create_dir_all(&logs)
            .with_context(|| format!("cannot create {}", logs.display()))?;
        let proxy = Proxy::to(broker.amqp_addr())?;
        let amqp_url = broker.amqp_url_through(&proxy);
        let amqp_url = format!("{amqp_url}?heartbeat={}", heartbeat.as_secs());
        let sticks = Sticks::plugged_in(STICKS)?;
        let options = sticks
            .worker(runtime.model(GOOGLENET_U8)?, &amqp_url)
            // A stick's fault is noticed, and mended, in seconds.
            .env("NCS_RESCAN", "1s")
            .env("NCS_INFER_TIMEOUT", "2s")
            .env("STICKS_BOOT_MS", "500")
            .logs(logs.clone());
        Ok(Self {
            worker: Supervised::start(options, SUPERVISORS_PAUSE)?,
            proxy,
            sticks,
            set_aside: 0,
            killed: 0,
            logs,
        })
    }

    /// Puts one of its sticks, counted from 0, into another state.
    pub(super) fn set_stick(&self, stick: u16, state: State) -> Result<()> {
        let ports = self.sticks.ports();
        self.sticks
            .set(&ports[usize::from(stick) % ports.len()], state)
    }

    /// The process id of its worker of this moment.
    pub(super) fn worker_id(&self) -> u32 {
        self.worker.worker().id()
    }

    /// SIGKILL; returns when, in microseconds since 1970. What its metrics say is kept.
    pub(super) fn kill_worker(&mut self) -> Result<u64> {
        self.set_aside += self.metric(SET_ASIDE).unwrap_or(0);
        let mut worker = self.worker.worker();
        let killed_us = now_us();
        if worker.try_wait()?.is_none() {
            worker.kill()?;
            self.killed += 1;
        }
        Ok(killed_us)
    }

    /// Its worker takes jobs.
    pub(super) fn is_ready(&self) -> bool {
        http_get(self.metrics_addr(), "/readyz").is_ok_and(|got| got.status == 200)
    }

    /// It does, on all of its sticks.
    pub(super) fn is_whole(&self) -> bool {
        self.is_ready() && self.metric(SERVING) == Some(STICKS.into())
    }

    /// None while its worker does not answer.
    pub(super) fn jobs_in_hand(&self) -> Option<u64> {
        self.metric(IN_HAND)
    }

    /// A figure of its worker of this moment; none while that does not answer.
    fn metric(&self, series: &str) -> Option<u64> {
        let page = http_get(self.metrics_addr(), "/metrics").ok()?.body;
        let line = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        page.lines().find_map(line)
    }

    /// Copied, so that nobody waits for the supervisor while the worker thinks.
    fn metrics_addr(&self) -> SocketAddr {
        self.worker.worker().metrics_addr()
    }

    /// Lets its worker end in order.
    pub(super) fn end(self, limit: Duration) -> Result<WorkersEnd> {
        let set_aside = self.set_aside + self.metric(SET_ASIDE).unwrap_or(0);
        let starts = self.worker.starts();
        let status = self.worker.drain(limit)?;
        Ok(WorkersEnd {
            status,
            starts,
            killed: self.killed,
            set_aside,
            log: std::fs::read_to_string(self.logs.join("ncs-worker.stderr"))?,
        })
    }
}
