//! Devices that are left out for a while because they failed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The longest that a device is left out before it is tried again.
const LONGEST: Duration = Duration::from_secs(10 * 60);

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
        });
        let doubled = 2_u32.saturating_pow(entry.failures);
        let time = self.first.saturating_mul(doubled).min(LONGEST);
        entry.failures = entry.failures.saturating_add(1);
        entry.until = now + time;
        entry.gone = false;
        time
    }

    /// Whether it is left out now.
    #[must_use]
    pub(super) fn holds(&self, device: &str, now: Instant) -> bool {
        self.entries
            .get(device)
            .is_some_and(|entry| now < entry.until)
    }

    /// How many are left out now, of these.
    pub(super) fn count<'a>(&self, devices: impl Iterator<Item = &'a str>, now: Instant) -> usize {
        devices.filter(|device| self.holds(device, now)).count()
    }

    /// Takes note of the devices that OpenVINO lists. One that was away and is back was plugged in
    /// again, or has booted again, and is tried at once.
    pub(super) fn saw(&mut self, listed: &[&str], now: Instant) {
        for (device, entry) in &mut self.entries {
            if !listed.contains(&device.as_str()) {
                entry.gone = true;
            } else if std::mem::take(&mut entry.gone) {
                entry.until = now;
            }
        }
    }

    /// Tries all of them again at once.
    pub(super) fn release_all(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.until = entry.until.min(now);
        }
    }

    /// Tries it again at once.
    pub(super) fn release(&mut self, device: &str, now: Instant) {
        if let Some(entry) = self.entries.get_mut(device) {
            entry.until = now;
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
}
