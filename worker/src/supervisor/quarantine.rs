//! Devices that are left out for a while because they failed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The longest that a device is left out before it is tried again.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// A device that keeps calls into OpenVINO for ever costs a thread each time it is tried.
const FOR_LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// A device that has served this long since its last failure starts over.
const FORGIVEN_AFTER: Duration = Duration::from_secs(10 * 60);

/// Who is left out, and until when. Each failure doubles the time.
pub(super) struct Quarantine {
    first: Duration,
    /// As many as this host has ever had devices that failed; those that are forgiven go.
    entries: HashMap<String, Entry>,
}

struct Entry {
    failures: u32,
    until: Instant,
    /// It has left OpenVINO's list since.
    gone: bool,
    /// Only a person can help it: then it leaves the list and comes back.
    for_long: bool,
}

impl Quarantine {
    /// With this time for the first failure.
    #[must_use]
    pub(super) fn new(first: Duration) -> Self {
        Self {
            first: first.min(LONGEST),
            entries: HashMap::new(),
        }
    }

    /// Leaves a device out, and tells for how long.
    pub(super) fn leave_out(&mut self, device: &str, now: Instant) -> Duration {
        self.entries
            .retain(|_, entry| now < entry.until + FORGIVEN_AFTER);
        let entry = self.entries.entry(device.to_owned()).or_insert(Entry {
            failures: 0,
            until: now,
            gone: false,
            for_long: false,
        });
        let doubled = 2_u32.saturating_pow(entry.failures);
        let time = self.first.saturating_mul(doubled).min(LONGEST);
        entry.failures = entry.failures.saturating_add(1);
        entry.until = now + time;
        entry.gone = false;
        entry.for_long = false;
        time
    }

    /// Leaves a device out that should not be tried again until it was unplugged.
    pub(super) fn leave_out_for_long(&mut self, device: &str, now: Instant) -> Duration {
        self.leave_out(device, now);
        if let Some(entry) = self.entries.get_mut(device) {
            entry.until = now + FOR_LONG;
            entry.for_long = true;
        }
        FOR_LONG
    }

    /// Whether it is left out now.
    #[must_use]
    pub(super) fn holds(&self, device: &str, now: Instant) -> bool {
        self.entries
            .get(device)
            .is_some_and(|entry| now < entry.until)
    }

    /// Takes note of the devices that OpenVINO lists. One that was away and is back was plugged in
    /// again, or has booted again, and is tried at once: the first time, so that one that comes and
    /// goes does not disturb the others each time.
    pub(super) fn saw(&mut self, listed: &[&str], now: Instant) {
        for (device, entry) in &mut self.entries {
            if !listed.contains(&device.as_str()) {
                entry.gone = true;
            } else if std::mem::take(&mut entry.gone) {
                entry.came_back(now);
            }
        }
    }

    /// Takes note of a device that was away and is back, and tells whether it may be tried.
    pub(super) fn is_back(&mut self, device: &str, now: Instant) -> bool {
        self.entries.get_mut(device).is_none_or(|entry| {
            entry.came_back(now);
            now >= entry.until
        })
    }
}

impl Entry {
    fn came_back(&mut self, now: Instant) {
        if self.failures <= 1 || std::mem::take(&mut self.for_long) {
            self.until = self.until.min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_failure_doubles_the_time_up_to_ten_minutes() {
        let (mut quarantine, now) = (Quarantine::new(10 * SECOND), Instant::now());
        let times: Vec<u64> = (0..9)
            .map(|_| quarantine.leave_out("a", now).as_secs())
            .collect();
        assert_eq!(times, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(quarantine.leave_out("b", now), 10 * SECOND);
    }

    #[test]
    fn a_device_is_tried_again_when_its_time_is_over() {
        let (mut quarantine, now) = (Quarantine::new(10 * SECOND), Instant::now());
        quarantine.leave_out("a", now);
        assert!(quarantine.holds("a", now + 9 * SECOND));
        assert!(!quarantine.holds("a", now + 10 * SECOND));
        assert_eq!(quarantine.leave_out("a", now + 10 * SECOND), 20 * SECOND);
    }

    #[test]
    fn a_device_that_has_served_for_long_starts_over() {
        let (mut quarantine, now) = (Quarantine::new(10 * SECOND), Instant::now());
        quarantine.leave_out("a", now);
        assert_eq!(quarantine.leave_out("a", now + 700 * SECOND), 10 * SECOND);
    }

    #[test]
    fn a_device_that_was_away_and_is_back_is_tried_at_once() {
        let (mut quarantine, now) = (Quarantine::new(10 * SECOND), Instant::now());
        quarantine.leave_out("a", now);
        quarantine.saw(&["a", "b"], now);
        assert!(quarantine.holds("a", now));
        quarantine.saw(&["b"], now);
        assert!(quarantine.holds("a", now));
        quarantine.saw(&["a", "b"], now);
        assert!(!quarantine.holds("a", now));
    }

    #[test]
    fn a_device_that_comes_and_goes_has_to_wait() {
        let (mut quarantine, now) = (Quarantine::new(10 * SECOND), Instant::now());
        for _ in 0..2 {
            quarantine.leave_out("a", now);
            quarantine.saw(&[], now);
        }
        quarantine.saw(&["a"], now);
        assert!(quarantine.holds("a", now + 19 * SECOND));
        assert!(!quarantine.is_back("a", now));
        assert!(quarantine.is_back("a", now + 20 * SECOND));
    }

    #[test]
    fn a_device_that_keeps_calls_for_ever_waits_until_it_was_unplugged() {
        let (mut quarantine, now) = (Quarantine::new(10 * SECOND), Instant::now());
        for _ in 0..3 {
            quarantine.leave_out_for_long("a", now);
        }
        assert!(quarantine.holds("a", now + 3600 * SECOND));
        quarantine.saw(&[], now);
        quarantine.saw(&["a"], now);
        assert!(!quarantine.holds("a", now));
    }
}
