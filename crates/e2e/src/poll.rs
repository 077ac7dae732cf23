//! Waiting for something to become true, with a limit.

use std::time::{Duration, Instant};

/// Short beside the start of any of our processes, long beside what one look costs.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks `condition` again and again until it answers `Some`, or `None` once `limit` has passed.
///
/// It is asked at least once, and once more when the limit is reached.
pub fn poll_until<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let late = Instant::now() >= deadline;
        if let Some(value) = condition() {
            return Some(value);
        }
        if late {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_is_returned() {
        let mut asked = 0;
        let answer = poll_until(Duration::from_secs(10), || {
            asked += 1;
            (asked == 3).then_some("ready")
        });
        assert_eq!((answer, asked), (Some("ready"), 3));
    }

    #[test]
    fn without_an_answer_it_gives_up_at_the_limit() {
        assert_eq!(poll_until(Duration::ZERO, || None::<()>), None);
    }
}
