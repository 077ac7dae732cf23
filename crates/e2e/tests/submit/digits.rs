//! Images that have a right answer: the handwritten digits.

use crate::bed::{digits, drain, runtime, start, unique};
use crate::bench::{Bench, Finished, by_image, finish, path_of};
use crate::client::clean_up;
use ncs_e2e::rabbitmq::{RabbitMq, RabbitMqOptions, wait_out_young_queues};
use ncs_e2e::worker::Worker;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// All images of scikit-learn's bundled digits.
const DIGITS: usize = 1_797;

/// What OpenVINO's own Python API says of each digit.
fn expected() -> Vec<String> {
    let csv = fs::read_to_string(runtime().digits_dir().join("expected.csv"));
    let csv = csv.expect("run `cargo xtask test`, which makes it");
    let label = |line: &str| line.split(',').nth(1).expect("two columns").to_owned();
    csv.lines().skip(1).map(label).collect()
}

fn assert_right(answers: &BTreeMap<u64, Value>) {
    let expected = expected();
    for line in answers.values() {
        let name = path_of(line)
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let digit: usize = name.parse().expect("a digit's number");
        let label = line["outcome"]["classes"][0]["label"].as_str();
        assert_eq!(label, Some(expected[digit].as_str()), "{line}");
    }
}

fn worker(bench: &Bench) -> Worker {
    let mut options = digits(&bench.model);
    options.amqp_url.clone_from(&bench.url);
    start(&options)
}

#[test]
fn a_batch_outlives_two_workers_its_broker_and_itself() {
    let mut node = RabbitMq::start(RabbitMqOptions::default()).expect("a private node");
    let bench = Bench::at(node.amqp_url());
    let mut serving = worker(&bench);
    wait_out_young_queues();
    // A narrow window, so that there is a middle to be hurt in.
    let folder = runtime().digits_dir();
    let batch = || bench.submit(&[&folder, &"--window", &"4", &"--resume"]);
    let mut submit = batch();
    bench.wait_for_lines(200, &mut submit);
    serving.kill().expect("killed");
    serving = worker(&bench);
    bench.wait_for_lines(500, &mut submit);
    submit.kill().expect("killed");
    let mut submit = batch();
    bench.wait_for_lines(900, &mut submit);
    node.restart().expect("it comes back");
    bench.wait_for_lines(1_200, &mut submit);
    serving.kill().expect("killed");
    serving = worker(&bench);
    let Finished { code, stderr, .. } = finish(submit);
    assert_eq!(code, Some(0), "{stderr}");
    let answers = bench.answers(DIGITS);
    assert_right(&answers);
    assert!(stderr.contains("classified  1797"), "{stderr}");
    assert!(
        !bench.path("results.jsonl.batch/images").exists(),
        "what is left is small"
    );
    drain(serving);
    node.stop().expect("it stops");
}

#[test]
fn batches_at_once_share_the_fleet_and_mix_no_answers() {
    let model = unique("digits");
    let workers = [start(&digits(&model)), start(&digits(&model))];
    let folder = runtime().digits_dir();
    // The first half, the second half, and every third.
    let parts: [Vec<usize>; 3] = [
        (0..900).collect(),
        (900..DIGITS).collect(),
        (0..DIGITS).step_by(3).collect(),
    ];
    let benches: Vec<Bench> = parts
        .iter()
        .map(|digits| {
            let mut bench = Bench::new();
            bench.model.clone_from(&model);
            let name = |digit: &usize| folder.join(format!("{digit:04}.png")).display().to_string();
            let list: Vec<String> = digits.iter().map(name).collect();
            fs::write(bench.path("list"), list.join("\n")).expect("a list");
            bench
        })
        .collect();
    // All of one name: a name is for people.
    let start = |bench: &Bench| bench.submit(&[&"--files-from", &"list", &"--name", &"night"]);
    let batches: Vec<_> = benches.iter().map(start).collect();
    for ((batch, bench), digits) in batches.into_iter().zip(&benches).zip(&parts) {
        let Finished { code, stderr, .. } = finish(batch);
        assert_eq!(code, Some(0), "{stderr}");
        let text = fs::read_to_string(bench.output()).expect("the output");
        let answers = by_image(&text, digits.len());
        for (line, digit) in answers.values().zip(digits) {
            assert_eq!(path_of(line), folder.join(format!("{digit:04}.png")));
        }
        assert_right(&answers);
    }
    workers.into_iter().for_each(drain);
    clean_up(&model);
}
