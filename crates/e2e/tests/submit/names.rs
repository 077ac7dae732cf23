//! Files that are odd, and names that are.

use crate::bench::{Bench, error_of};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

#[test]
fn whatever_a_file_is_it_gets_its_line_and_nothing_stops() {
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    let photos = bench.photos(3);
    let photo = fs::read(photos.join("000000.jpg")).expect("a photo");
    // A link to nowhere, and one that goes in circles: nobody can read those, whoever they are.
    symlink("nowhere", photos.join("lost.jpg")).expect("a link");
    symlink("round.jpg", photos.join("round.jpg")).expect("a link");
    fs::write(photos.join("text.jpg"), "hello").expect("written");
    fs::write(photos.join("damaged.jpg"), &photo[..photo.len() / 2]).expect("written");
    fs::write(
        photos.join("large.jpg"),
        [&photo, vec![0; 17 << 20].as_slice()].concat(),
    )
    .expect("written");
    fs::write(photos.join(OsStr::from_bytes(b"caf\xe9\n\\.jpg")), &photo).expect("written");
    let once = photos.join("000001.jpg");
    let missing = bench.path("missing.jpg");
    let run = bench.run(&[&photos, &once, &once, &missing, &"--top-k", &"2"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    let answers = bench.answers(12);
    let of = |name: &str| {
        let found = answers
            .values()
            .filter(|line| line["path"].as_str().expect("a path").ends_with(name));
        found.map(error_of).collect::<Vec<_>>()
    };
    for lost in ["/lost.jpg", "/round.jpg", "/missing.jpg"] {
        assert_eq!(of(lost), [Some("unreadable")], "{lost}");
    }
    assert_eq!(of("/text.jpg"), [Some("not_an_image")]);
    assert_eq!(of("/damaged.jpg"), [Some("undecodable_image")]);
    assert_eq!(of("/large.jpg"), [Some("too_large")]);
    assert_eq!(of("/000000.jpg"), [None]);
    assert_eq!(
        of("/000001.jpg"),
        [None; 3],
        "the same file is as many images as it was named"
    );
    assert_eq!(of("/caf\\xe9\n\\\\.jpg"), [None]);
    let escaped: Vec<_> = answers
        .values()
        .filter(|line| line.get("path_escaped").is_some())
        .collect();
    assert_eq!(escaped.len(), 1);
    assert_eq!(
        escaped[0]["outcome"]["classes"].as_array().map(Vec::len),
        Some(2)
    );
    for said in ["failed      6", "unreadable: 3", "classified  6"] {
        assert!(run.stderr.contains(said), "not '{said}' in {}", run.stderr);
    }
    // It is complete: nothing would change.
    let again = bench.run(&[&"--resume"]);
    assert_eq!(again.code, Some(3), "{again:?}");
    assert!(again.stderr.contains("nothing is missing"), "{again:?}");
    bench.end(fleet);
}

#[test]
fn images_that_are_prepared_get_their_lines_in_the_same_way() {
    const IMAGES: usize = 60;
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    let photos = bench.photos(IMAGES);
    let photo = fs::read(photos.join("000000.jpg")).expect("a photo");
    fs::write(photos.join("damaged.jpg"), &photo[..photo.len() / 2]).expect("written");
    let tensor = [
        "--prepare",
        "tensor",
        "--input-type",
        "u8",
        "--input-layout",
        "nhwc",
    ];
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&photos];
    arguments.extend(tensor.iter().map(|word| word as &dyn AsRef<OsStr>));
    let run = bench.run(&arguments);
    assert_eq!(run.code, Some(3), "{run:?}");
    let answers = bench.answers(IMAGES + 1);
    let failed: Vec<_> = answers
        .values()
        .filter(|line| error_of(line).is_some())
        .collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(error_of(failed[0]), Some("undecodable_image"));
    assert_eq!(failed[0].get("worker"), None, "no worker had it");
    bench.end(fleet);
}

#[test]
fn a_folder_that_cannot_be_looked_into_is_a_line_too() {
    let bench = Bench::new();
    let fleet = bench.fleet("1");
    let photos = bench.photos(2);
    let locked = photos.join("locked");
    fs::create_dir(&locked).expect("a folder");
    fs::write(locked.join("secret.jpg"), "x").expect("written");
    // To have no permission, one must not be root: setpriv gives that up, and the capabilities with it.
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000))
        .expect("locked");
    fs::set_permissions(
        bench.path(""),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .expect("opened");
    let submit = bench.line("photos --out results.jsonl");
    let run = bench.shell(&format!("setpriv --reuid=65534 --clear-groups {submit}"));
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("unlocked");
    assert_eq!(run.code, Some(3), "{run:?}");
    let answers = bench.answers(3);
    let failed: Vec<_> = answers.values().filter_map(error_of).collect();
    assert_eq!(failed, ["unreadable"], "{answers:?}");
    assert!(run.stderr.contains("Permission denied"), "{run:?}");
    bench.end(fleet);
}
