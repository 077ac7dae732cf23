//! `--out -`: lines for another program.

use crate::bench::{Bench, by_image, error_of};

#[test]
fn lines_go_to_standard_output_and_everything_else_elsewhere() {
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    bench.photos(50);
    let command = bench.line("photos --out -");
    let said = bench.shell(&command);
    assert_eq!(said.code, Some(0), "{said:?}");
    by_image(&said.stdout, 50);
    assert!(said.stderr.contains("classified  50"), "{}", said.stderr);
    assert_eq!(
        bench.files(),
        ["photos", "shell-0.stderr", "shell-0.stdout"]
    );
    let csv = bench.shell(&bench.line("photos --out - --csv | cut -d, -f1,4 | sed -n 1p"));
    assert_eq!(csv.stdout, "image,outcome\n", "{csv:?}");
    bench.end(fleet);
}

#[test]
fn a_reader_that_goes_and_a_device_that_is_full_end_it_with_one_sentence() {
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    bench.photos(400);
    let submit = bench.line("photos --out - --window 8");
    let gone = bench.shell(&format!("({submit}; echo code $? >&2) | head -n 3"));
    assert_eq!(gone.stdout.lines().count(), 3, "{gone:?}");
    assert!(
        gone.stderr
            .contains("nobody reads standard output any more"),
        "{gone:?}"
    );
    assert!(gone.stderr.contains("code 1"), "{gone:?}");
    let full = bench.shell(&format!("{submit} > /dev/full"));
    assert_eq!(full.code, Some(1), "{full:?}");
    assert_eq!(full.stderr.matches("No space left").count(), 1, "{full:?}");
    bench.end(fleet);
}

#[test]
fn a_reader_that_stands_still_is_no_silence_of_the_fleet() {
    const IMAGES: usize = 2_500;
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    bench.photos(IMAGES);
    // More lines than a pipe holds, and all that waits for it.
    let submit = bench.line("photos --out - --timeout 2s --window 64");
    let slow = bench.shell(&format!("({submit}; echo code $? >&2) | (sleep 8; cat)"));
    assert!(slow.stderr.contains("code 0"), "{}", slow.stderr);
    by_image(&slow.stdout, IMAGES);
    bench.end(fleet);
}

/// Lines of files that cannot be read come faster than any answer, and both wait for the reader.
#[test]
fn unreadable_files_among_images_and_a_slow_reader_lose_no_line() {
    const PATHS: usize = 8_000;
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    let images = bench.photos(PATHS / 40);
    let paths = (0..PATHS).map(|number| match number % 40 {
        0 => images.join(format!("{:06}.jpg", number / 40)),
        _ => images.join(format!("{number} is not there")),
    });
    let list: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    std::fs::write(bench.path("list"), list.join("\n")).expect("a list");
    let submit = bench.line("--files-from list --out - --window 64");
    // A shell reads byte by byte.
    let reader = "while IFS= read -r line; do printf '%s\\n' \"$line\"; done";
    let slow = bench.shell(&format!("({submit}; echo code $? >&2) | ({reader})"));
    assert!(slow.stderr.contains("code 3"), "{}", slow.stderr);
    let lines = by_image(&slow.stdout, PATHS);
    let answered = lines.values().filter(|line| error_of(line).is_none());
    assert_eq!(answered.count(), PATHS / 40);
    bench.end(fleet);
}

#[test]
fn a_standard_error_that_is_full_ends_nothing_and_changes_no_exit_code() {
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    bench.photos(50);
    let submit = bench.line("photos --resume --out results.jsonl 2> /dev/full");
    for _again in 0..2 {
        let said = bench.shell(&submit);
        assert_eq!(said.code, Some(0), "{said:?}");
        bench.answers(50);
    }
    let wrong = bench.shell(&bench.line("photos --out results.jsonl 2> /dev/full"));
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    bench.end(fleet);
}
