//! How long to wait before trying the broker again.

use backon::{BackoffBuilder, ExponentialBuilder};
use std::time::Duration;

/// Endless delays from 100 ms, doubling up to 5 s, each with jitter so that a fleet does not
/// return in step after the broker's restart.
pub fn reconnect_delays() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
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
            delays.iter().all(|delay| delay.as_secs() <= 10),
            "{delays:?}"
        );
    }
}
