//! How long to wait before trying the broker again.

use backon::{BackoffBuilder, ExponentialBuilder};
use std::time::Duration;

/// Endless delays from 100 ms, doubling up to 1 s, each with up to as much again of jitter, so that
/// a fleet does not return in step after the broker's restart. No longer than that: jobs wait, and
/// a try costs the broker's host next to nothing while nobody listens there.
pub(crate) fn reconnect_delays() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(1))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    #[test]
    fn delays_grow_to_a_bound_and_never_end() {
        let delays: Vec<_> = super::reconnect_delays().take(200).collect();
        assert_eq!(delays.len(), 200);
        assert!(delays[0].as_millis() < 300, "{:?}", delays[0]);
        assert!(
            delays.iter().all(|delay| delay.as_secs() <= 2),
            "{delays:?}"
        );
    }
}
