//! The figures of the network and its devices.

use super::count;
use super::sticks::{StickMetrics, StickState, StickStates};
use super::stopwatch::Stopwatch;
use crate::pool::Cause;
use ncs_engine::Target;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::sync::{Arc, Mutex, PoisonError};

/// What a worker runs on while it runs on nothing.
const NO_DEVICE: &str = "none";

/// What the supervisor knows.
#[derive(Clone)]
pub struct NetworkMetrics {
    devices: IntGauge,
    infer_requests: IntGauge,
    prefetch: IntGauge,
    /// 1 while the network runs.
    pub serving: IntGauge,
    /// Inferences that failed and were tried again.
    pub retries: IntCounter,
    /// Seconds without a network.
    pub without_service: Stopwatch,
    /// Seconds that infer requests had nothing to do.
    pub idle: Stopwatch,
    rebuilds: IntCounterVec,
    sticks: StickMetrics,
    info: IntGaugeVec,
    /// The labels of the one series of `info`.
    informed: Arc<Mutex<Option<[String; 3]>>>,
}

impl NetworkMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let devices = gauge("ncs_worker_devices", "Devices that the network runs on.")?;
        let infer_requests = gauge(
            "ncs_worker_infer_requests",
            "Infer requests over all devices.",
        )?;
        let prefetch = gauge("ncs_worker_prefetch", "Jobs in hand at most.")?;
        let serving = gauge(
            "ncs_worker_serving",
            "1 while the network runs, 0 while it is rebuilt or has no device.",
        )?;
        let retries = IntCounter::new(
            "ncs_worker_retries_total",
            "Inferences that failed because of a device, and were tried again by this worker.",
        )?;
        let without_service = Stopwatch::register(
            registry,
            "ncs_worker_without_service_seconds_total",
            "Seconds in which no network ran, because it was loaded, rebuilt, or had no device.",
        )?;
        let idle = Stopwatch::register(
            registry,
            "ncs_worker_idle_seconds_total",
            "Seconds that infer requests had no job, summed over all of them, up to the scrape.",
        )?;
        let rebuilds = IntCounterVec::new(
            Opts::new(
                "ncs_worker_rebuilds_total",
                "Networks that replaced another one, or none, by cause: devices that were lost or \
                 appeared, an inference that failed, timed out, is stuck, or panicked.",
            ),
            &["cause"],
        )?;
        let info = IntGaugeVec::new(
            Opts::new(
                "ncs_worker_info",
                "Always 1; the labels say what runs here, and on which device, or none.",
            ),
            &["version", "openvino", "model", "device"],
        )?;
        registry.register(Box::new(info.clone()))?;
        registry.register(Box::new(retries.clone()))?;
        registry.register(Box::new(rebuilds.clone()))?;
        // So that each series is there from the start, at zero, and rates need no first event.
        for cause in Cause::ALL {
            rebuilds.with_label_values(&[cause.as_str()]);
        }
        Ok(Self {
            devices,
            infer_requests,
            prefetch,
            serving,
            retries,
            without_service,
            idle,
            rebuilds,
            sticks: StickMetrics::register(registry)?,
            info,
            informed: Arc::default(),
        })
    }

    /// Says what runs here now.
    pub fn set(
        &self,
        openvino: &str,
        model: &str,
        target: &Target,
        infer_requests: usize,
        prefetch: u16,
    ) {
        self.inform(openvino, model, &target.device);
        self.devices.set(count(target.members.len()));
        self.infer_requests.set(count(infer_requests));
        self.set_prefetch(prefetch);
    }

    /// Says that the number of jobs that may be in hand is another one now.
    pub fn set_prefetch(&self, prefetch: u16) {
        self.prefetch.set(i64::from(prefetch));
    }

    /// Says that nothing runs here now.
    pub fn clear(&self, openvino: &str, model: &str) {
        self.inform(openvino, model, NO_DEVICE);
        self.devices.set(0);
        self.infer_requests.set(0);
        self.prefetch.set(0);
        self.sticks.set_temperatures(&[]);
    }

    /// Replaces what the labels say. The series of before goes last: a scrape in between shall not find
    /// none, for others are joined with it.
    fn inform(&self, openvino: &str, model: &str, device: &str) {
        let now = [openvino, model, device].map(str::to_owned);
        let labels = |[openvino, model, device]: &[String; 3]| {
            let version = env!("CARGO_PKG_VERSION").to_owned();
            [version, openvino.clone(), model.clone(), device.clone()]
        };
        self.info.with_label_values(&labels(&now)).set(1);
        let mut informed = self.informed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = informed.replace(now.clone());
        if let Some(before) = before.filter(|before| *before != now) {
            // It was there.
            let _ = self.info.remove_label_values(&labels(&before));
        }
    }

    /// Counts a network that replaced another one, or none.
    pub fn rebuilt(&self, cause: Cause) {
        self.rebuilds.with_label_values(&[cause.as_str()]).inc();
    }

    /// Says which stick is in which state, and forgets those that are not among them.
    pub fn set_sticks(&self, sticks: &StickStates) {
        self.sticks.set_states(sticks);
    }

    /// Devices that the network runs on.
    #[must_use]
    pub fn devices(&self) -> u32 {
        number(&self.devices)
    }

    /// Jobs in hand at most.
    #[must_use]
    pub fn prefetch(&self) -> u32 {
        number(&self.prefetch)
    }

    /// How many sticks are quarantined, and how many lost.
    #[must_use]
    pub fn missing_sticks(&self) -> (u32, u32) {
        let of = |state| number(&self.sticks.in_state(state));
        (of(StickState::Quarantined), of(StickState::Lost))
    }

    /// Says how warm the sticks are, and forgets those that are not among them.
    pub fn set_temperatures(&self, temperatures: &[(String, f64)]) {
        self.sticks.set_temperatures(temperatures);
    }

    /// Counts what is still running, before somebody looks.
    pub(super) fn settle(&self) {
        self.without_service.settle();
        self.idle.settle();
    }
}

fn number(gauge: &IntGauge) -> u32 {
    u32::try_from(gauge.get()).unwrap_or(0)
}
