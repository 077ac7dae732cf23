//! Who was heard, and when.

use ncs_protocol::Announcement;
use ncs_protocol::announcement::State;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

/// Workers that are remembered at most: others are not taken in until some have gone. No fleet of sticks
/// has so many, and whoever may publish could make them up.
const MOST_WORKERS: usize = 10_000;

/// The workers that were heard, by name.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    workers: BTreeMap<String, Heard>,
}

#[derive(Debug)]
struct Heard {
    announcement: Announcement,
    at: Instant,
}

impl Roster {
    /// A worker has announced itself.
    pub(crate) fn hear(&mut self, announcement: Announcement, now: Instant) {
        if announcement.state == State::Leaving {
            self.workers.remove(&announcement.worker);
            return;
        }
        let is_full = self.workers.len() >= MOST_WORKERS;
        let heard = |announcement| Heard {
            announcement,
            at: now,
        };
        match self.workers.entry(announcement.worker.clone()) {
            Entry::Occupied(mut known) => {
                known.insert(heard(announcement));
            }
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(new) => {
                new.insert(heard(announcement));
            }
        }
    }

    /// Forgets those that were silent for longer than this.
    pub(crate) fn forget(&mut self, silence: Duration, now: Instant) {
        self.workers
            .retain(|_, heard| now.saturating_duration_since(heard.at) <= silence);
    }

    /// Nobody could be heard until now: all count as heard now.
    pub(crate) fn excuse(&mut self, now: Instant) {
        for heard in self.workers.values_mut() {
            heard.at = now;
        }
    }

    /// All of them.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &Announcement> {
        self.workers.values().map(|heard| &heard.announcement)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::testing::announcement;

    #[test]
    fn a_worker_is_there_until_it_leaves_or_is_silent_for_too_long() {
        let silence = Duration::from_secs(7);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut roster = Roster::default();
        roster.hear(announcement("a", "pi"), start);
        roster.hear(announcement("b", "pi"), start);
        roster.hear(announcement("b", "pi"), at(5));
        roster.forget(silence, at(7));
        assert_eq!(roster.len(), 2);
        roster.forget(silence, at(8));
        let there: Vec<_> = roster.workers().map(|worker| &*worker.worker).collect();
        assert_eq!(there, ["b"]);
        roster.excuse(at(60));
        roster.forget(silence, at(61));
        assert_eq!(roster.len(), 1, "nobody could be heard");
        let last = Announcement {
            state: State::Leaving,
            ..announcement("b", "pi")
        };
        roster.hear(last, at(62));
        assert_eq!(roster.len(), 0);
    }

    #[test]
    fn whoever_makes_up_workers_fills_no_memory() {
        let mut roster = Roster::default();
        let now = Instant::now();
        for number in 0..MOST_WORKERS + 10 {
            roster.hear(announcement(&format!("{number:06}"), "pi"), now);
        }
        assert_eq!(roster.len(), MOST_WORKERS);
        let changed = Announcement {
            devices: 7,
            ..announcement("000003", "pi")
        };
        roster.hear(changed, now);
        assert_eq!(
            roster.workers().nth(3).map(|worker| worker.devices),
            Some(7)
        );
    }
}
