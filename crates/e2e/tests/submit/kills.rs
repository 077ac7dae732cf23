//! A run that is killed or interrupted, and the next one.

use crate::bench::{Bench, Finished, classified, finish, wait_until_it_says};
use crate::client::{Client, block_on};
use std::fs;

#[test]
fn no_image_is_sent_twice_whose_answer_is_on_disk_or_waits_whenever_the_kill_came() {
    const IMAGES: usize = 1_000;
    let bench = Bench::new();
    let fleet = bench.fleet("2");
    let photos = bench.photos(IMAGES);
    let batch = || bench.submit(&[&photos, &"--resume", &"--window", &"32"]);
    // Before anything was listed or sent, probably.
    batch().kill().expect("killed");
    for lines in [1, 60, 61, 150, 300] {
        let mut submit = batch();
        bench.wait_for_lines(lines, &mut submit);
        submit.kill().expect("killed");
        // So the answers to what it had sent wait in its queue.
        bench.wait_until_idle(&fleet.worker);
    }
    let Finished { code, stderr, .. } = finish(batch());
    assert_eq!(code, Some(0), "{stderr}");
    let answers = bench.answers(IMAGES);
    assert!(
        answers
            .values()
            .all(|line| line["outcome"].get("classes").is_some())
    );
    bench.wait_until_idle(&fleet.worker);
    assert_eq!(
        classified(&fleet.worker),
        IMAGES as u64,
        "each image was sent once"
    );
    bench.end(fleet);
}

#[test]
fn answers_that_come_while_nobody_is_there_are_waited_for_and_not_asked_for_again() {
    const IMAGES: usize = 400;
    let bench = Bench::new();
    let mut fleet = bench.fleet("2");
    let photos = bench.photos(IMAGES);
    let mut submit = bench.submit(&[&photos, &"--window", &"64"]);
    bench.wait_for_lines(20, &mut submit);
    // The jobs that the broker has are answered only when the next run is there.
    fleet.worker.pause().expect("paused");
    bench.wait_until_sent(64);
    submit.kill().expect("killed");
    let before = bench.lines();
    // In a narrower window, so that answers come to jobs that this run has not come to yet.
    let mut submit = bench.submit(&[&"--resume", &"--window", &"4"]);
    wait_until_it_says("images are missing", &submit);
    bench.wait_for_consumer();
    assert_eq!(submit.try_wait().expect("its state"), None);
    // All at once.
    submit.pause().expect("paused");
    fleet.worker.resume().expect("resumed");
    bench.wait_until_idle(&fleet.worker);
    submit.resume().expect("resumed");
    let Finished { code, stderr, .. } = finish(submit);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(before < IMAGES, "it was not over");
    bench.answers(IMAGES);
    bench.wait_until_idle(&fleet.worker);
    assert_eq!(
        classified(&fleet.worker),
        IMAGES as u64,
        "each image was sent once"
    );
    bench.end(fleet);
}

#[test]
fn ctrl_c_waits_for_what_is_in_hand_and_says_how_to_go_on() {
    const IMAGES: usize = 400;
    let bench = Bench::new();
    let fleet = bench.fleet("4");
    let photos = bench.photos(IMAGES);
    let mut submit = bench.submit(&[&photos, &"--window", &"16"]);
    bench.wait_for_lines(30, &mut submit);
    submit.interrupt().expect("interrupted");
    let Finished { code, stderr, .. } = finish(submit);
    assert_eq!(code, Some(130), "{stderr}");
    let lines = bench.lines();
    assert!((30..IMAGES).contains(&lines), "{lines}");
    assert_eq!(
        classified(&fleet.worker),
        lines as u64,
        "what was in hand has its line"
    );
    assert!(
        stderr.contains(&format!("missing     {}", IMAGES - lines)),
        "{stderr}"
    );
    let command = stderr.lines().last().expect("a line");
    assert!(command.contains("submit --resume"), "{command}");
    assert!(command.contains("with the same NCS_AMQP_URL"), "{command}");
    let text = fs::read_to_string(bench.output()).expect("the output");
    assert!(!text.contains("unanswered"), "{text}");
    // The very words that it said.
    let (_, command) = command.split_once("--amqp-url: ").expect("a command");
    let again = bench.shell(command);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    bench.answers(IMAGES);
    assert_eq!(
        classified(&fleet.worker),
        IMAGES as u64,
        "each image was sent once"
    );
    bench.end(fleet);
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_loses_nothing() {
    const IMAGES: usize = 400;
    let bench = Bench::new();
    let mut fleet = bench.fleet("2");
    let photos = bench.photos(IMAGES);
    let mut submit = bench.submit(&[&photos, &"--window", &"16"]);
    bench.wait_for_lines(5, &mut submit);
    fleet.worker.pause().expect("paused");
    submit.interrupt().expect("interrupted");
    wait_until_it_says("once more ends at once", &submit);
    // Sooner it would be the same signal.
    let ended = ncs_e2e::poll_until(crate::bed::LIMIT, || {
        submit.interrupt().expect("interrupted");
        submit.try_wait().expect("its state")
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(130));
    fleet.worker.resume().expect("resumed");
    let again = bench.run(&[&"--resume"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    bench.answers(IMAGES);
    bench.end(fleet);
}

#[test]
fn when_the_queue_of_a_killed_run_is_gone_its_images_are_sent_again() {
    const IMAGES: usize = 400;
    let bench = Bench::new();
    let mut fleet = bench.fleet("2");
    let photos = bench.photos(IMAGES);
    let mut submit = bench.submit(&[&photos, &"--window", &"16"]);
    bench.wait_for_lines(5, &mut submit);
    fleet.worker.pause().expect("paused");
    bench.wait_until_sent(16);
    submit.kill().expect("killed");
    let queue = bench.result_queue();
    block_on(async {
        let client = Client::connect(&bench.model).await;
        client
            .connection
            .delete_queue(&queue)
            .await
            .expect("deleted");
        client.close().await;
    });
    // Where the workers find no queue for an answer, it is lost.
    fleet.worker.resume().expect("resumed");
    bench.wait_until_idle(&fleet.worker);

    // A queue that another broker never had is no reason to forget what this one has.
    let description = bench.path("results.jsonl.batch/batch.json");
    let begun = fs::read_to_string(&description).expect("a batch");
    let mut elsewhere: serde_json::Value = serde_json::from_str(&begun).expect("JSON");
    elsewhere["broker"] = "amqp://elsewhere:5672".into();
    fs::write(&description, elsewhere.to_string()).expect("written");
    let refused = bench.run(&[&"--resume"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let told = "begun with amqp://elsewhere:5672";
    assert!(refused.stderr.contains(told), "{refused:?}");
    fs::write(&description, begun).expect("written");

    let again = bench.run(&[&"--resume", &"--timeout", &"30s"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    bench.answers(IMAGES);
    bench.end(fleet);
}
