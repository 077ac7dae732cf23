//! What `--resume` begins, goes on with, and refuses.

use crate::bench::Bench;
use std::fs;

#[test]
fn one_command_can_be_run_again_and_again_until_all_is_done() {
    const IMAGES: usize = 200;
    let bench = Bench::new();
    let fleet = bench.fleet("2");
    bench.photos(IMAGES);
    let submit = bench.line("photos --out results.jsonl --resume --window 16");
    // Each run is stopped soon after its start, in one way or the other, and later each time.
    let run = bench.shell(&format!(
        "n=0; until timeout -s $([ $((n % 2)) = 0 ] && echo INT || echo KILL) \
         $((n / 10)).$((n % 10))5 {submit} || [ $n = 50 ]; do n=$((n + 1)); done; echo $n"
    ));
    let rounds: u32 = run.stdout.trim().parse().expect("a number");
    assert!((1..50).contains(&rounds), "{rounds} rounds, {}", run.stderr);
    bench.answers(IMAGES);
    let before = fs::read(bench.output()).expect("the output");
    let again = bench.shell(&submit);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stderr.contains("nothing is missing"), "{again:?}");
    assert_eq!(fs::read(bench.output()).expect("the output"), before);
    let moved = bench.path("moved.jsonl");
    fs::rename(bench.output(), &moved).expect("renamed");
    let gone = bench.shell(&submit);
    assert_eq!(gone.code, Some(1), "{gone:?}");
    assert!(gone.stderr.contains("is gone"), "{gone:?}");
    fs::write(bench.output(), &before[..before.len() / 2]).expect("written");
    let changed = bench.shell(&submit);
    assert_eq!(changed.code, Some(1), "{changed:?}");
    assert!(changed.stderr.contains("is changed"), "{changed:?}");
    let standard = bench.shell(&bench.line("photos --out - --resume"));
    assert_eq!(standard.code, Some(1), "{standard:?}");
    assert!(standard.stderr.contains("--out a file"), "{standard:?}");
    bench.end(fleet);
}

#[test]
fn what_is_there_is_neither_overwritten_nor_mixed_with_anything_else() {
    let bench = Bench::new();
    let mut fleet = bench.fleet("2");
    let photos = bench.photos(400);
    let refused = |arguments: &[&dyn AsRef<std::ffi::OsStr>], why: &str| {
        let run = bench.run(arguments);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains(why), "not '{why}' in {}", run.stderr);
    };
    refused(&[&"--resume"], "name its images");
    fs::write(bench.output(), "mine").expect("written");
    refused(&[&photos], "another --out");
    refused(&[&photos, &"--resume"], "results.jsonl.batch");
    fs::remove_file(bench.output()).expect("removed");
    let mut submit = bench.submit(&[&photos, &"--window", &"8"]);
    bench.wait_for_lines(5, &mut submit);
    fleet.worker.pause().expect("paused");
    refused(&[&photos, &"--resume"], "another submit is at work");
    refused(&[&photos], "--resume");
    submit.kill().expect("killed");
    refused(&[&photos, &"--resume", &"--csv"], "without --csv");
    refused(&[&photos, &"--resume", &"--prepare", &"64"], "--prepare");
    fleet.worker.resume().expect("resumed");
    let other = bench.photos_of_another_folder();
    let run = bench.run(&[&other, &"--resume", &"--name", &"late"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stderr.contains("its images, --name cannot change"),
        "{}",
        run.stderr
    );
    bench.answers(400);
    bench.end(fleet);
}

#[test]
fn a_batch_for_another_model_is_not_gone_on_with() {
    let mut bench = Bench::new();
    let fleet = bench.fleet("2");
    let photos = bench.photos(400);
    let mut submit = bench.submit(&[&photos, &"--window", &"8"]);
    bench.wait_for_lines(5, &mut submit);
    submit.kill().expect("killed");
    let model = std::mem::replace(&mut bench.model, "another".to_owned());
    let run = bench.run(&[&"--resume"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains(&format!("--model {model}")), "{run:?}");
    bench.model = model;
    bench.end(fleet);
}

#[test]
fn a_model_that_nobody_ever_served_leaves_nothing_behind() {
    let bench = Bench::new();
    let photos = bench.photos(1);
    let run = bench.run(&[&photos]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("no queue for the model"), "{run:?}");
    assert_eq!(
        bench.files(),
        ["photos", "submit-0.stderr", "submit-0.stdout"]
    );
}
