//! Many letters, and commands that are stopped in the midst of them.

use crate::bed::LIMIT;
use crate::place::{Place, Running, image, written};
use ncs_e2e::poll_until;
use ncs_e2e::rabbitmq::Release;
use ncs_protocol::Properties;
use ncs_protocol::topology::DEAD;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const MANY: u32 = 3_000;

/// Every third of them of another code.
fn bury(place: &Place, count: u32) -> Vec<String> {
    let code = |number| ["expired", "expired", "malformed_job"][number as usize % 3];
    place.bury((0..count).map(|number| {
        let letter = written(image(&number.to_string()), code(number));
        (letter, vec![7; 2_000])
    }));
    (0..count).map(|number| number.to_string()).collect()
}

#[test]
fn three_thousand_letters_are_listed_in_a_moment_and_stay_in_their_order_on_rabbitmq_3() {
    stay_in_their_order(Release::V3);
}

#[test]
fn three_thousand_letters_are_listed_in_a_moment_and_stay_in_their_order_on_rabbitmq_4() {
    stay_in_their_order(Release::V4);
}

fn stay_in_their_order(release: Release) {
    let place = Place::on(release);
    let mut names = bury(&place, MANY);
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(place.names(), names);
        // Half a second on two idle cores.
        assert!(start.elapsed() < Duration::from_secs(10), "{start:?}");
        // They are all back before it ends.
        assert_eq!(place.ready(DEAD), MANY);
    }
    let some = place.list(&["--limit", "10", "--code", "malformed_job"]);
    assert_eq!(some["codes"]["malformed_job"], MANY / 3);
    assert_eq!(some["letters"].as_array().map(Vec::len), Some(10));
    assert_eq!(place.names(), names);

    // What goes is gone for good, and the others do not move.
    let said = place.dead(&["purge", "--code", "malformed_job", "--yes"]);
    said.assert_says("deleted 1000 dead letters");
    names.retain(|name| name.parse::<u32>().expect("a number") % 3 != 2);
    assert_eq!(place.names(), names);
    let said = place.dead(&["purge", "--all", "--yes"]);
    said.assert_says("deleted 2000 dead letters");
    assert_eq!(place.ready(DEAD), 0);
}

#[test]
fn more_than_fit_into_the_memory_are_put_back_in_rounds() {
    const LARGE: usize = 4 << 20;
    const COUNT: u32 = 80;
    let place = Place::on(Release::Installed);
    place.bury((0..COUNT).map(|number| {
        let letter = written(image(&number.to_string()), "expired");
        (letter, vec![7; LARGE])
    }));
    let mut retry = place.start(&["retry", "--all"]);
    let mut most = 0;
    let ended = poll_until(LIMIT, || {
        let usage = retry.0.usage();
        most = most.max(usage.map_or(0, |usage| usage.resident_bytes));
        retry.0.try_wait().expect("its state")
    });
    assert!(ended.is_some(), "{}", retry.0.last_words());
    let said = retry.finish();
    said.assert_ends_with(0);
    said.assert_says(&format!("put back: {COUNT} x {}\n", place.model));
    assert_eq!(place.ready(&place.jobs_queue()), COUNT);
    assert_eq!(place.ready(DEAD), 0);
    // 64 MiB of bodies, what is under way to us (30 to 130 MiB), and ourselves.
    assert!(most < 256 << 20, "{most} bytes");
}

#[test]
fn of_more_than_ten_thousand_the_oldest_are_looked_at_and_a_retry_goes_on_behind_them() {
    const MOST: u32 = 10_000;
    let place = Place::on(Release::Installed);
    // Those to be put back are the first and the last.
    let code = |number| match number {
        10..=MOST => "malformed_job",
        _ => "expired",
    };
    place.bury((0..MOST + 10).map(|number| {
        let letter = written(image(&number.to_string()), code(number));
        (letter, b"x".to_vec())
    }));
    let list = place.list(&["--code", "expired"]);
    assert_eq!(
        (&list["total"], &list["looked_at"]),
        (&(MOST + 10).into(), &MOST.into())
    );
    assert_eq!(list["codes"]["expired"], 10);
    let said = place.dead(&["list", "--limit", "1"]);
    said.assert_says(
        "10010 dead letters, the oldest 1 shown (see --limit), the newest 10 not looked at",
    );

    let said = place.dead(&["retry", "--code", "expired"]);
    said.assert_ends_with(0);
    said.assert_says(&format!("put back: 19 x {}\n", place.model));
    assert_eq!(place.ready(&place.jobs_queue()), 19);

    place.bury(["a", "b"].map(|id| (written(image(id), "expired"), b"x".to_vec())));
    place.bury((0..20).map(|_| (written(image("c"), "too_large"), Vec::new())));
    // What may be among the others was not done.
    let said = place.dead(&["show", "missing"]);
    said.assert_ends_with(1);
    said.assert_says("is called missing; the newest 13 were not looked at");
    for command in [
        &["retry", "--code", "internal"][..],
        &["purge", "--code", "internal", "--yes"],
    ] {
        let said = place.dead(command);
        said.assert_ends_with(1);
        said.assert_says("not looked at: the newest 13\n");
        said.assert_says("none of 10000 dead letters is meant\n");
    }
    place.dead(&["purge", "a", "--yes"]).assert_ends_with(0);
    let said = place.dead(&["purge", "--all", "--yes"]);
    said.assert_ends_with(1);
    said.assert_says("not looked at: the newest 12\n");
    said.assert_says("deleted 10000 dead letters\n");
    assert_eq!(place.ready(DEAD), 12);
    place.dead(&["purge", "--all", "--yes"]).assert_ends_with(0);
}

#[test]
fn that_thousands_of_reply_queues_are_gone_is_noticed_of_each() {
    // More than a connection has channels, of which each question may cost one.
    const GONE: u32 = 2_200;
    let place = Place::on(Release::Installed);
    place.bury((0..GONE).map(|number| {
        let letter = Properties {
            reply_to: Some(format!("gone-{number}")),
            ..written(image(&number.to_string()), "expired")
        };
        (letter, b"x".to_vec())
    }));
    let said = place.dead(&["retry", "--all"]);
    said.assert_ends_with(0);
    said.assert_says(&format!("of these, {GONE} had a reply queue that is gone"));
    assert_eq!(place.ready(&place.jobs_queue()), GONE);
}

/// Starts to put all back where no worker takes them, and waits until some are.
fn start_to_retry(place: &Place) -> Running {
    let retry = place.start(&["retry", "--all"]);
    let jobs = place.jobs_queue();
    let begun = poll_until(LIMIT, || (place.ready(&jobs) > 10).then_some(()));
    assert!(begun.is_some(), "{}", retry.0.last_words());
    retry
}

#[test]
fn what_is_not_put_back_when_somebody_interrupts_is_still_a_dead_letter() {
    let place = Place::on(Release::Installed);
    bury(&place, MANY);
    let mut retry = start_to_retry(&place);
    retry.0.interrupt().expect("interrupted");
    let said = retry.finish();
    said.assert_ends_with(1);
    said.assert_says("interrupted; what was not put back is still in ncs.dead");
    let put_back = place.ready(&place.jobs_queue());
    said.assert_says(&format!("put back: {put_back} x {}\n", place.model));
    assert!((10..MANY).contains(&put_back), "{put_back}");
    place.wait_for(DEAD, MANY - put_back);
}

#[test]
fn a_retry_that_is_killed_loses_no_letter() {
    let place = Place::on(Release::Installed);
    let names = bury(&place, MANY);
    let mut retry = start_to_retry(&place);
    retry.0.kill().expect("killed");
    let jobs = place.jobs_queue();
    let all_back = poll_until(LIMIT, || {
        (place.ready(DEAD) + place.ready(&jobs) >= MANY).then_some(())
    });
    assert!(all_back.is_some(), "{} are left", place.ready(DEAD));
    let in_the_queue = u16::try_from(place.ready(&jobs)).expect("some");
    assert!((10..MANY).contains(&in_the_queue.into()), "{in_the_queue}");
    let put_back = place.peek(&jobs, in_the_queue);
    let put_back = put_back.into_iter().map(|job| job.properties.message_id);
    let mut found: BTreeSet<_> = put_back.map(|id| id.expect("an id")).collect();
    // At worst those that were under way are in both.
    let left = place.names();
    found.extend(left);
    assert_eq!(found, BTreeSet::from_iter(names));
}
