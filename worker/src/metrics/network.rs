//! The figures of the network and its devices.

use crate::pool::Cause;
use ncs_engine::Target;
use prometheus::{
    Counter, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

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
    pub without_service: Counter,
    rebuilds: IntCounterVec,
    sticks: IntGaugeVec,
    temperature: GaugeVec,
    info: IntGaugeVec,
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
        let without_service = Counter::new(
            "ncs_worker_without_service_seconds_total",
            "Seconds in which no network ran, because it was loaded, rebuilt, or had no device.",
        )?;
        let rebuilds = IntCounterVec::new(
            Opts::new(
                "ncs_worker_rebuilds_total",
                "Networks that replaced another one, or none, by cause: devices that were lost or \
                 appeared, an inference that failed, timed out, is stuck, or panicked.",
            ),
            &["cause"],
        )?;
        let sticks = IntGaugeVec::new(
            Opts::new(
                "ncs_worker_sticks",
                "Sticks of this host: serving, quarantined (left out for a while because they \
                 failed), or lost (no longer there).",
            ),
            &["state"],
        )?;
        let temperature = GaugeVec::new(
            Opts::new(
                "ncs_worker_stick_temperature_celsius",
                "Temperature of each stick that serves.",
            ),
            &["stick"],
        )?;
        let info = IntGaugeVec::new(
            Opts::new(
                "ncs_worker_info",
                "Always 1; the labels say what runs here.",
            ),
            &["version", "openvino", "model", "device"],
        )?;
        registry.register(Box::new(info.clone()))?;
        registry.register(Box::new(retries.clone()))?;
        registry.register(Box::new(without_service.clone()))?;
        registry.register(Box::new(rebuilds.clone()))?;
        registry.register(Box::new(sticks.clone()))?;
        registry.register(Box::new(temperature.clone()))?;
        // So that each series is there from the start, at zero, and rates need no first event.
        for cause in Cause::ALL {
            rebuilds.with_label_values(&[cause.as_str()]);
        }
        for state in ["serving", "quarantined", "lost"] {
            sticks.with_label_values(&[state]);
        }
        Ok(Self {
            devices,
            infer_requests,
            prefetch,
            serving,
            retries,
            without_service,
            rebuilds,
            sticks,
            temperature,
            info,
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
        let version = env!("CARGO_PKG_VERSION");
        self.info.reset();
        self.info
            .with_label_values(&[version, openvino, model, target.device.as_str()])
            .set(1);
        self.devices.set(count(target.members.len()));
        self.infer_requests.set(count(infer_requests));
        self.set_prefetch(prefetch);
    }

    /// Says that the number of jobs that may be in hand is another one now.
    pub fn set_prefetch(&self, prefetch: u16) {
        self.prefetch.set(i64::from(prefetch));
    }

    /// Says that nothing runs here now.
    pub fn clear(&self) {
        self.info.reset();
        self.devices.set(0);
        self.infer_requests.set(0);
        self.prefetch.set(0);
        self.temperature.reset();
    }

    /// Counts a network that replaced another one, or none.
    pub fn rebuilt(&self, cause: Cause) {
        self.rebuilds.with_label_values(&[cause.as_str()]).inc();
    }

    /// Says how many sticks are in which state.
    pub fn set_sticks(&self, serving: usize, quarantined: usize, lost: usize) {
        for (state, sticks) in [
            ("serving", serving),
            ("quarantined", quarantined),
            ("lost", lost),
        ] {
            self.sticks.with_label_values(&[state]).set(count(sticks));
        }
    }

    /// Says how warm the sticks are, and forgets those that are not among them.
    pub fn set_temperatures(&self, temperatures: &[(String, f64)]) {
        self.temperature.reset();
        for (stick, celsius) in temperatures {
            self.temperature
                .with_label_values(&[stick.as_str()])
                .set(*celsius);
        }
    }
}

fn count(things: usize) -> i64 {
    i64::try_from(things).unwrap_or(i64::MAX)
}
