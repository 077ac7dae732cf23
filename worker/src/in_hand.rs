//! The jobs that a session has in hand, in its own books and in the metrics.

use crate::metrics::{JobOutcome, Metrics};
use std::cell::Cell;

/// Counts them. When the session ends, be it in good order, by an error or by being dropped, what is
/// still in hand counts as returned: the broker hands it out again.
pub(crate) struct InHand {
    count: Cell<u64>,
    metrics: Metrics,
}

impl InHand {
    /// A session begins.
    pub(crate) fn begin(metrics: &Metrics) -> Self {
        metrics.broker_connected.set(1);
        metrics.broker_connections.inc();
        Self {
            count: Cell::new(0),
            metrics: metrics.clone(),
        }
    }

    /// A job was received, with a body of so many bytes.
    pub(crate) fn taken(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.metrics.received_bytes.inc_by(bytes);
        self.count.set(self.count.get() + 1);
        self.metrics.jobs_in_hand.inc();
    }

    /// A job was settled.
    pub(crate) fn settled(&self, outcome: JobOutcome) {
        self.count.set(self.count.get().saturating_sub(1));
        self.metrics.jobs_in_hand.dec();
        self.metrics.count(outcome);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.metrics.broker_connected.set(0);
        self.metrics.jobs_in_hand.set(0);
        self.metrics.count_returned(self.count.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;

    #[test]
    fn what_a_broken_session_had_in_hand_counts_as_returned() {
        let metrics = Metrics::new().unwrap();
        let in_hand = InHand::begin(&metrics);
        for _ in 0..3 {
            in_hand.taken(1000);
        }
        in_hand.settled(JobOutcome::Classified);
        assert_eq!((in_hand.count(), metrics.jobs_in_hand.get()), (2, 2));
        drop(in_hand);
        let text = TextEncoder::new()
            .encode_to_string(&metrics.registry().gather())
            .unwrap();
        for series in [
            "ncs_worker_jobs_total{outcome=\"classified\"} 1",
            "ncs_worker_jobs_total{outcome=\"returned\"} 2",
            "ncs_worker_jobs_in_hand 0",
            "ncs_worker_received_bytes_total 3000",
            "ncs_worker_broker_connections_total 1",
        ] {
            assert!(text.contains(series), "{series} is not in\n{text}");
        }
    }
}
