//! A model that really learned something: every handwritten digit through broker, worker and back.

use crate::bed::{digits, drain, runtime, start, unique};
use crate::client::{Client, block_on, clean_up};
use ncs_protocol::Outcome;
use std::collections::BTreeMap;
use std::path::Path;

/// All images of scikit-learn's bundled digits.
const DIGITS: usize = 1_797;
/// Jobs unanswered at once.
const WINDOW: usize = 64;

/// The second column of a CSV with a header: labels by index.
fn labels(csv: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(csv).expect("run `cargo xtask test`, which makes it");
    let label = |line: &str| line.split(',').nth(1).expect("two columns").to_owned();
    text.lines().skip(1).map(label).collect()
}

#[test]
fn all_digits_get_the_label_that_openvinos_python_api_gives() {
    let folder = runtime().digits_dir();
    let expected = labels(&folder.join("expected.csv"));
    let truth = labels(&folder.join("truth.csv"));
    assert_eq!((expected.len(), truth.len()), (DIGITS, DIGITS));
    let model = unique("digits");
    let worker = start(&digits(&model));
    let answers = block_on(classify(&model, &folder));
    drain(worker);
    clean_up(&model);
    assert_eq!(answers.len(), DIGITS);
    for (index, label) in &answers {
        assert_eq!(label, &expected[*index], "digit {index}");
    }
    let right = answers
        .iter()
        .filter(|(index, label)| *label == &truth[**index])
        .count();
    println!("accuracy: {right} of {DIGITS} digits, as OpenVINO's Python API");
    assert!(
        right * 100 >= DIGITS * 95,
        "only {right} of {DIGITS} are right: not a trained model"
    );
}

/// Sends all digits as PNG jobs; the best label of each, by index.
async fn classify(model: &str, folder: &Path) -> BTreeMap<usize, String> {
    let mut client = Client::connect(model).await;
    let mut answers = BTreeMap::new();
    let mut sent = 0;
    while answers.len() < DIGITS {
        while sent < DIGITS && sent < answers.len() + WINDOW {
            let png = std::fs::read(folder.join(format!("{sent:04}.png"))).expect("a digit");
            client.send_image(&sent.to_string(), "image/png", png).await;
            sent += 1;
        }
        let (_, result) = client.result().await;
        let Outcome::Classes(classes) = &result.outcome else {
            panic!("{result:?}")
        };
        let index = result.job_id.parse().expect("the id that was sent");
        let label = classes[0].label.clone().expect("a label");
        assert_eq!(
            answers.insert(index, label),
            None,
            "digit {index} is answered once"
        );
    }
    client.close().await;
    answers
}

#[test]
fn two_models_on_one_broker_do_not_mix() {
    let (first, second) = (unique("digits-a"), unique("digits-b"));
    let workers = [start(&digits(&first)), start(&digits(&second))];
    for model in [&first, &second] {
        block_on(async {
            let mut client = Client::connect(model).await;
            let png = std::fs::read(runtime().digits_dir().join("0000.png")).expect("a digit");
            client.send_image("0", "image/png", png).await;
            assert_eq!(client.result().await.1.model, **model);
            client.close().await;
        });
    }
    workers.into_iter().for_each(drain);
    for model in [&first, &second] {
        clean_up(model);
    }
}
