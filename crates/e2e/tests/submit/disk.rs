//! A disk that is full, and then is not.

use crate::bench::Bench;
use ncs_e2e::paths;

/// On a disk of its own, which is too small at first: `sh -c … PRODUCER ARGUMENTS…`
const SCRIPT: &str = r#"
disk=$PWD/disk
mkdir "$disk" && mount -t tmpfs -o size=64k none "$disk" || exit 99
"$@" --out "$disk/results.jsonl" 2>&1
echo "first: $?"
tail -c 1 "$disk/results.jsonl" | od -An -c
cp "$disk/results.jsonl" before
mount -o remount,size=8m "$disk" || exit 99
"$@" --out "$disk/results.jsonl" --resume 2>&1
echo "second: $?"
cp "$disk/results.jsonl" results.jsonl
"#;

#[test]
fn a_full_disk_ends_a_run_with_one_sentence_and_the_next_one_does_the_rest() {
    const IMAGES: usize = 400;
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    let photos = bench.photos(IMAGES);
    let producer = paths::binary("ncs-producer").expect("built");
    let command = format!(
        "unshare --map-root-user --mount sh -c '{SCRIPT}' sh {} submit --model {} {} --window 64",
        producer.display(),
        bench.model,
        photos.display()
    );
    let said = bench.shell(&command);
    assert_eq!(said.code, Some(0), "{said:?}");
    let (first, second) = said.stdout.split_once("first: ").expect("a first run");
    assert_eq!(first.matches("No space left").count(), 1, "{first}");
    assert!(first.contains("cannot write the results to"), "{first}");
    assert!(second.starts_with("1\n"), "{said:?}");
    assert!(second.contains("second: 0"), "{said:?}");
    assert!(second.contains("\\n\n"), "half a line stays: {said:?}");
    let before = std::fs::read(bench.path("before")).expect("the first lines");
    let after = std::fs::read(bench.output()).expect("all lines");
    assert!(
        !before.is_empty() && after.starts_with(&before),
        "what was written stays"
    );
    bench.answers(IMAGES);
    bench.end(fleet);
}
