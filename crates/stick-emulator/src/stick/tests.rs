use super::*;

const PACE: Pace = Pace {
    latency: Duration::from_micros(24_380),
    service: Duration::from_micros(10_790),
};
const BOOT: Duration = Duration::from_secs(2);
const FOR_EVER: Duration = Duration::from_secs(100_000);

fn line(condition: Condition) -> Line {
    Line {
        condition,
        celsius: None,
    }
}

fn stick(condition: Condition) -> (Arc<Stick>, Instant) {
    let now = Instant::now();
    (
        Arc::new(Stick::new("1.1", line(condition), PACE, BOOT, now)),
        now,
    )
}

fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

fn just_before(moment: Instant) -> Instant {
    moment.checked_sub(micros(1)).unwrap()
}

#[test]
fn one_inference_takes_the_latency() {
    let (stick, now) = stick(Condition::Ok);
    let inference = stick.start(0, now);
    assert_eq!(inference.ended(now + micros(24_379)), None);
    assert_eq!(
        inference.ended(now + micros(24_380)),
        Some(Outcome::Completed)
    );
}

#[test]
fn a_stick_that_always_has_the_next_one_ends_one_per_service_time() {
    let (stick, now) = stick(Condition::Ok);
    let mut in_flight: Vec<_> = (0..4).map(|_| stick.start(0, now)).collect();
    let mut clock = now;
    let mut ended = 0;
    while ended < 1_000 {
        clock += micros(10);
        for inference in &mut in_flight {
            if inference.ended(clock).is_some() {
                ended += 1;
                *inference = stick.start(0, clock);
            }
        }
    }
    let since_the_first = (clock - now).saturating_sub(PACE.latency);
    let per_inference = since_the_first / 999;
    assert!(
        per_inference.abs_diff(PACE.service) < micros(10),
        "{per_inference:?}"
    );
}

#[test]
fn a_late_waiter_does_not_move_the_schedule() {
    let (stick, now) = stick(Condition::Ok);
    let first = stick.start(0, now);
    let second = stick.start(0, now);
    // The first is seen 5 ms late, and only then is the third started.
    let late = now + PACE.latency + micros(5_000);
    assert!(first.ended(late).is_some());
    let third = stick.start(0, late);
    let second_ends = now + PACE.latency + PACE.service;
    assert_eq!(second.ended(just_before(second_ends)), None);
    assert!(second.ended(second_ends).is_some());
    // The slot was free before the third was transferred, so it takes the whole latency.
    assert_eq!(third.ended(just_before(late + PACE.latency)), None);
    assert!(third.ended(late + PACE.latency).is_some());
}

#[test]
fn a_slow_stick_takes_a_multiple() {
    let (stick, now) = stick(Condition::Slow(2.0));
    let inference = stick.start(0, now);
    assert_eq!(inference.ended(just_before(now + PACE.latency * 2)), None);
    assert!(inference.ended(now + PACE.latency * 2).is_some());
}

#[test]
fn without_a_service_time_inferences_do_not_wait_for_each_other() {
    let now = Instant::now();
    let pace = Pace {
        service: Duration::ZERO,
        ..PACE
    };
    let stick = Arc::new(Stick::new("1.1", line(Condition::Ok), pace, BOOT, now));
    let all: Vec<_> = (0..100).map(|_| stick.start(0, now)).collect();
    assert!(all.iter().all(|i| i.ended(now + PACE.latency).is_some()));
}

#[test]
fn unplugging_fails_what_is_in_hand_and_all_that_follows() {
    let (stick, now) = stick(Condition::Ok);
    let before = stick.start(0, now);
    stick.apply(None, now);
    assert_eq!(before.ended(now), Some(Outcome::Failed));
    assert_eq!(stick.start(0, now).ended(now), Some(Outcome::Failed));
    assert_eq!(stick.load(now).0, 0);
    assert!(!stick.is_listed(now));
}

#[test]
fn a_replugged_stick_boots_and_has_lost_its_network() {
    let (stick, now) = stick(Condition::Ok);
    stick.apply(None, now);
    stick.apply(Some(line(Condition::Ok)), now);
    assert!(!stick.is_listed(just_before(now + BOOT)));
    assert!(stick.is_listed(now + BOOT));
    let later = now + BOOT;
    assert_eq!(stick.start(0, later).ended(later), Some(Outcome::Failed));
    assert_eq!(stick.start(1, later).ended(later), None);
}

#[test]
fn a_hanging_stick_completes_nothing_until_it_is_well_again() {
    let (stick, now) = stick(Condition::Ok);
    let caught = stick.start(0, now);
    stick.apply(Some(line(Condition::Hanging)), now);
    let given = stick.start(0, now);
    assert_eq!(caught.ended(now + FOR_EVER), None);
    assert_eq!(given.ended(now + FOR_EVER), None);
    assert_eq!(given.wait(Some(Instant::now())), None);
    stick.apply(Some(line(Condition::Ok)), now);
    assert_eq!(caught.ended(now), Some(Outcome::Completed));
    assert_eq!(given.ended(now), Some(Outcome::Completed));
}

#[test]
fn a_stuck_stick_ignores_the_deadline_of_a_wait() {
    let (stick, now) = stick(Condition::Stuck);
    let inference = stick.start(0, now);
    let waiter = std::thread::spawn({
        let inference = Arc::clone(&inference);
        move || inference.wait(Some(now))
    });
    stick.apply(Some(line(Condition::Failing)), now);
    assert_eq!(waiter.join().unwrap(), Some(Outcome::Failed));
}

#[test]
fn a_flaky_stick_fails_one_in_n_at_its_end() {
    let (stick, now) = stick(Condition::Flaky(3));
    let all: Vec<_> = (0..9).map(|_| stick.start(0, now)).collect();
    assert!(all.iter().all(|inference| inference.ended(now).is_none()));
    let failed = all
        .iter()
        .filter(|i| i.ended(now + FOR_EVER) == Some(Outcome::Failed))
        .count();
    assert_eq!(failed, 3);
}

#[test]
fn what_happened_is_counted() {
    let (stick, now) = stick(Condition::Ok);
    for _ in 0..3 {
        stick.start(0, now);
    }
    let counts = stick.counts(now + PACE.latency);
    assert_eq!(
        counts,
        Counts {
            started: 3,
            completed: 1,
            failed: 0,
            in_hand: 2,
            max_in_hand: 3
        }
    );
    stick.apply(None, now + PACE.latency);
    assert_eq!(stick.counts(now + PACE.latency).failed, 2);
}

#[test]
fn an_uncompilable_stick_is_listed_and_takes_no_network() {
    let (stick, now) = stick(Condition::Uncompilable);
    assert!(stick.is_listed(now));
    assert_eq!(stick.load_network(Duration::ZERO), None);
    stick.apply(Some(line(Condition::Ok)), now);
    assert_eq!(stick.load_network(Duration::ZERO), Some(0));
    assert_eq!(stick.networks(), 1);
}
