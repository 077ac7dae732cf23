//! Nothing there, or no broker to ask.

use crate::place::Place;
use ncs_e2e::rabbitmq::Release;

#[test]
fn where_no_worker_has_ever_run_there_are_no_dead_letters() {
    let place = Place::untouched_on(Release::Installed);
    for command in [
        &["list"][..],
        &["retry", "--all"],
        &["purge", "--all", "--yes"],
    ] {
        let said = place.dead(command);
        said.assert_ends_with(0);
        assert_eq!(
            said.stdout, "no dead letters: no worker has ever run on this broker\n",
            "{command:?}"
        );
    }
    assert_eq!(place.list(&[])["total"], 0);
    for command in [&["show", "7"][..], &["retry", "7"], &["purge", "7"]] {
        let said = place.dead(command);
        said.assert_ends_with(1);
        said.assert_says("no worker has ever run on this broker");
    }
}

#[test]
fn an_empty_queue_is_good_news() {
    let place = Place::on(Release::Installed);
    let said = place.dead(&["list"]);
    said.assert_ends_with(0);
    assert_eq!(said.stdout, "no dead letters\n");
    for command in [&["retry", "--all"][..], &["purge", "--all"]] {
        let said = place.dead(command);
        said.assert_ends_with(0);
        said.assert_says("none of 0 dead letters is meant");
    }
}

#[test]
fn a_broker_that_declines_or_is_not_there_is_told_as_by_the_other_commands() {
    let place = Place::on(Release::Installed);
    let wrong = place.url().replace("guest:guest", "guest:s3cret");
    for (url, code) in [(&*wrong, 69), ("amqp://127.0.0.1:1", 1)] {
        for command in [
            &["list"][..],
            &["show", "7"],
            &["retry", "7"],
            &["purge", "7"],
        ] {
            let said = place.dead(&[command, &["--amqp-url", url]].concat());
            said.assert_ends_with(code);
            assert!(said.stderr.starts_with("ncs-producer: "), "{said:?}");
            assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
            assert!(!said.stderr.contains("s3cret"), "{said:?}");
        }
    }
}

#[test]
fn a_letter_that_is_not_there_is_named() {
    let place = Place::on(Release::Installed);
    for command in [
        &["show", "missing"][..],
        &["retry", "missing"],
        &["purge", "missing", "--yes"],
    ] {
        let said = place.dead(command);
        said.assert_ends_with(1);
        said.assert_says("no letter in ncs.dead is called missing");
    }
}
