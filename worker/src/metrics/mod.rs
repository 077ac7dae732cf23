//! The worker's own figures, for Prometheus.

mod network;

use anyhow::Context;
use ncs_protocol::{ErrorCode, StageTimes};
pub use network::NetworkMetrics;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use std::time::Duration;

/// Decoding a small photo takes 0.3 ms, an inference on a stick 24 to 43 ms, and a job may wait in
/// the queue for minutes; the crate's own default (5 ms to 10 s) shows none of this.
const STAGE_BUCKETS: [f64; 18] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];

/// All metrics of the process; clones are cheap and show the same figures.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    jobs: IntCounterVec,
    job_errors: IntCounterVec,
    obituaries: IntCounterVec,
    queue: Histogram,
    wait: Histogram,
    decode: Histogram,
    infer: Histogram,
    publish: Histogram,
    /// Jobs received and not yet settled.
    pub jobs_in_hand: IntGauge,
    /// 1 while connected to the broker, also while no jobs are taken for want of a device.
    pub broker_connected: IntGauge,
    /// Results that could not be handed over.
    pub results_undelivered: IntCounter,
    /// The network and its devices.
    pub network: NetworkMetrics,
}

/// What a job came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOutcome {
    /// Classes were published.
    Classified,
    /// An error result was published.
    Failed(ErrorCode),
    /// It was no job; it went to the dead letters.
    DeadLettered(ErrorCode),
    /// This host could infer no more; it was put back into its queue.
    HandedBack,
    /// It came back too often, and was put where it is tried alone.
    SetAside,
    /// Its connection was lost before it was settled; the broker hands it out again.
    Returned,
}

impl JobOutcome {
    fn label(self) -> &'static str {
        match self {
            Self::Classified => "classified",
            Self::Failed(_) => "failed",
            Self::DeadLettered(_) => "dead_lettered",
            Self::HandedBack => "handed_back",
            Self::SetAside => "set_aside",
            Self::Returned => "returned",
        }
    }
}

impl Metrics {
    /// Registers all metrics.
    pub fn new() -> anyhow::Result<Self> {
        Self::register(Registry::new()).context("cannot register the metrics")
    }

    fn register(registry: Registry) -> prometheus::Result<Self> {
        let jobs = IntCounterVec::new(
            Opts::new(
                "ncs_worker_jobs_total",
                "Jobs settled, by what they came to.",
            ),
            &["outcome"],
        )?;
        let job_errors = IntCounterVec::new(
            Opts::new(
                "ncs_worker_job_errors_total",
                "Jobs not classified, by error code.",
            ),
            &["code"],
        )?;
        let obituaries = IntCounterVec::new(
            Opts::new(
                "ncs_worker_dead_letters_answered_total",
                "Jobs that the broker itself has dead-lettered, because they expired or came back too \
                 often, and whose submitters were told by this worker, by error code.",
            ),
            &["code"],
        )?;
        let stages = HistogramVec::new(
            HistogramOpts::new(
                "ncs_worker_stage_seconds",
                "Seconds that a job spent in each stage: in the queue (by the submitter's clock), \
                 waiting for an infer request and to be decoded, decoding, inferring, publishing until \
                 confirmed.",
            )
            .buckets(STAGE_BUCKETS.to_vec()),
            &["stage"],
        )?;
        let gauge = |name, help| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let jobs_in_hand = gauge(
            "ncs_worker_jobs_in_hand",
            "Jobs received and not yet settled.",
        )?;
        let broker_connected = gauge(
            "ncs_worker_broker_connected",
            "1 while connected to the broker, also while no jobs are taken for want of a device; else \
             0.",
        )?;
        let results_undelivered = IntCounter::new(
            "ncs_worker_results_undelivered_total",
            "Results that nobody gets, because the queue in reply_to is gone or stays full.",
        )?;
        registry.register(Box::new(jobs.clone()))?;
        registry.register(Box::new(job_errors.clone()))?;
        registry.register(Box::new(obituaries.clone()))?;
        registry.register(Box::new(stages.clone()))?;
        registry.register(Box::new(results_undelivered.clone()))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        // So that each series is there from the start, at zero, and rates need no first event.
        for outcome in [
            "classified",
            "failed",
            "dead_lettered",
            "handed_back",
            "set_aside",
            "returned",
        ] {
            jobs.with_label_values(&[outcome]);
        }
        for code in ErrorCode::ALL {
            job_errors.with_label_values(&[code.as_str()]);
        }
        for code in [ErrorCode::Expired, ErrorCode::DeliveryLimit] {
            obituaries.with_label_values(&[code.as_str()]);
        }
        let network = NetworkMetrics::register(&registry)?;
        Ok(Self {
            queue: stages.with_label_values(&["queue"]),
            wait: stages.with_label_values(&["wait"]),
            decode: stages.with_label_values(&["decode"]),
            infer: stages.with_label_values(&["infer"]),
            publish: stages.with_label_values(&["publish"]),
            registry,
            jobs,
            job_errors,
            obituaries,
            jobs_in_hand,
            broker_connected,
            results_undelivered,
            network,
        })
    }

    /// Counts jobs whose connection was lost, or whose drain timeout was over, before they were
    /// settled.
    pub fn count_returned(&self, jobs: u64) {
        let outcome = JobOutcome::Returned.label();
        self.jobs.with_label_values(&[outcome]).inc_by(jobs);
    }

    /// Counts a settled job.
    pub fn count(&self, outcome: JobOutcome) {
        self.jobs.with_label_values(&[outcome.label()]).inc();
        if let JobOutcome::Failed(code) | JobOutcome::DeadLettered(code) = outcome {
            self.job_errors.with_label_values(&[code.as_str()]).inc();
        }
    }

    /// Counts the answer to a job that the broker has dead-lettered.
    pub fn count_obituary(&self, code: ErrorCode) {
        self.obituaries.with_label_values(&[code.as_str()]).inc();
    }

    /// Records where an inferred job's time went.
    pub fn observe(&self, times: &StageTimes) {
        let seconds = |us| Duration::from_micros(us).as_secs_f64();
        if let Some(us) = times.queue_us {
            self.queue.observe(seconds(us));
        }
        self.wait.observe(seconds(times.wait_us));
        self.decode.observe(seconds(times.decode_us));
        self.infer.observe(seconds(times.infer_us));
    }

    /// Records the time from a finished job to the broker's confirm of its result.
    pub fn observe_publish(&self, elapsed: Duration) {
        self.publish.observe(elapsed.as_secs_f64());
    }

    /// Where all of them are registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ncs_engine::Target;
    use prometheus::TextEncoder;

    #[test]
    fn every_series_is_there_before_the_first_job() {
        let metrics = Metrics::new().unwrap();
        let cpu = Target::over(vec!["CPU".to_owned()]);
        metrics.network.set("2026.4", "digits", &cpu, 4, 4);
        let text = TextEncoder::new()
            .encode_to_string(&metrics.registry().gather())
            .unwrap();
        for series in [
            "ncs_worker_jobs_total{outcome=\"classified\"} 0",
            "ncs_worker_job_errors_total{code=\"undecodable_image\"} 0",
            "ncs_worker_stage_seconds_count{stage=\"queue\"} 0",
            "ncs_worker_jobs_in_hand 0",
            "ncs_worker_broker_connected 0",
            "ncs_worker_rebuilds_total{cause=\"timed_out\"} 0",
            "ncs_worker_sticks{state=\"lost\"} 0",
            "ncs_worker_without_service_seconds_total 0",
        ] {
            assert!(text.contains(series), "{series} is not in\n{text}");
        }
    }

    #[test]
    fn a_failed_job_is_counted_once_by_outcome_and_once_by_code() {
        let metrics = Metrics::new().unwrap();
        metrics.count(JobOutcome::Failed(ErrorCode::WrongTensorSize));
        let text = TextEncoder::new()
            .encode_to_string(&metrics.registry().gather())
            .unwrap();
        assert!(
            text.contains("ncs_worker_jobs_total{outcome=\"failed\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("errors_total{code=\"wrong_tensor_size\"} 1"),
            "{text}"
        );
    }
}
