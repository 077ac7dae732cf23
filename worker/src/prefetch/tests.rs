use super::*;

/// Sticks at the other end of a network, as they were measured: an inference alone takes 24.4 ms, a stick
/// does 92.68 in a second, and the broker takes 3 ms between two jobs.
struct Fleet {
    sticks: u16,
    /// To the broker and back, in seconds.
    round_trip: f64,
    /// What the broker can do for this worker.
    broker: f64,
}

impl Fleet {
    fn at(sticks: u16, round_trip_ms: u32) -> Self {
        Self {
            sticks,
            round_trip: f64::from(round_trip_ms) / 1000.0,
            broker: f64::INFINITY,
        }
    }

    fn requests(&self) -> u16 {
        4 * self.sticks
    }

    /// Images per second with so many jobs in hand.
    fn pace(&self, prefetch: u16) -> f64 {
        let away = 0.003 + 2.0 * self.round_trip;
        let pace = f64::from(prefetch) / (0.0244 + away);
        pace.min(f64::from(self.sticks) * 92.68).min(self.broker)
    }

    /// How many requests wait with so many jobs in hand.
    fn waiting(&self, prefetch: u16) -> f64 {
        let pace = self.pace(prefetch);
        let saturated = f64::from(self.sticks) * 92.68;
        let busy = if pace < saturated {
            pace * 0.0244
        } else {
            f64::from(prefetch) - pace * (0.003 + 2.0 * self.round_trip)
        };
        (f64::from(self.requests()) - busy).max(0.0)
    }

    /// Serves it for so many intervals, with the queue never empty; what was said.
    fn serve(&self, growth: &mut Growth, intervals: u32) -> Vec<Verdict> {
        growth.with(self.sticks, self.requests());
        let verdicts = (0..intervals).map(|_| {
            let waiting = self.waiting(growth.prefetch());
            growth.observe(waiting, Some(1000))
        });
        verdicts
            .filter(|verdict| *verdict != Verdict::Keep)
            .collect()
    }
}

#[test]
fn it_begins_with_four_for_each_stick_and_stays_there_while_nobody_waits() {
    let mut growth = Growth::default();
    assert_eq!(growth.with(2, 8), 8);
    let said: Vec<_> = (0..100).map(|_| growth.observe(0.3, None)).collect();
    let told = said.iter().filter(|verdict| **verdict != Verdict::Keep);
    assert_eq!(
        told.collect::<Vec<_>>(),
        [&Verdict::Settled(Settled::Enough)]
    );
    assert_eq!(growth.prefetch(), 8);
}

#[test]
fn it_grows_to_what_keeps_sticks_busy_at_any_distance_and_then_never_changes() {
    for (round_trip, at_most) in [(1, 6), (5, 8), (10, 9), (40, 14), (100, 26), (300, 64)] {
        let fleet = Fleet::at(2, round_trip);
        let mut growth = Growth::default();
        let said = fleet.serve(&mut growth, 60);
        let prefetch = growth.prefetch();
        assert!(
            fleet.pace(prefetch) >= 0.999 * 2.0 * 92.68,
            "{prefetch} at {round_trip} ms: {said:?}"
        );
        assert!(prefetch <= 2 * at_most, "{prefetch} at {round_trip} ms");
        assert!(
            matches!(
                said.last(),
                Some(Verdict::Settled(Settled::Enough | Settled::Most))
            ),
            "{said:?}"
        );
        assert_eq!(fleet.serve(&mut growth, 1000), [], "at {round_trip} ms");
    }
}

#[test]
fn it_grows_no_further_than_its_bound_and_says_that_this_is_the_reason() {
    let fleet = Fleet::at(2, 1000);
    let mut growth = Growth::default();
    let said = fleet.serve(&mut growth, 200);
    assert_eq!(growth.prefetch(), 128);
    assert_eq!(said.last(), Some(&Verdict::Settled(Settled::Most)));
}

#[test]
fn it_does_not_grow_for_want_of_jobs() {
    let mut growth = Growth::default();
    growth.with(2, 8);
    for ready in [Some(0), Some(2), None] {
        for _ in 0..20 {
            assert_eq!(growth.observe(4.0, ready), Verdict::Keep);
        }
    }
    // A look that finds some between two that find none.
    for ready in [9, 0, 9, 0, 9] {
        assert_eq!(growth.observe(4.0, Some(ready)), Verdict::Keep);
    }
}

#[test]
fn where_the_broker_is_slow_it_gives_up_soon_and_tries_again_rarely() {
    let fleet = Fleet {
        broker: 60.0,
        ..Fleet::at(2, 1)
    };
    let mut growth = Growth::default();
    let said = fleet.serve(&mut growth, 30);
    assert_eq!(said.last(), Some(&Verdict::Settled(Settled::NoHelp)));
    let soon = growth.prefetch();
    assert!(soon <= 24, "{soon}: {said:?}");
    let later = fleet.serve(&mut growth, 3600);
    let steps = later
        .iter()
        .filter(|verdict| matches!(verdict, Verdict::Grow(_)));
    assert!((1..=6).contains(&steps.count()), "{later:?}");

    // The broker has less to do, and is farther away than it seemed.
    let fleet = Fleet::at(2, 100);
    fleet.serve(&mut growth, 4000);
    assert!(fleet.pace(growth.prefetch()) >= 0.999 * 2.0 * 92.68);
}

#[test]
fn with_more_or_fewer_devices_it_keeps_the_number_for_each() {
    let mut growth = Growth::default();
    Fleet::at(2, 40).serve(&mut growth, 60);
    let two = growth.prefetch();
    assert!(two > 8, "it has grown");
    assert_eq!(growth.with(4, 16), 2 * two);
    assert_eq!(growth.with(2, 8), two);
    // Never fewer than one for each request.
    assert_eq!(Growth::default().with(3, 12), 12);
    assert_eq!(Growth::default().with(1, 128), 128);
}

#[test]
fn the_queue_is_looked_at_only_while_some_work_and_some_wait() {
    let mut growth = Growth::default();
    growth.with(2, 8);
    for (waiting, is_worth_it) in [(0.3, false), (0.5, true), (7.9, true), (8.0, false)] {
        assert_eq!(growth.is_worth_a_look(waiting), is_worth_it, "{waiting}");
    }
}

#[test]
fn an_interruption_is_no_reason_to_grow() {
    let mut growth = Growth::default();
    growth.with(2, 8);
    for _ in 0..10 {
        assert_eq!(growth.observe(6.0, Some(99)), Verdict::Keep);
        growth.interrupted();
    }
    assert_eq!(growth.prefetch(), 8);
}

#[test]
fn a_prefetch_is_a_number_or_auto() {
    assert_eq!("auto".parse(), Ok(Prefetch::Auto));
    assert_eq!("4096".parse(), Ok(Prefetch::Fixed(4096)));
    for refused in ["0", "4097", "-1", "", "Auto", "8x"] {
        let error = refused.parse::<Prefetch>().unwrap_err();
        assert!(error.contains("1 to 4096"), "{error}");
    }
}
