//! What a producer sends instead of an image as it is gets the answers of the image.

use crate::bed::{LIMIT, amqp_url, drain, runtime, start, unique};
use crate::client::clean_up;
use ncs_e2e::paths::{GOOGLENET, GOOGLENET_U8};
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::worker::WorkerOptions;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Two of 640×427 pixels, and 24 that have the networks' size.
const PHOTOS: usize = 26;
const CLASSES: usize = 1_000;
/// Larger than any rounding of the same inference.
const TOLERANCE: f64 = 1e-4;

/// A worker that serves the network under `name`, in f32: the least difference between two inputs
/// shows, on every host alike.
fn worker(network: &str, name: &str) -> WorkerOptions {
    WorkerOptions::new(&runtime(), network, &amqp_url())
        .expect("run `cargo xtask test`, which makes the model")
        .arguments(["--model-name", name, "--precision", "f32"])
}

/// The real photos, the large ones first.
fn photos() -> Vec<PathBuf> {
    let in_order = |folder: PathBuf| {
        let entries = fs::read_dir(&folder).expect("run `cargo xtask test`, which makes them");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        paths.sort();
        paths
    };
    let photos = [
        in_order(runtime().photos_dir()),
        in_order(runtime().small_photos_dir()),
    ];
    let photos = photos.concat();
    assert_eq!(photos.len(), PHOTOS);
    photos
}

/// A folder for a test's files, which goes with it.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(unique("ncs-prepare"));
        fs::create_dir(&path).expect("a folder");
        Self { path }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A file with paths, each before a NUL.
fn list_of(paths: &[PathBuf], folder: &Path) -> PathBuf {
    let mut list = Vec::new();
    for path in paths {
        list.extend(path.as_os_str().as_bytes());
        list.push(0);
    }
    let file = folder.join("list");
    fs::write(&file, list).expect("written");
    file
}

/// The scores of all classes, by photo, when the photos are prepared like that.
fn scores(model: &str, prepare: &[&str]) -> Vec<Vec<f64>> {
    let folder = Folder::new();
    let results = folder.path.join("results");
    let flood = FloodOptions::new(model, &amqp_url())
        .arguments(["--jobs", &PHOTOS.to_string(), "--top-k", "1000", "--null"])
        .arguments([
            OsStr::new("--files-from"),
            list_of(&photos(), &folder.path).as_os_str(),
        ])
        .arguments([OsStr::new("--results"), results.as_os_str()])
        .arguments(prepare.iter().copied());
    let producer = Producer::flood(&flood).expect("started");
    let finished = producer.finish(LIMIT).expect("finished");
    assert!(finished.status.success(), "{prepare:?}: {finished:?}");

    let mut scores = vec![vec![f64::NAN; CLASSES]; PHOTOS];
    let lines = fs::read_to_string(&results).expect("results");
    for line in lines.lines() {
        let result: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let number =
            |value: &serde_json::Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let photo = number(&result["image"]).expect("a photo's number");
        for class in result["outcome"]["classes"].as_array().expect("classes") {
            let index = number(&class["index"]).expect("a class");
            scores[photo][index] = class["score"].as_f64().expect("a score");
        }
    }
    assert!(scores.iter().flatten().all(|score| score.is_finite()));
    scores
}

fn best(scores: &[f64]) -> usize {
    let classes = 0..scores.len();
    let best = classes.max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    best.expect("classes")
}

fn furthest(one: &[f64], other: &[f64]) -> f64 {
    let differences = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max)
}

/// Holds what is prepared to the answers that the photos get as they are.
fn compare(network: &str, tensor: &[&str]) {
    let model = unique("prepare");
    let worker = start(&worker(network, &model));
    let original = scores(&model, &["--prepare", "original"]);
    let shrunk = scores(&model, &["--prepare", "224"]);
    let tensors = scores(&model, &[&["--prepare", "tensor"], tensor].concat());
    drain(worker);
    clean_up(&model);
    for photo in 0..PHOTOS {
        let [original, shrunk, tensor] = [&original, &shrunk, &tensors].map(|of| &of[photo]);
        let [by_jpeg, by_tensor] = [shrunk, tensor].map(|scores| furthest(original, scores));
        println!(
            "photo {photo}: best {:.4}, off by {by_jpeg:.4} as a JPEG of 224 pixels, {by_tensor:.6} \
             as a tensor",
            original[best(original)]
        );
        assert!(by_tensor <= TOLERANCE, "photo {photo}: {by_tensor}");
        assert_eq!(best(tensor), best(original), "photo {photo} as a tensor");
        assert_eq!(best(shrunk), best(original), "photo {photo} of 224 pixels");
        // What has the network's size is sent as it is; the large ones are encoded once more.
        let is_large = photo < 2;
        assert_eq!(by_jpeg > TOLERANCE, is_large, "photo {photo}: {by_jpeg}");
    }
}

#[test]
fn prepared_photos_get_the_answers_of_the_originals_from_an_f32_network() {
    compare(GOOGLENET, &[]);
}

#[test]
fn prepared_photos_get_the_answers_of_the_originals_from_a_u8_network() {
    compare(
        GOOGLENET_U8,
        &["--input-layout", "nhwc", "--input-type", "u8"],
    );
}

#[test]
fn a_list_comes_from_standard_input_with_names_that_are_no_utf_8() {
    let folder = Folder::new();
    let odd = folder.path.join(OsStr::from_bytes(b"caf\xe9 \n\xff.jpg"));
    fs::copy(&photos()[PHOTOS - 1], &odd).expect("copied");
    let list = list_of(&[photos()[PHOTOS - 2].clone(), odd], &folder.path);

    let model = unique("names");
    let worker = start(&worker(GOOGLENET, &model));
    let flood = FloodOptions::new(&model, &amqp_url());
    let flood = flood.arguments(["--files-from", "-", "-0", "--jobs", "4", "--timeout", "60s"]);
    let mut command = flood.command().expect("the program");
    let list = File::open(&list).expect("the list");
    let output = command.stdin(list).output().expect("started");
    drain(worker);
    clean_up(&model);
    assert!(output.status.success(), "{output:?}");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("answered    4"), "{report}");
}
