//! Batches of any size take the same memory.

use crate::bed::LIMIT;
use crate::bench::{Bench, finish};
use ncs_e2e::poll_until;
use std::fs::{self, File};

/// The most that a batch of so many images has in memory at any time, in KiB. None of its files is an
/// image, so that none needs a fleet.
fn peak(bench: &Bench, images: usize) -> u64 {
    let folder = bench.path(&images.to_string());
    fs::create_dir(&folder).expect("a folder");
    for number in 0..images {
        File::create(folder.join(format!(
            "an image with a name of some length {number:09}.jpg"
        )))
        .expect("a file");
    }
    let mut submit = bench.submit(&[&folder]);
    let mut peak = 0;
    let ended = poll_until(LIMIT, || {
        let status =
            fs::read_to_string(format!("/proc/{}/status", submit.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = now.unwrap_or(0).max(peak);
        submit.try_wait().expect("its state")
    });
    assert!(ended.is_some(), "it ends{}", submit.last_words());
    let run = finish(submit);
    assert_eq!(run.code, Some(3), "{run:?}");
    let text = fs::read_to_string(bench.output()).expect("the output");
    assert_eq!(text.lines().count(), images);
    assert_eq!(text.matches("not_an_image").count(), images);
    fs::remove_file(bench.output()).expect("removed");
    fs::remove_dir_all(bench.path("results.jsonl.batch")).expect("removed");
    peak
}

#[test]
fn a_hundred_times_as_many_files_take_no_more_memory() {
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    let (few, many) = (peak(&bench, 2_000), peak(&bench, 200_000));
    println!("{few} KiB for 2,000 files, {many} KiB for 200,000");
    assert!(
        many < few + 4 * 1024,
        "{few} KiB for 2,000 files, {many} KiB for 200,000"
    );
    bench.end(fleet);
}
