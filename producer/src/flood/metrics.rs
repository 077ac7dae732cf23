//! `--metrics-addr`: the flood's own view, for Prometheus.

use crate::traffic::{Answered, State};
use anyhow::Context;
use ncs_program::http::{self, Endpoint};
use ncs_protocol::{JobResult, Outcome};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::convert::Infallible;
use std::net::SocketAddr;

/// 1 ms to a minute: an answer needs at least an inference, 24 to 43 ms on a stick, and what waits in a
/// long queue waits for minutes.
const LATENCY_BUCKETS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// All metrics of a flood.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    sent: IntCounter,
    answered: IntCounterVec,
    duplicates: IntCounter,
    refused: IntCounter,
    unanswered: IntGauge,
    connected: IntGauge,
    latency: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::register(Registry::new()).context("cannot register the metrics")
    }

    fn register(registry: Registry) -> prometheus::Result<Self> {
        let counter = |name, help| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name, help| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let answered = Opts::new(
            "ncs_producer_answers_total",
            "Jobs whose first result has come, by what it was.",
        );
        let answered = IntCounterVec::new(answered, &["outcome"])?;
        for outcome in ["classified", "failed"] {
            answered.with_label_values(&[outcome]);
        }
        registry.register(Box::new(answered.clone()))?;
        let latency = HistogramOpts::new(
            "ncs_producer_latency_seconds",
            "From when a job should have been sent to its first result.",
        );
        let latency = Histogram::with_opts(latency.buckets(LATENCY_BUCKETS.to_vec()))?;
        registry.register(Box::new(latency.clone()))?;
        Ok(Self {
            sent: counter("ncs_producer_jobs_sent_total", "Jobs handed to the broker.")?,
            duplicates: counter(
                "ncs_producer_duplicate_results_total",
                "Results of jobs that were answered before.",
            )?,
            refused: counter(
                "ncs_producer_refused_publishes_total",
                "Publishes that the broker refused because the queue is full; each is tried again.",
            )?,
            unanswered: gauge(
                "ncs_producer_jobs_unanswered",
                "Jobs sent and not answered yet.",
            )?,
            connected: gauge(
                "ncs_producer_broker_connected",
                "1 while connected to the broker.",
            )?,
            answered,
            latency,
            registry,
        })
    }

    /// Serves them for as long as it is polled; without an address, nothing.
    pub(crate) async fn serve(
        &self,
        address: Option<SocketAddr>,
    ) -> anyhow::Result<impl Future<Output = Infallible> + use<>> {
        let endpoint = match address {
            Some(address) => Some(Endpoint::bind(address).await?),
            None => None,
        };
        if let Some(endpoint) = &endpoint {
            tracing::info!(address = %endpoint.address()?, "serving /metrics");
        }
        let registry = self.registry.clone();
        Ok(async move {
            match endpoint {
                Some(endpoint) => {
                    let pages = move |path: &str| match path {
                        "/metrics" => http::figures(&registry),
                        _ => http::not_found("there is /metrics\n"),
                    };
                    endpoint.serve(pages).await
                }
                None => std::future::pending().await,
            }
        })
    }

    pub(crate) fn sent(&self) {
        self.sent.inc();
    }

    /// The first result of a job has come.
    pub(crate) fn answered(&self, result: &JobResult, job: Answered) {
        let outcome = match result.outcome {
            Outcome::Classes(_) => "classified",
            Outcome::Error(_) => "failed",
        };
        self.answered.with_label_values(&[outcome]).inc();
        self.latency.observe(job.latency.as_secs_f64());
    }

    pub(crate) fn duplicate(&self) {
        self.duplicates.inc();
    }

    pub(crate) fn show(&self, state: &State) {
        self.refused.inc_by(state.refused - self.refused.get());
        self.unanswered
            .set(i64::try_from(state.unanswered).unwrap_or(i64::MAX));
        self.connected.set(state.connected.into());
    }
}
