//! Nobody answers.

use crate::bed::drain;
use crate::bench::{Bench, classified, error_of, finish, wait_until_it_says};
use crate::client::clean_up;
use std::fs;

#[test]
fn a_silence_gives_each_image_its_line_and_the_next_run_tries_those_again() {
    const IMAGES: usize = 40;
    for csv in [false, true] {
        let bench = Bench::new();
        let fleet = bench.fleet("1");
        let photos = bench.photos(IMAGES);
        drain(fleet.worker);
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&photos, &"--window", &"8", &"--timeout", &"2s", &"--resume"];
        if csv {
            arguments.push(&"--csv");
        }
        let silent = bench.run(&arguments);
        assert_eq!(silent.code, Some(1), "{silent:?}");
        assert!(silent.stderr.contains("unanswered  40"), "{silent:?}");
        assert!(silent.stderr.contains("--resume"), "{silent:?}");
        let text = fs::read_to_string(bench.output()).expect("the output");
        let told = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(told("unanswered"), IMAGES);
        assert_eq!(told("sent, no answer for 2s"), 8);
        assert_eq!(told("not sent: no answer for 2s"), IMAGES - 8);
        // However often nobody is there, the jobs that wait are not sent again.
        let silent = bench.run(&arguments);
        assert_eq!(silent.code, Some(1), "{silent:?}");
        assert_eq!(bench.queued(), 8);
        let fleet = bench.fleet("1");
        let heard = bench.run(&arguments);
        assert_eq!(heard.code, Some(0), "{heard:?}");
        if csv {
            let text = fs::read_to_string(bench.output()).expect("the output");
            assert_eq!(text.lines().count(), IMAGES + 1);
            assert_eq!(text.matches(",class,").count(), IMAGES);
        } else {
            assert!(
                bench
                    .answers(IMAGES)
                    .values()
                    .all(|line| error_of(line).is_none())
            );
        }
        assert_eq!(classified(&fleet.worker), IMAGES as u64);
        bench.end(fleet);
    }
}

#[test]
fn jobs_in_the_hands_of_a_worker_are_waited_for_and_not_sent_again() {
    const IMAGES: usize = 4;
    let bench = Bench::new();
    let mut fleet = bench.fleet("1");
    let photos = bench.photos(IMAGES);
    // It is ready a moment before.
    wait_until_it_says("taking jobs", &fleet.worker);
    fleet.worker.pause().expect("paused");
    // As many as the worker takes, so that none waits in the queue.
    let silent = bench.run(&[&photos, &"--window", &"4", &"--timeout", &"2s"]);
    assert_eq!(silent.code, Some(1), "{silent:?}");
    assert_eq!(bench.queued(), 0);
    let again = bench.submit(&[&"--resume"]);
    wait_until_it_says("4 jobs of an earlier run may be in the hands", &again);
    fleet.worker.resume().expect("resumed");
    let again = finish(again);
    assert_eq!(again.code, Some(0), "{again:?}");
    bench.answers(IMAGES);
    assert_eq!(classified(&fleet.worker), IMAGES as u64);
    bench.end(fleet);
}

#[test]
fn jobs_that_are_lost_are_sent_again() {
    const IMAGES: usize = 4;
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    let photos = bench.photos(IMAGES);
    drain(fleet.worker);
    let silent = bench.run(&[&photos, &"--timeout", &"2s"]);
    assert_eq!(silent.code, Some(1), "{silent:?}");
    assert_eq!(bench.queued() as usize, IMAGES);
    clean_up(&bench.model);
    let fleet = bench.fleet("1");
    let again = bench.run(&[&"--resume"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    bench.answers(IMAGES);
    assert_eq!(classified(&fleet.worker), IMAGES as u64);
    bench.end(fleet);
}

#[test]
fn a_silence_after_ctrl_c_is_an_interruption_and_no_answer() {
    const IMAGES: usize = 400;
    let bench = Bench::new();
    let mut fleet = bench.fleet("2");
    let photos = bench.photos(IMAGES);
    let mut submit = bench.submit(&[&photos, &"--window", &"8", &"--timeout", &"3s"]);
    bench.wait_for_lines(2, &mut submit);
    fleet.worker.pause().expect("paused");
    bench.wait_until_sent(8);
    submit.interrupt().expect("interrupted");
    let silent = finish(submit);
    assert_eq!(silent.code, Some(130), "{silent:?}");
    let text = fs::read_to_string(bench.output()).expect("the output");
    assert!(!text.contains("unanswered"), "{text}");
    fleet.worker.resume().expect("resumed");
    bench.wait_until_idle(&fleet.worker);
    let again = bench.run(&[&"--resume"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    bench.answers(IMAGES);
    assert_eq!(
        classified(&fleet.worker),
        IMAGES as u64,
        "each image was sent once"
    );
    bench.end(fleet);
}
