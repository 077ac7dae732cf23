//! The worker's own figures, for Prometheus. `docs/metrics.md` lists them.

mod network;
mod sticks;
mod stopwatch;

use anyhow::Context;
use ncs_protocol::{ErrorCode, StageTimes};
pub use network::NetworkMetrics;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use std::time::Duration;
pub use sticks::{StickState, StickStates};
pub use stopwatch::{Running, Stopwatch};

/// Upper bounds in seconds. An inference with `GoogLeNet` takes 24 to 43 ms on a stick, and several
/// times that where one stick of many is slow: from 10 to 120 ms each bound is at most 1.5 times the
/// one before, so that this shows in a quantile. Below, decoding takes 0.3 ms for a small photo and
/// 50 ms for a large one. Above, up to a minute, a job waits; there a factor of 2 to 3 tells enough. The
/// crate's own default (5 ms to 10 s, in steps of 2 and 2.5) shows none of this.
const STAGE_BUCKETS: [f64; 22] = [
    0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2,
    0.35, 0.6, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
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
    /// Bytes of the jobs that were received.
    pub received_bytes: IntCounter,
    /// Jobs received and not yet settled.
    pub jobs_in_hand: IntGauge,
    /// Images decoded at once, at most.
    pub decode_threads: IntGauge,
    /// Sessions with the broker that were begun.
    pub broker_connections: IntCounter,
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
        let counter = |name, help| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let received_bytes = counter(
            "ncs_worker_received_bytes_total",
            "Bytes of the bodies of the jobs received, those that came again included.",
        )?;
        let decode_threads = gauge(
            "ncs_worker_decode_threads",
            "Images that are decoded at once, at most.",
        )?;
        let broker_connections = counter(
            "ncs_worker_broker_connections_total",
            "Connections to the broker that were opened; the second and further ones replaced one \
             that broke.",
        )?;
        let jobs_in_hand = gauge(
            "ncs_worker_jobs_in_hand",
            "Jobs received and not yet settled.",
        )?;
        let broker_connected = gauge(
            "ncs_worker_broker_connected",
            "1 while connected to the broker, also while no jobs are taken for want of a device; else \
             0.",
        )?;
        let results_undelivered = counter(
            "ncs_worker_results_undelivered_total",
            "Results that nobody gets, because the queue in reply_to is gone or stays full.",
        )?;
        registry.register(Box::new(jobs.clone()))?;
        registry.register(Box::new(job_errors.clone()))?;
        registry.register(Box::new(obituaries.clone()))?;
        registry.register(Box::new(stages.clone()))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        begin_at_zero(&jobs, &job_errors, &obituaries);
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
            received_bytes,
            jobs_in_hand,
            decode_threads,
            broker_connections,
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

    /// Where all of them are registered, with what is still running counted up to now.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.network.settle();
        &self.registry
    }
}

/// So that each series is there from the start, and rates need no first event.
fn begin_at_zero(jobs: &IntCounterVec, job_errors: &IntCounterVec, obituaries: &IntCounterVec) {
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
}

fn count(things: usize) -> i64 {
    i64::try_from(things).unwrap_or(i64::MAX)
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
            "ncs_worker_stage_seconds_bucket{stage=\"infer\",le=\"0.04\"} 0",
            "ncs_worker_idle_seconds_total 0",
            "ncs_worker_without_service_seconds_total 0",
        ] {
            assert!(text.contains(series), "{series} is not in\n{text}");
        }
    }

    #[test]
    fn what_runs_here_is_one_series_at_any_time() {
        let metrics = Metrics::new().unwrap();
        let cpu = Target::over(vec!["CPU".to_owned()]);
        metrics.network.clear("2026.4", "digits");
        metrics.network.set("2026.4", "digits", &cpu, 4, 4);
        metrics.network.set("2026.4", "digits", &cpu, 8, 8);
        let text = TextEncoder::new()
            .encode_to_string(&metrics.registry().gather())
            .unwrap();
        let info: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("ncs_worker_info{"))
            .collect();
        assert_eq!(info.len(), 1, "{info:?}");
        assert!(info[0].contains("device=\"CPU\""), "{info:?}");
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
